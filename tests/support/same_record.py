"""What Earmark says of one small set of runs, kept in files, so that two versions can be compared.

    python tests/support/same_record.py write FOLDER
    python tests/support/same_record.py compare BEFORE AFTER [--ignore GLOB ...]

``write`` builds a small Etude, runs a suite with every task, scores predictions, renders reports,
gates and compares, all through the commands, and keeps of each what must not change by moving
code: records without times, machine, paths and the model's code; the values of the kept items and
arrays as digests; the words of pages; the tables of leaderboards; verdicts; the commands' exit
codes and output. ``compare`` prints every difference and exits with 1 if there is any.

Nothing here imports a module of Earmark but the entry of the command line, so that the same file
runs in any version.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TRACKS, SECONDS = 90, 2.0
FURTHER_TRACKS = 30

SUITE = """
[suite]
name = "same"
title = "Every task on a small Etude"
replicates = 200
seed = 5

[datasets.captions]
loader = "caption-manifest"
root = "{data}/etude/captions"
split = "test"

[datasets.captions-train]
loader = "caption-manifest"
root = "{data}/etude/captions"
split = "train"

[datasets.genres]
loader = "gtzan"
root = "{data}/etude/gtzan"
split = "fault-filtered"
missing = "drop"

[datasets.tags]
loader = "magnatagatune"
root = "{data}/etude/mtat"
split = "won2020"
partition = "test"

[datasets.musav]
loader = "musav"
root = "{data}/etude/musav"

[datasets.rated]
loader = "rated-folder"
root = "{data}/etude/emomusic"
id = "rated"

[datasets.rated-2]
loader = "rated-folder"
root = "{data}/etude-2/emomusic"
id = "rated-2"

[models.oracle]
loader = "etude-oracle"
root = "{data}/etude"

[models.random]
loader = "random"
dimension = 32

[models.other]
loader = "random"
seed = SEED
dimension = 48

[models.third]
loader = "random"
seed = 3
dimension = 40

[models.descriptors]
loader = "signal-descriptors"

[models.axis]
loader = "text-axis"
model = "random"
dimension = 32
"""

TASKS = """
[[tasks]]
task = "retrieval"
dataset = "captions"
models = ["oracle", MODELS]
sentence_bert = "none"

[[tasks]]
task = "retrieval"
id = "retrieval-pools"
dataset = "captions-train"
models = [MODELS]
protocol = "muscall-paper"
pool = 11
draws = 3
sentence_bert = "none"

[[tasks]]
task = "zero_shot_classification"
dataset = "genres"
models = [MODELS]
texts = { hiphop = "hip hop" }

[[tasks]]
task = "zero_shot_tagging"
dataset = "tags"
models = [MODELS]

[[tasks]]
task = "probe"
dataset = "genres"
models = [MODELS]

[[tasks]]
task = "av_regression"
dataset = "rated"
models = [RATERS]

[[tasks]]
task = "musav"
dataset = "musav"
models = [RATERS]
audio = "{data}/etude/musav"

[[tasks]]
task = "av_cross_dataset"
dataset = "rated"
train = ["rated", "rated-2"]
test = ["rated-2", "musav"]
models = ["descriptors", RATERS]
heads = ["ridge"]
folds = 3
gains = [-6, 6]
"""

RUNS = {
    "one": {"MODELS": '"random", "other"', "RATERS": '"random", "axis"', "SEED": "1"},
    "two": {"MODELS": '"third", "random", "other"', "RATERS": '"axis", "random"', "SEED": "2"},
}
"""Models that embed, and models that predict; the seed of a model that both runs name ``other``."""

POLICY = """
version = 1

[defaults]
tier = "critical"
margin = 0.1
min_items = 5
must_beat_chance = false

[statistics]
replay = "same-machine"
replicates = 500

[[metrics]]
task = "retrieval-captions"
metric = "recall_at_10"
subset = "*"
margin = 0.05

[[metrics]]
task = "retrieval-captions"
metric = "mean_rank"
subset = "*"
margin = 4.0

