"""A gate's verdict as JUnit XML, for servers that show test results.

A suite is a task and a case a gated score. Invalid is an ``error``, worse a ``failure``, undecided
or advisory ``skipped`` with its message. What concerns a run or a whole task is a case of its own.
The elements are those of the schema that Jenkins' xUnit plug-in validates against; digests stand in
the suite's ``properties``, for cases have none there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from earmark.reports.gate import verdict as verdicts
from earmark.reports.gate.verdict import Plain

# What XML 1.0 has no way to write, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(verdict: Plain) -> str:
    """Return the verdict, as plain data, as a JUnit XML document."""
    suites = [_of_holes(verdict)]
    tasks = dict.fromkeys(row["task"] for row in verdict["metrics"])
    for task in tasks:
        rows = [row for row in verdict["metrics"] if row["task"] == task]
        suites.append(_of_task(task, rows))
    root = Xml.Element("testsuites", {"name": "earmark gate", **_totals(suites)})
    root.extend(suites)
    Xml.indent(root)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"
    )


def _of_holes(verdict: Plain) -> Xml.Element:
    """Return a case for each cause that concerns no single score; one that passes without any."""
    suite = Xml.Element("testsuite", {"name": "comparability"})
    facts = {
        "outcome": verdict["outcome"],
        "policy_sha256": verdict["policy_digest"],
        "alpha": str(verdict["alpha"]),
        "seed": str(verdict["seed"]),
    }
    for side in ("candidate", "baseline"):
        run = verdict[side] or {}
        for word in ("id", "earmark_version", "git_commit", "suite_digest"):
            if run.get(word):
                facts[f"{side}_{word}"] = str(run[word])
    _properties(suite, facts)
    holes = verdict["holes"]
    for number, hole in enumerate(holes, 1):
        case = _case(suite, "earmark.gate", f"{hole['where']} ({number} of {len(holes)})")
        _outcome(case, "error", hole["cause"], [hole["cause"]])
    if not holes:
        _case(suite, "earmark.gate", "the runs can be compared")
    return _counted(suite)


def _of_task(task: str, rows: Sequence[Plain]) -> Xml.Element:
    suite = Xml.Element("testsuite", {"name": task})
    facts: dict[str, str] = {}
    for row in rows:
        place = f"{row['model']}/{row['subset']}" + (
            f"/{row['dimension']}" if row["dimension"] else ""
        )
        facts["dataset_fingerprint"] = row["dataset_fingerprint"] or ""
        facts[f"item_digest {place}"] = row["item_digest"] or ""
        facts[f"weights_digest {row['model']}"] = row["weights_digest"] or ""
        facts[f"baseline_weights_digest {row['model']}"] = row["baseline_weights_digest"] or ""
    _properties(suite, {name: value for name, value in facts.items() if value})
    for row in rows:
        parts = (row["metric"], row["subset"], row["dimension"])
        name = " ".join(part for part in parts if part)
        case = _case(suite, f"earmark.{task}.{row['model']}", name)
        kind = {"invalid": "error", "fail": "failure", "inconclusive": "skipped"}.get(row["status"])
        if kind == "failure" and row["tier"] == "advisory":
            kind = "skipped"
        shown = dict(zip(verdicts.HEADS[4:], verdicts.cells(row)[4:], strict=True))
        lines = [*row["causes"], *(f"{head}: {value}" for head, value in shown.items())]
        if kind:
            _outcome(case, kind, "; ".join(row["causes"]) or row["status"], lines)
        else:
            Xml.SubElement(case, "system-out").text = _clean("\n".join(lines))
    return _counted(suite)


def _properties(suite: Xml.Element, facts: dict[str, str]) -> None:
    group = Xml.SubElement(suite, "properties")
    for name, value in facts.items():
        Xml.SubElement(group, "property", {"name": _clean(name), "value": _clean(value)})


def _case(suite: Xml.Element, classname: str, name: str) -> Xml.Element:
    facts = {"classname": _clean(classname), "name": _clean(name), "time": "0"}
    return Xml.SubElement(suite, "testcase", facts)


def _outcome(case: Xml.Element, kind: str, message: str, lines: Sequence[str]) -> None:
    facts = {"message": _clean(message)}
    if kind != "skipped":
        facts["type"] = {"error": "invalid", "failure": "regression"}[kind]
    Xml.SubElement(case, kind, facts).text = _clean("\n".join(lines))


def _clean(words: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", words)


def _counted(suite: Xml.Element) -> Xml.Element:
    for word, kind in (("errors", "error"), ("failures", "failure"), ("skipped", "skipped")):
        suite.set(word, str(len(suite.findall(f"testcase/{kind}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("time", "0")
    suite.set("name", _clean(suite.get("name", "")))
    return suite


def _totals(suites: Sequence[Xml.Element]) -> dict[str, str]:
    """Return the sums of the suites' counts; the root element has none of what was skipped."""
    words = ("tests", "failures", "errors")
    return {word: str(sum(int(suite.get(word, "0")) for suite in suites)) for word in words}
