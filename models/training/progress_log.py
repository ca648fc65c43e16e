"""Metrics of a run: ``metrics.csv``, TensorBoard, and lines to read."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earmark.models.support.adapter import require

COLUMNS = (
    "step",
    "epoch",
    "loss",
    "learning_rate",
    "temperature",
    "samples_per_second",
    "data_wait",
    "mfu",
    "valid_loss",
)
"""Of the CSV file, before the validation's own scores."""

Values = Mapping[str, float | None]


class ProgressLog:
    """Writes a run's metrics; rows behind the step that a run goes on from are taken back.

    Parameters
    ----------
    scores
        Names of the validation's scores: further columns.
    step
        Steps done when the run starts or goes on.

    Raises
    ------
    ModelError
        If TensorBoard is wanted and not installed.
    """

    def __init__(
        self, folder: Path, *, scores: tuple[str, ...], step: int, tensorboard: bool
    ) -> None:
        self.path = folder / "metrics.csv"
        self.columns = (*COLUMNS, *scores)
        folder.mkdir(parents=True, exist_ok=True)
        self._take_back(step)
        self._board: Any = None
        if tensorboard:
            require("tensorboard", extra="train", of="training.tensorboard = true")
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def _take_back(self, step: int) -> None:
        rows = []
        if step and self.path.is_file():
            with self.path.open(encoding="utf-8", newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        with self.path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    def write(self, step: int, epoch: int, values: Values) -> None:
        """Add a row; what has no value stays empty."""
        known = {name: value for name, value in values.items() if value is not None}
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writerow({"step": step, "epoch": epoch, **known})
        if self._board is not None:
            for name, value in known.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is held back."""
        if self._board is not None:
            self._board.close()


def line(epoch: int, epochs: int, values: Values, *, seconds: float) -> str:
    """Return an epoch's metrics as one line.

    >>> line(2, 30, {"loss": 1.5, "R@10": 0.25, "mfu": None}, seconds=3.2)
    'epoch 2/30  loss 1.500  R@10 0.250  MFU unknown  3.2 s'
    """
    formats = {
        "loss": "loss {:.3f}",
        "valid_loss": "valid loss {:.3f}",
        "temperature": "temperature {:.4f}",
        "learning_rate": "lr {:.1e}",
        "samples_per_second": "{:,.0f} samples/s",
        "data_wait": "{:.0%} waiting",
        "mfu": "MFU {:.1%}",
    }
    parts = [f"epoch {epoch}/{epochs}"]
    for name, value in values.items():
        if value is not None:
            parts.append(formats.get(name, f"{name} {{:.3f}}").format(value))
        elif name == "mfu":
            parts.append("MFU unknown")
    return "  ".join([*parts, f"{seconds:.1f} s"])