[[metrics]]
task = "retrieval-pools"
metric = "recall_at_10"
subset = "*"

[[metrics]]
task = "zero_shot_classification-genres"
metric = "accuracy"

[[metrics]]
task = "zero_shot_tagging-tags"
metric = "roc_auc"
subset = "*"

[[metrics]]
task = "probe-genres"
metric = "accuracy"
subset = "*"

[[metrics]]
task = "av_regression-rated"
metric = "r2"
margin = 0.3

[[metrics]]
task = "musav-musav"
metric = "pairwise_accuracy"
subset = "*"
dimension = "arousal"

[[metrics]]
task = "av_cross_dataset-rated-rated-2"
metric = "pearson_r"
"""

LEFT_OUT = {
    "created", "environment", "files", "seconds", "timings", "listening", "cost", "costs",
    "started", "finished", "duration", "code", "code_digest", "command", "earmark",
    "git", "sha256", "resources",
}  # fmt: skip
"""Fields of records and verdicts that say when, where and from which code they were made."""
_TIMES = re.compile(r"(?<![\w.-])(?:<|about )?\d[\d,.]*[ \xa0]?(?:ms|s|seconds?|min|h)\b(?!\.\w)")
_DATES = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?Z?|\b\d\d:\d\d(?::\d\d)? UTC"
    r"|\b\d\d? (?:Jan|Febr|March|April|May|June|July|Aug|Sept|Oct|Nov|Dec)[a-z]* \d{4}"
)
_RUN = re.compile(r"(?<![\d.])\d{8}[T-]\d{6}Z?(?:-\w+)*")
_MACHINE = re.compile(r"\b\d[\d,.]*[ \xa0]?(?:MiB|GiB|KiB|MB|GB|kB|bytes)\b|\bx [\d.]+ real time")


class _Words(HTMLParser):
    """The words of a page, a line a piece, without scripts, styles and pictures' numbers."""

    _SILENT = ("script", "style")

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._hidden += tag in self._SILENT
        self.lines += [
            f"[{tag} {name}] {value}"
            for name, value in attrs
            if name in {"alt", "aria-label", "title", "summary"} and value
        ]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in self._SILENT

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if words and not self._hidden:
            self.lines.append(words)


def words_of(html: str) -> list[str]:
    """Return the words of a page, the contents of each element a line."""
    words = _Words()
    words.feed(html)
    return words.lines


