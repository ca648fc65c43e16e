"""What a run tells of itself: ``metrics.csv``, TensorBoard, lines to read, and how fast it is.

MFU, the model FLOPs utilisation [1]_, is what the model's own products would take at the device's
peak over what they took: forward and backward are counted, recomputation and the front end are
not. Recurrent layers are not counted by PyTorch's counter, so that the DCASE baseline's MFU is a
lower bound.

References
----------
.. [1] A. Chowdhery et al., "PaLM: Scaling Language Modeling with Pathways", 2022, section 4.1.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from earmark.models.support.adapter import require
from earmark.models.training.config import Precision
from earmark.models.training.optimisation import running_statistics

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


# Dense peaks of the makers' data sheets, in 1e12 FLOP/s: half precision with single-precision sums,
# and single precision without TensorFloat-32.
_PEAKS = {
    "H200": (989.0, 67.0),
    "H100 PCIe": (756.0, 51.0),
    "H100 NVL": (835.0, 60.0),
    "H100": (989.0, 67.0),
    "A100": (312.0, 19.5),
    "L40S": (362.0, 91.6),
    "L4": (121.0, 30.3),
    "A10G": (70.0, 35.0),
    "T4": (65.0, 8.1),
    "V100": (125.0, 15.7),
    "RTX 4090": (165.2, 82.6),
    "RTX 3090": (71.0, 35.6),
}


def peak_flops(device: torch.device, precision: Precision) -> float | None:
    """Return a device's peak in FLOP/s, or None where it is not known, as of CPUs."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    column = 1 if precision == "fp32" else 0
    # The longest name first: "H100 PCIe" before "H100", "L40S" before "L4".
    for known in sorted(_PEAKS, key=len, reverse=True):
        if known in name:
            return _PEAKS[known][column] * 1e12
    return None


def training_flops(module: nn.Module, inputs: Mapping[str, Tensor]) -> int:
    """Return the FLOPs of encoding a micro-batch forward and backward: three times forward."""
    counter = FlopCounterMode(display=False)
    device = next(module.parameters()).device
    devices = [device] if device.type == "cuda" else []
    with (
        torch.no_grad(),
        torch.random.fork_rng(devices=devices),
        running_statistics(module, moved=False),
        counter,
    ):
        module(inputs)
    return 3 * int(counter.get_total_flops())


class Meter:
    """Counts samples, time and waiting between two readings."""

    def __init__(self, *, peak: float | None) -> None:
        self.peak = peak
        self.flops_a_sample: float | None = None
        self.restart()

    def restart(self) -> None:
        """Forget what was counted."""
        self._since = time.perf_counter()
        self._samples = 0
        self._waited = 0.0

    @property
    def seconds(self) -> float:
        """Since the last reading."""
        return time.perf_counter() - self._since

    def count(self, samples: int, *, waited: float) -> None:
        """Add a step of this process: its samples, and the seconds it waited for them."""
        self._samples += samples
        self._waited += waited

    def read(self, *, processes: int = 1) -> dict[str, float | None]:
        """Return samples a second of all processes, waiting's share and MFU; and begin anew.

        MFU is None where FLOPs or the peak are not known.
        """
        seconds = max(self.seconds, 1e-9)
        rate = self._samples / seconds
        mfu = None
        if self.flops_a_sample is not None and self.peak is not None:
            mfu = rate * self.flops_a_sample / self.peak
        waited = self._waited / seconds
        self.restart()
        return {"samples_per_second": rate * processes, "data_wait": waited, "mfu": mfu}
