"""A gate's verdict as Markdown: a step summary of GitHub Actions, a comment on a pull request.

The verdict stands first, then what went wrong and the scores that did not pass; the rest is folded.
Both have a size that the server enforces by showing nothing at all, so rows are left out, and
counted, before that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from earmark.reports import words
from earmark.reports.gate import verdict as verdicts
from earmark.reports.gate.verdict import Plain

STEP_SUMMARY_BYTES: Final = 1024 * 1024 - 1024
"""GitHub refuses a step summary above 1 MiB."""
COMMENT_CHARACTERS: Final = 65_536 - 1
"""GitHub refuses a longer comment."""

_MENTION = re.compile(r"(?<!\w)@")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")


def marker(suite: str) -> str:
    """Return the first line of a comment, by which a later run finds and replaces it.

    >>> marker("music_text")
    '<!-- earmark-gate: music_text -->'
    """
    plain = re.sub(r"[^A-Za-z0-9._+ ]+|-(?=-)", "-", suite)
    return f"<!-- earmark-gate: {plain} -->"


def render_step_summary(verdict: Plain) -> str:
    """Return the verdict as Markdown of less than 1 MiB in UTF-8."""
    return _fitted(verdict, lambda page: len(page.encode()) <= STEP_SUMMARY_BYTES, head="")


def render_comment(verdict: Plain) -> str:
    """Return the verdict as Markdown of less than 65,536 characters, the marker first.

    Characters are counted as UTF-16 does, the larger of the ways a server may count them.
    """
    suite = (verdict["candidate"] or verdict["baseline"] or {}).get("suite", "")
    head = marker(suite) + "\n"
    return _fitted(
        verdict, lambda page: len(page.encode("utf-16-le")) // 2 <= COMMENT_CHARACTERS, head=head
    )


def _fitted(verdict: Plain, fits: Callable[[str], bool], *, head: str) -> str:
    """Return the page with as many rows as fit, those to read first before the others."""
    most = max(len(verdict["metrics"]), len(verdicts.causes(verdict)), len(verdict["warnings"]))
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if fits(_page(verdict, middle, head)):
            low = middle
        else:
            high = middle - 1
    return _page(verdict, low, head)


def _page(verdict: Plain, most: int, head: str) -> str:
    parts = [f"{head}## {verdicts.TITLES[verdict['outcome']]}", escape(verdicts.headline(verdict))]
    if found := verdicts.causes(verdict):
        shown = [f"**{escape(where)}**: {escape(why)}" for where, why in found[:most]]
        parts.append(_list(shown, len(found)))
    bad = [row for row in verdict["metrics"] if row["status"] != "pass"]
    good = [row for row in verdict["metrics"] if row["status"] == "pass"]
    if bad:
        parts.append(_table(bad, most))
    if good:
        title = words.plural(len(good), "score") + " passed"
        parts.append(_folded(title, _table(good, max(0, most - len(bad)))))
    if verdict["warnings"]:
        title = words.plural(len(verdict["warnings"]), "warning")
        shown = [escape(words) for words in verdict["warnings"][:most]]
        parts.append(_folded(title, _list(shown, len(verdict["warnings"]))))
    facts = [f"**{side}**: {escape(words)}" for side, words in verdicts.identities(verdict)]
    facts.append(escape(verdicts.method(verdict)))
    parts.append(_folded("Runs and method", _list(facts, len(facts))))
    return "\n\n".join(parts) + "\n"


def escape(words: str) -> str:
    r"""Return plain text as Markdown and HTML show it: no markup, no mention, no new line.

    >>> escape("a_b | <img>")
    'a\\_b \\| \\<img\\>'
    """
    cut = words if len(words) <= 500 else f"{words[:500]} …"
    escaped = _SPECIAL.sub(r"\\\1", " ".join(cut.split()))
    # Mentions are found in the rendered text, where an escape is gone.
    return _MENTION.sub("@\N{ZERO WIDTH SPACE}", escaped)


def _list(shown: Sequence[str], number: int) -> str:
    """Return lines as a list, and how many of their number are not shown."""
    return "\n".join([*(f"- {line}" for line in shown), *_left_out(number - len(shown), "- ")])


def _left_out(number: int, head: str) -> list[str]:
    return [f"{head}and {number:,} more, see verdict.json"] if number > 0 else []


def _table(rows: Sequence[Plain], most: int) -> str:
    heads = [words.sentence(head) or "Verdict" for head in verdicts.HEADS]
    lines = [
        "| " + " | ".join(heads) + " |",
        "|" + "|".join([" :-- "] * 4 + [" --: "] * (len(heads) - 4)) + "|",
    ]
    for row in rows[:most]:
        shown = verdicts.cells(row)
        if row["status"] in ("fail", "invalid"):
            shown[0] = f"**{shown[0]}**"
            lines.append("| " + " | ".join([shown[0], *map(escape, shown[1:])]) + " |")
        else:
            lines.append("| " + " | ".join(map(escape, shown)) + " |")
    more = _left_out(len(rows) - most, "")
    return "\n".join(lines) + ("\n\n" + more[0] if more else "")


def _folded(title: str, inside: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{inside}\n\n</details>"
