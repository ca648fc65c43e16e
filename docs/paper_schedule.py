"""Train a small MusCALL over the paper's schedule with both kinds of weight decay, and draw it.

    python docs/paper_schedule.py WORK docs/paper_schedule.png

Makes 800 Etude tracks in ``WORK``, trains on them twice by the preset ``paper`` (about 350 s of
processor time each, on one thread) and prints the numbers of ``docs/training.md``. A training that
was interrupted goes on; one that is finished is only drawn.

The paper's sum of learning rates is kept: 150 epochs of 200,000 pairs in batches of 256 are 117,150
steps at 5e-5, halved by the cosine: 2.93. At 3e-3 these are 1,953 steps.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from earmark.bench.cli.train import TextToAudio
from earmark.datasets.etude.build import build
from earmark.models.support.exported import METRICS, TrainingLog, read_metrics
from earmark.models.training.config import RunConfig, parse_config
from earmark.models.training.corpus import Corpus
from earmark.models.training.prepare import prepare
from earmark.models.training.train import train

KINDS = {"adamw": "decoupled (AdamW, preset)", "adam": "in the gradient (L2, literal)"}
SMALL: dict[str, Any] = {
    "preset": "paper",
    "text": {"tokenizer": "train", "vocabulary_size": 1000, "initialisation": "clip"},
    "augmentation": {"p_noise": 0.0, "p_pitch_shift": 0.0},
    "muscall": {
        "dimension": 64,
        "audio": {"n_mels": 64, "hop_length": 1024, "width": 8, "layers": [1, 1, 1, 1]}
        | {"heads": 4, "features": 64},
        "text": {"max_tokens": 40, "width": 64, "layers": 1, "heads": 4},
        "loss": {"weighting": "none"},
    },
    "training": {"epochs": 217, "batch_size": 64, "validate_every": 7, "precision": "fp32"}
    | {"tensorboard": False, "accelerator": "cpu", "devices": 1},
}
CHANCE_LOSS = 8.318  # 2 ln 64: both directions of a batch of 64


def config(work: Path, optimiser: str) -> RunConfig:
    """Return the preset at small size with an optimiser."""
    places = {"train": ["train"], "valid": ["val", "test"]}
    data = {side: [str(work / "prepared" / each) for each in of] for side, of in places.items()}
    return parse_config(
        {
            **SMALL,
            "data": {**data, "crop_seconds": 2.0, "workers": 1},
            "optimiser": {"name": optimiser, "learning_rate": 3e-3},
        }
    )


def trained(work: Path) -> dict[str, TrainingLog]:
    """Return the log of each training, which is done if it is not there."""
    build(work / "etude", n_tracks=800, seconds=5.0, seed=0, layouts=("captions",), workers=1)
    for split in ("train", "val", "test"):
        source = work / "etude" / "captions" / f"dataset_{split}.json"
        prepare(source, work / "prepared" / split, workers=1)
    logs = {}
    for name in KINDS:
        # The literal reading is stopped as collapsed otherwise.
        options = {"score": TextToAudio(), "resume": True, "stop_collapsed": False}
        train(config(work, name), work / name, **options)
        log = read_metrics(work / name / METRICS)
        assert log is not None
        logs[name] = log
    return logs


def curve(log: TrainingLog, column: str) -> tuple[list[float], list[float]]:
    """Return the steps at which a column has a value, and the values."""
    place = log.columns.index(column)
    rows = [(row[0], row[place]) for row in log.rows]
    pairs = [(step, value) for step, value in rows if step is not None and value is not None]
    return [step for step, _ in pairs], [value for _, value in pairs]


def draw(logs: dict[str, TrainingLog], *, chance: float) -> Figure:
    """Return loss and R@10 over the steps, one line for each kind of weight decay."""
    figure = Figure(figsize=(8, 2.8), layout="constrained", dpi=110)
    panels = figure.subplots(1, 2)
    for panel, column, title, level in (
        (panels[0], "loss", "Training loss", CHANCE_LOSS),
        (panels[1], "R@10", "Validation R@10, text to audio", chance),
    ):
        for name, label in KINDS.items():
            panel.plot(*curve(logs[name], column), label=label, linewidth=1.2)
        panel.axhline(level, color="grey", linestyle=":", linewidth=1, label="chance")
        panel.set(title=title, xlabel="step", xlim=(0, None))
    panels[1].set_ylim(0, None)
    panels[1].legend(fontsize=7)
    return figure


def main(work: Path, picture: Path) -> None:
    """Train, draw and print."""
    torch.set_num_threads(1)
    logs = trained(work)
    n_clips = len(Corpus.open(*config(work, "adamw").data.valid))
    draw(logs, chance=10 / n_clips).savefig(picture)
    print(f"validation: {n_clips} clips, chance R@10 {10 / n_clips:.3f}")
    for name, log in logs.items():
        (steps, losses), (_, recalls) = curve(log, "loss"), curve(log, "R@10")
        at = [steps.index(step) for step in (200, 500, 1000, 1500, int(steps[-1]))]
        shown = ", ".join(f"{steps[k]:.0f}: {losses[k]:.3f}" for k in at)
        print(f"{name}: loss at {shown}; R@10 best {max(recalls):.3f}, last {recalls[-1]:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
