import math
import subprocess
import sys

import pytest

from earmark.bench.metrics import regression
from earmark.bench.metrics.base import Metric
from earmark.bench.metrics.pairs import agreement, pairwise

METRICS = [
    *regression.METRICS,
    pairwise.PAIRWISE_ACCURACY,
    agreement.KRIPPENDORFF_ALPHA,
    agreement.OBSERVED_AGREEMENT,
    agreement.HUMAN_REFERENCE,
]


def test_names_are_unique():
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_errors_are_better_low_and_all_else_high():
    low = {metric.name for metric in METRICS if not metric.higher_is_better}
    assert low == {"rmse", "mae"}
    assert regression.RMSE.better(0.1, 0.2)
    assert regression.CCC.better(0.2, 0.1)


def test_nothing_is_better_than_nan_nor_nan_than_anything():
    for metric in (regression.RMSE, regression.R2):
        assert not metric.better(math.nan, 0.0)
        assert not metric.better(0.0, math.nan)
        assert not metric.better(0.5, 0.5)


def test_bounds_and_chance_must_fit_each_other():
    with pytest.raises(ValueError, match="x: expected lower < upper, got 1 and 0"):
        Metric("x", higher_is_better=True, lower=1, upper=0, chance=None)
    with pytest.raises(ValueError, match=r"x: chance 2 is outside \[0, 1\]"):
        Metric("x", higher_is_better=True, lower=0, upper=1, chance=2)


def test_the_metrics_load_numpy_and_nothing_heavier():
    names = ("pairs.agreement", "pairs.pairwise", "regression")
    modules = [f"earmark.bench.metrics.{name}" for name in names]
    code = f"import sys, {', '.join(modules)}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"scipy", "pandas", "torch", "sklearn", "matplotlib", "pydantic"}
