"""Essentia in a process of its own: imported late, silent, and at peace with torch."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("essentia_installed")


def run_python(program, *arguments):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )


PREDICT = """
import sys
import numpy as np
from earmark.datasets.audio import Waveform
from earmark.models.essentia.av import essentia_av
model = essentia_av(head="hidden", backbone="backbone", weights=sys.argv[1], loudness=-20)
assert "essentia" not in sys.modules, "imported before it is needed"
clip = Waveform(np.sin(np.arange(6 * 22050) / 9).astype(np.float32), 22050)
print(*model.predict_av([clip])[0])
"""
TRAIN = """
import torch
layer = torch.nn.Linear(64, 64)
layer(torch.ones(8, 64)).sum().backward()
assert layer.weight.grad.isfinite().all()
"""


def test_essentia_is_imported_late_and_says_nothing(weights):
    done = run_python(PREDICT, weights)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_torch_may_be_used_before_and_after(weights):
    pytest.importorskip("torch")
    alone = run_python(PREDICT, weights)
    for program in (TRAIN + PREDICT, PREDICT + TRAIN):
        done = run_python(program, weights)
        assert done.returncode == 0, done.stderr
        assert done.stdout == alone.stdout
