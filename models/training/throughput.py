"""How fast training is: samples a second, the share of time spent waiting, and MFU.

MFU, the model FLOPs utilisation [1]_, is what the model's own products would take at the device's
peak over what they took: forward and backward are counted, recomputation and the front end are
not. Recurrent layers are not counted by PyTorch's counter, so that the DCASE baseline's MFU is a
lower bound.

References
----------
.. [1] A. Chowdhery et al., "PaLM: Scaling Language Modeling with Pathways", 2022, section 4.1.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from earmark.models.training.config import Precision
from earmark.models.training.optimisation import running_statistics

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
