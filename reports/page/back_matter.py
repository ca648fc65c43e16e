"""The back matter of a report: datasets, models, and all that it takes to run it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from earmark.reports import words
from earmark.reports.content import (
    Block,
    Cell,
    Code,
    Column,
    Facts,
    Paragraph,
    Section,
    Span,
    TableBlock,
    Text,
    text,
)
from earmark.reports.findings.task import has_seen, names_of
from earmark.reports.page.tables import LONG
from earmark.reports.record.schema import DatasetEntry, ModelEntry, RunRecord


def datasets(record: RunRecord) -> Section:
    """Return what was listened to."""
    titles = Counter(dataset.title for dataset in record.datasets)
    parts = [
        Section(
            f"{dataset.title}, {dataset.id}" if titles[dataset.title] > 1 else dataset.title,
            f"dataset-{place}",
            _dataset(dataset),
        )
        for place, dataset in enumerate(record.datasets)
    ]
    return Section("Datasets", "datasets", [], parts)


def _dataset(dataset: DatasetEntry) -> list[Block]:
    scale = dataset.rating_scale
    rows = [
        ("id", text(dataset.id)),
        ("version", text(dataset.version)),
        ("items", text(words.count(dataset.n_items))),
        *([("ratings", text(f"{scale[0]:g} to {scale[1]:g}".replace("-", "−")))] if scale else []),
        ("licence", text(dataset.licence or "not stated")),
        ("source", (_link(dataset.source or "not stated"),)),
        ("fingerprint", (Span(dataset.fingerprint, "code"),)),
        *_notes(dataset.notes),
    ]
    if dataset.synthetic:
        said = "Synthetic: made by a program, for tests and demonstrations."
        rows.insert(0, ("nature", (Span(said, "strong"),)))
    return [Facts(rows)]


def models(record: RunRecord) -> Section:
    """Return who listened: a table of all, then each card."""
    scored = {model: task.dataset for task in record.tasks for model in task.models}
    rows = [
        [
            Cell(model.id),
            Cell(model.version),
            Cell(model.licence),
            Cell(", ".join(model.training_datasets) or "none stated"),
            Cell(", ".join(_seen(model, record)) or "none of these"),
            Cell(
                words.duration(model.seconds) if model.seconds is not None else "from the store",
                sort=model.seconds,
            ),
        ]
        for model in record.models
    ]
    strangers = sorted(set(scored) - {model.id for model in record.models})
    notes = [f"Scored without a card: {words.listed(strangers)}."] if strangers else []
    table = TableBlock(
        caption="Models of this run",
        columns=[
            Column("Model"),
            Column("Version"),
            Column("Licence"),
            Column("Trained on"),
            Column("Datasets of this report among them"),
            Column("Time", numeric=True),
        ],
        rows=rows,
        notes=notes,
    )
    cards = [
        Section(model.id, f"model-{place}", _model(model), detail=True)
        for place, model in enumerate(record.models)
    ]
    return Section("Models", "models", [table], cards)


def _seen(model: ModelEntry, record: RunRecord) -> list[str]:
    return [dataset.id for dataset in record.datasets if has_seen(model, *names_of(dataset))]


def _model(model: ModelEntry) -> list[Block]:
    scale = model.av_scale
    shown = f"{scale[0]:g} to {scale[1]:g}".replace("-", "−") if scale else "none declared"
    rows = [
        ("weights (sha256)", (Span(model.weights_digest, "code"),)),
        ("crop policy", text(model.crop_policy)),
        ("scale of arousal and valence", text(shown)),
        *((name, text(words.cell(value))) for name, value in model.preprocessing.items()),
        *_notes(model.notes),
    ]
    return [Facts(rows)]


def bibtex(record: RunRecord) -> Section:
    """Return the citations of all datasets and models in one block, each entry once."""
    cited: dict[str, list[str]] = {}
    without = []
    named = [(one.id, one.citation) for one in record.datasets]
    named += [(one.id, one.citation) for one in record.models]
    for name, citation in named:
        if citation.strip():
            cited.setdefault(citation.strip(), []).append(name)
        else:
            without.append(name)
    # Whatever stands between entries is a comment to BibTeX, but an @ would begin one.
    entries = [
        f"% {', '.join(names).replace('@', '(at)')}\n{citation}"
        for citation, names in cited.items()
    ]
    blocks: list[Block] = []
    if entries:
        blocks.append(Code("BibTeX of every dataset and model", "\n\n".join(entries)))
    if without:
        said = f"Without a citation: {words.listed(without)}."
        blocks.append(Paragraph(text(said), "muted"))
    return Section("Citations", "citations", blocks, detail=True)


def reproducibility(record: RunRecord) -> Section:
    """Return the command, the code, the machine, the suite, and the lists of items."""
    return Section("Reproducibility", "reproducibility", reproduced(record))


def reproduced(record: RunRecord) -> list[Block]:
    """Return what it takes to run one record again."""
    where = record.environment
    commit = where.git_commit or "not in a git repository"
    state = {True: "with uncommitted changes", False: "clean", None: "state unknown"}
    rows: list[tuple[str, Text]] = [
        ("seed", text(str(record.seed))),
        ("replicates of tests", text(words.count(record.replicates))),
        ("Earmark", text(record.earmark_version)),
        ("git commit", (Span(commit, "code"), Span(f" ({state[where.git_dirty]})"))),
        ("Python", text(where.python)),
        ("platform", text(where.platform)),
        (
            "machine",
            text(
                f"{where.processor}, {words.plural(where.cores, 'core')}, "
                f"{where.memory_gib:.1f} GiB memory, GPU: {where.gpu or 'none'}"
            ),
        ),
        (
            "packages",
            text(", ".join(f"{name} {version}" for name, version in where.packages.items())),
        ),
        ("wall time", text(_times(record))),
        ("suite (sha256)", (Span(record.suite.digest, "code"),)),
    ]
    blocks: list[Block] = [
        Code("Command", words.command(record.command)),
        Facts(rows),
        Code("Suite", record.suite.toml, folded=True),
    ]
    if record.models:
        blocks.append(_settings(record))
    if prompts := _prompts(record):
        blocks.append(prompts)
    if digests := _item_lists(record):
        blocks.append(digests)
    return blocks


def _settings(record: RunRecord) -> TableBlock:
    """Return how each model was run; what its card does not say is said to be missing."""
    rows = []
    for model in record.models:
        said = model.preprocessing
        device, dtype = said.get("device"), said.get("dtype", said.get("precision"))
        if model.cost is not None:
            device, dtype = model.cost.device, model.cost.dtype
        rows.append(
            [
                Cell(model.id),
                Cell(model.weights_digest),
                Cell(model.crop_policy),
                *(Cell("not in the record" if v is None else str(v)) for v in (device, dtype)),
            ]
        )
    return TableBlock(
        caption="How each model was run",
        columns=[
            Column("Model"),
            Column("Weights (sha256)", code=True),
            Column("Crop policy"),
            Column("Device"),
            Column("dtype"),
        ],
        rows=rows,
        folded=len(rows) > LONG,
    )


def _prompts(record: RunRecord) -> TableBlock | None:
    """Return the prompts of every task that has some."""
    rows = [
        [Cell(task.id), Cell(name), Cell(words.cell(value))]
        for task in record.tasks
        for name, value in task.protocol.items()
        if "prompt" in name.casefold() or name.casefold() in {"labels", "template"}
    ]
    if not rows:
        return None
    return TableBlock(
        caption="Prompts",
        columns=[Column("Task"), Column("What"), Column("As it was used")],
        rows=rows,
    )


def _times(record: RunRecord) -> str:
    parts = ", ".join(f"{n} {words.duration(s)}" for n, s in record.timings.items())
    whole = words.duration(record.seconds)
    return f"{whole} ({parts})" if parts else whole


def _item_lists(record: RunRecord) -> TableBlock | None:
    """Return the digest of every list of items that a score rests on, once a task."""
    lists: dict[tuple[str, int, str], dict[str, None]] = {}
    for task in record.tasks:
        for score in task.scores:
            name = words.subset(score.subset)
            shown = f"{name} ({score.dimension})" if score.dimension else name
            lists.setdefault((task.id, score.n_items, score.item_digest), {})[shown] = None
    if not lists:
        return None
    return TableBlock(
        caption="Lists of items",
        columns=[
            Column("Task"),
            Column("Sets"),
            Column("Items", numeric=True),
            Column("sha256 of the sorted ids", code=True),
        ],
        rows=[
            [Cell(task), Cell(", ".join(sets)), Cell(words.count(n), sort=n), Cell(digest)]
            for (task, n, digest), sets in lists.items()
        ],
        folded=len(lists) > LONG,
    )


def _notes(notes: Iterable[str]) -> list[tuple[str, Text]]:
    return [("note", text(note)) for note in notes]


def _link(source: str) -> Span:
    """Return a web address as a link to follow, anything else as text."""
    is_address = source.startswith(("https://", "http://")) and not set(source) & set(" \t\n<>\"'")
    return Span(source, "link" if is_address else "plain")