class Recorder:
    """Runs the commands in a folder and keeps what they say, as files of ``kept``."""

    def __init__(self, work: Path, kept: Path) -> None:
        self.work, self.kept = work, kept
        kept.mkdir(parents=True, exist_ok=True)

    def plain(self, text: str) -> str:
        """Return a text without this folder, dates, times, digests and sizes in bytes."""
        text = text.replace(str(self.work.resolve()), "WORK").replace(str(self.work), "WORK")
        text = re.sub(r"python ?[\d.]+\S*", "PYTHON", text)
        for pattern, word in ((_DATES, "DATE"), (_RUN, "RUN"), (_TIMES, "TIME"), (_MACHINE, "N")):
            text = pattern.sub(word, text)
        return text

    def stripped(self, value: Any) -> Any:
        """Return a JSON value without :data:`LEFT_OUT`, its texts made plain."""
        if isinstance(value, dict):
            kept = {name: one for name, one in value.items() if name not in LEFT_OUT}
            return {name: self.stripped(one) for name, one in kept.items()}
        if isinstance(value, list):
            return [self.stripped(one) for one in value]
        return self.plain(value) if isinstance(value, str) else value

    def keep(self, name: str, content: str | Sequence[str]) -> None:
        text = content if isinstance(content, str) else "\n".join(content)
        self._keep(name, self.plain(text))

    def _keep(self, name: str, text: str) -> None:
        path = self.kept / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.rstrip() + "\n", encoding="utf-8")

    def keep_json(self, name: str, content: Any) -> None:
        self._keep(name, json.dumps(self.stripped(content), indent=1, ensure_ascii=False))

    def earmark(self, *arguments: str | Path, keep: str | None = None) -> str:
        """Run a command; keep its output and exit code under a name, else it has to succeed."""
        told = subprocess.run(
            [sys.executable, "-c", "from earmark.bench.cli import main; main()", *arguments],
            cwd=self.work,
            env=os.environ
            | {
                "EARMARK_DATA": str(self.work),
                "EARMARK_STORE": str(self.work / "store"),
                "EARMARK_CACHE": str(self.work / "cache"),
                "COLUMNS": "100",
                "NO_COLOR": "1",
                "OMP_NUM_THREADS": "1",
                "HF_HUB_OFFLINE": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if keep is None and told.returncode:
            raise SystemExit(f"earmark {arguments}: exit {told.returncode}\n{told.stderr}")
        if keep is not None:
            self.keep(f"{keep}.txt", f"exit {told.returncode}\n{told.stdout}\n{told.stderr}")
        return told.stdout

    def record(self, run: Path, name: str) -> None:
        """Keep what a run folder holds, and put costs that do not vary into it for its reports.

        A figure stands in a report only where speeds differ enough.
        """
        path = run / "run.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        self.keep_json(f"{name}/run.json", record)
        self.keep(f"{name}/values.txt", list(values_in(run)))
        for number, model in enumerate(record["models"], 1):
            if model.get("cost"):
                cost = model["cost"]
                cost |= {"seconds": cost["clips"] / (100 * number), "peak_memory_mib": 100.0}
                cost["measured"] = None
        path.write_text(json.dumps(record), encoding="utf-8")

    def page(self, path: Path, name: str) -> None:
        self.keep(name, words_of(path.read_text(encoding="utf-8")))


def values_in(run: Path) -> Iterator[str]:
    """Yield a line for each column of items and each array: its file, name, size and digest."""
    for path in sorted(run.rglob("*.parquet")):
        frame = pd.read_parquet(path)
        for column in frame:
            digest = _digest(frame[column].to_numpy())
            yield f"{path.relative_to(run)} {column} {len(frame)} {frame[column].dtype} {digest}"
    for path in sorted(run.rglob("*.npz")):
        with np.load(path) as arrays:
            for name in sorted(arrays.files):
                value = arrays[name]
                yield f"{path.relative_to(run)} {name} {value.shape} {value.dtype} {_digest(value)}"


def _digest(values: Any) -> str:
    content = repr(values.tolist()) if values.dtype == object else values.tobytes().hex()
    return hashlib.sha256(content.encode()).hexdigest()


def _predictions(work: Path) -> None:
    """Invented predictions for each track of the small MusAV, of two models, as CSV."""
    rows = [
        json.loads(line)
        for line in (work / "etude/musav/data/triplets.jsonl").read_text().splitlines()
    ]
    songs = sorted({song for row in rows for song in row["songids"]})
    for seed, name in enumerate(("first", "second")):
        values = np.random.default_rng(seed).normal(size=(len(songs), 2)).round(3)
        frame = pd.DataFrame(values, columns=["arousal_mean", "valence_mean"])
        frame.insert(0, "songid", songs)
        frame.to_csv(work / f"{name}.csv", index=False)


def write(folder: Path) -> None:
    """Write everything that is kept of this version into a folder."""
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        recorder = Recorder(work, folder)
        sizes = ("--seconds", str(SECONDS), "--workers", "2")
        recorder.earmark("etude", "build", work / "etude", "--tracks", str(TRACKS), *sizes)
        further = ("--tracks", str(FURTHER_TRACKS), "--seed", "2", "--layouts", "emomusic")
        recorder.earmark("etude", "build", work / "etude-2", *further, *sizes)
        _predictions(work)
        (work / "policy.toml").write_text(POLICY)
        runs = {}
        for name, words in RUNS.items():
            content = SUITE + TASKS
            for word, value in words.items():
                content = content.replace(word, value)
            suite = work / f"{name}.toml"
            suite.write_text(content)
            recorder.earmark("run", suite, "--out", work / name, keep=f"{name}/run")
            (runs[name],) = [path.parent for path in (work / name).glob("*/run.json")]
            recorder.record(runs[name], name)
        recorder.earmark(
            *("musav", "first.csv", "second.csv", "--data", work / "etude/musav"),
            *("--replicates", "200", "--json"),
            keep="musav/scores",
        )
        recorder.earmark(
            *("musav", "first.csv", "--data", work / "etude/musav", "--replicates", "200"),
            keep="musav/table",
        )
        for names in (("one",), ("one", "two")):
            out = work / "-".join(("report", *names))
            recorder.earmark(
                *("report", *(runs[name] for name in names), "--out", out),
                *("--format", "html,md"),
                *(["--figures"] if len(names) > 1 else []),
                keep=f"{out.name}/command",
            )
            recorder.page(next(out.glob("*.html")), f"{out.name}/page.txt")
            for path in sorted(out.rglob("*")):
                if path.suffix in {".md", ".csv", ".json"}:
                    recorder.keep(f"{out.name}/{path.relative_to(out)}", path.read_text())
        for run, baseline in (("one", "one"), ("two", "one")):
            out = work / f"gate-{run}-{baseline}"
            gated = ("gate", runs[run], "--baseline", runs[baseline], "--policy", "policy.toml")
            recorder.earmark(*gated, "--out", out, keep=f"{out.name}/command")
            for path in sorted(out.glob("*")):
                if path.suffix == ".json":
                    recorder.keep_json(f"{out.name}/{path.name}", json.loads(path.read_text()))
                elif path.suffix in {".md", ".xml"}:
                    recorder.keep(f"{out.name}/{path.name}", path.read_text())
                elif path.suffix == ".html":
                    recorder.page(path, f"{out.name}/page.txt")
        recorder.earmark("compare", runs["one"], runs["two"], "--json", keep="compare/json")
        recorder.earmark("compare", runs["one"], runs["two"], keep="compare/table")
        for what in ("models", "datasets", "suites"):
            listed = recorder.earmark("list", what)
            recorder.keep(
                f"list/{what}.txt", [Path(line.split()[0]).name for line in listed.splitlines()]
            )


def differences(before: Path, after: Path, *, ignore: Sequence[str] = ()) -> Iterator[str]:
    """Yield what two kept folders differ in: the file, the line or field, before and after."""
    names = sorted(
        {str(path.relative_to(side)) for side in (before, after) for path in side.rglob("*")}
    )
    for name in names:
        one, other = before / name, after / name
        if one.is_dir() or other.is_dir() or any(fnmatch.fnmatch(name, glob) for glob in ignore):
            continue
        if not one.is_file() or not other.is_file():
            yield f"{name}: only {'before' if one.is_file() else 'after'}"
        elif name.endswith(("run.json", "verdict.json")):
            found = _of_values(json.loads(one.read_text()), json.loads(other.read_text()), name)
            yield from (
                line for line in found if not any(fnmatch.fnmatch(line, glob) for glob in ignore)
            )
        else:
            yield from _of_lines(one.read_text(), other.read_text(), name)


def _of_values(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in [*one, *(name for name in other if name not in one)]:
            yield from _of_values(one.get(name, "-"), other.get(name, "-"), f"{path}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _of_values(left, right, f"{path}[{index}]")
    elif one != other:
        yield f"{path}: {one!r:.300} -> {other!r:.300}"


def _of_lines(one: str, other: str, name: str) -> Iterator[str]:
    from difflib import SequenceMatcher

    left, right = one.splitlines(), other.splitlines()
    for what, i, j, k, m in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if what != "equal":
            yield f"{name}:{i + 1}: {left[i:j]!r:.600} -> {right[k:m]!r:.600}"


def main() -> int:
    """Write, or compare; return the exit code."""
    parser = ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write").add_argument("folder", type=Path)
    comparing = commands.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument(
        "--ignore", action="append", default=[], help="files or fields: a glob, e.g. '*.protocol.*'"
    )
    asked = parser.parse_args()
    if asked.command == "write":
        write(asked.folder)
        return 0
    found = list(differences(asked.before, asked.after, ignore=asked.ignore))
    print("\n".join(found) if found else "no difference")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
