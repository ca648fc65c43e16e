"""A finished run, as Python sees it: its scores, items, comparisons, verdict and reports."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.reports.record.files import RUN_FILE, read, read_arrays, read_items
from earmark.reports.record.lookup import score_row
from earmark.reports.record.schema import RecordError, RunRecord, TaskResult

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from earmark.bench.gate.verdict import Verdict

_SHOWN = ["task", "model", "subset", "dimension", "metric", "value", "low", "high", "chance", "n"]


class Run:
    """The record of a run; ``path`` is its folder, ``runs/<id>``.

    Raises
    ------
    RecordError
        If there is no record, or it is damaged or of another version.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.path = path.parent if path.name == RUN_FILE else path
        self.record: RunRecord = read(self.path)

    @property
    def tasks(self) -> list[str]:
        """Ids of the tasks that ran."""
        return [task.id for task in self.record.tasks]

    @property
    def not_run(self) -> dict[str, str]:
        """What did not run (a model, dataset or task), with the reason."""
        parts = [*self.record.not_run, *(one for t in self.record.tasks for one in t.not_run)]
        return {one.what: one.reason for one in parts}

    @property
    def warnings(self) -> list[str]:
        """Warnings of all tasks."""
        return [f"{task.id}: {text}" for task in self.record.tasks for text in task.warnings]

    def scores(self, task: str | None = None) -> pd.DataFrame:
        """Return one row per score, of one task or of all.

        ``low`` and ``high`` are the ends of the interval at ``level``, over ``n_units`` of
        ``unit``; ``headline`` marks the scores that verdicts are drawn on.
        """
        import pandas as pd

        tasks = self.record.tasks if task is None else [self._task(task)]
        return pd.DataFrame(
            [score_row(one, score) for one in tasks for score in one.scores],
            columns=list(_COLUMNS),
        )

    def comparisons(self, task: str | None = None) -> pd.DataFrame:
        """Return one row per paired difference of two models, ``model`` minus ``other``."""
        import pandas as pd

        tasks = self.record.tasks if task is None else [self._task(task)]
        rows = []
        for one in tasks:
            for found in one.comparisons:
                interval = found.interval
                ends = (None, None) if interval is None else (interval.low, interval.high)
                plain = found.model_dump(exclude={"interval"})
                rows.append({"task": one.id, **plain, "low": ends[0], "high": ends[1]})
        return pd.DataFrame(rows)

    def items(self, task: str | None = None) -> pd.DataFrame:
        """Return the outcomes of a task, one row per model, item and dimension.

        ``task`` may be left out where the run has one task.
        """
        return read_items(self.path, self._task(task).id, record=self.record)

    def arrays(self, task: str | None = None) -> Mapping[str, NDArray[Any]]:
        """Return the arrays of a task by name."""
        return read_arrays(self.path, self._task(task).id, record=self.record)

    def compare(
        self,
        other: Run | str | Path,
        *,
        task: str | None = None,
        metric: str | None = None,
        replicates: int | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Return how another run differs, ``other`` minus this one, paired by item.

        One row per score of the headline metric of each task that both have, or of ``metric``;
        ``attrs["not_compared"]`` of the table says what could not be compared, and why.
        """
        from dataclasses import asdict

        import pandas as pd

        from earmark.bench.gate.difference import compare_runs
        from earmark.bench.gate.evidence import read_evidence
        from earmark.bench.metrics.statistics import REPLICATES, SEED

        found = compare_runs(
            read_evidence(self.path),
            read_evidence(_path_of(other)),
            task=task,
            metric=metric,
            replicates=REPLICATES if replicates is None else replicates,
            seed=SEED if seed is None else seed,
        )
        rows = []
        for one in found.differences:
            plain = asdict(one)
            plain |= plain.pop("effects")
            gained, lost = plain.pop("gained"), plain.pop("lost")
            plain["gained"] = None if gained is None else len(gained)
            plain["lost"] = None if lost is None else len(lost)
            rows.append(plain)
        table = pd.DataFrame(rows)
        table.attrs["not_compared"] = {hole.where: hole.cause for hole in found.holes}
        return table

    def gate(self, baseline: Run | str | Path, policy: str | Path) -> Verdict:
        """Return whether this run may replace a baseline: ``outcome`` is ``pass`` or a reason.

        Parameters
        ----------
        baseline
            A run, its folder, or the folder of a kept baseline.
        policy
            A TOML file: which scores are gated, and with which margins.
        """
        from earmark.bench.gate.policy import read_policy
        from earmark.bench.gate.verdict import judge_files

        return judge_files(self.path, _path_of(baseline), read_policy(Path(policy)))

    def report(
        self, out: str | Path | None = None, *, formats: Sequence[str] = ("html", "pdf")
    ) -> list[Path]:
        """Render the run (``html``, ``pdf``, ``md``) into a folder and return the files.

        ``out`` is by default the run's own folder.
        """
        from earmark.bench.cli.report import render_reports

        return render_reports(
            self.path, self.path if out is None else Path(out), formats=list(formats)
        )

    def __repr__(self) -> str:
        return f"<earmark.Run {self.path}: {', '.join(self.tasks)}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.record == other.record

    def __hash__(self) -> int:
        return hash(self.record.id)

    def _repr_html_(self) -> str:
        """Show the headline scores in a notebook, with what did not run and the warnings."""
        table = self._headlines
        shown = table.to_html(index=False, na_rep="", float_format="{:.3f}".format, border=0)
        notes = [f"not run: {what}: {why}" for what, why in self.not_run.items()] + self.warnings
        listed = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
        return (
            f"<h4>{html.escape(self.record.suite.title)}</h4>{shown}"
            f"{f'<ul>{listed}</ul>' if listed else ''}<p>{html.escape(str(self.path))}</p>"
        )

    @cached_property
    def _headlines(self) -> pd.DataFrame:
        scores = self.scores()
        shown = scores[scores["headline"]][_SHOWN]
        return shown.dropna(axis="columns", how="all")

    def _task(self, task: str | None) -> TaskResult:
        if task is None and len(self.record.tasks) == 1:
            return self.record.tasks[0]
        for one in self.record.tasks:
            if one.id == task:
                return one
        asked = "name one of its tasks" if task is None else f"there is no task {task!r}"
        raise RecordError(f"run {self.record.id}: {asked}; its tasks are {', '.join(self.tasks)}")


def _path_of(run: Run | str | Path) -> Path:
    return run.path if isinstance(run, Run) else Path(run)


_COLUMNS = (
    *("task", "kind", "dataset", "model", "metric", "subset", "dimension", "value", "low", "high"),
    *("level", "chance", "n", "n_items", "unit", "n_units", "higher_is_better", "headline"),
    "reason",
)
