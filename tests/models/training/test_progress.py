"""FLOPs against hand counts, peaks by device, shares of time."""

import pytest
import torch
from torch import nn

from earmark.models.training import progress
from earmark.models.training.progress import Meter, peak_flops, training_flops


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(10, 20), nn.BatchNorm1d(20), nn.Dropout(0.5))

    def forward(self, inputs):
        return {"audio": self.net(inputs["x"])}


def test_flops_are_three_times_forward_and_nothing_else_changes():
    module = Encoder()
    before = [buffer.clone() for buffer in module.buffers()]
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    # A product of n x 10 and 10 x 20 takes 2 * n * 10 * 20 FLOPs.
    assert training_flops(module, {"x": torch.ones(6, 10)}) == 3 * 2 * 6 * 10 * 20
    assert torch.equal(torch.rand(1), expected)
    for one, other in zip(before, module.buffers(), strict=True):
        assert torch.equal(one, other)
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "precision", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989e12),
        ("NVIDIA H100 PCIe", "bf16", 756e12),
        ("NVIDIA H100 80GB HBM3", "fp32", 67e12),
        ("NVIDIA L40S", "fp16", 362e12),
        ("NVIDIA L4", "fp16", 121e12),
        ("A card of next year", "bf16", None),
    ],
)
def test_peaks_are_found_by_the_longest_name(monkeypatch, name, precision, expected):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak_flops(torch.device("cuda"), precision) == expected


def test_a_cpus_peak_is_not_known():
    assert peak_flops(torch.device("cpu"), "fp32") is None


def test_rates_are_over_the_time_since_the_last_reading(monkeypatch):
    clock = iter((0.0, 4.0, 4.0, 6.0, 6.0))
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    meter = Meter(peak=1000.0)
    meter.flops_a_sample = 50.0
    meter.count(8, waited=1.0)
    found = meter.read(processes=2)
    assert found == {"samples_per_second": 4.0, "data_wait": 0.25, "mfu": 0.1}
    assert meter.read()["samples_per_second"] == 0.0
