"""Regression: Pearson's r, R², RMSE, MAE and the concordance correlation."""

from earmark.bench.metrics import regression
from earmark.metrics.arrays import taking_tensors

__all__ = ["evaluate"]

evaluate = taking_tensors(regression.evaluate)
