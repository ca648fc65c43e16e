"""Tagging: macro ROC-AUC and average precision over tags."""

from earmark.bench.metrics import tagging
from earmark.metrics.arrays import taking_tensors

__all__ = ["evaluate"]

evaluate = taking_tensors(tagging.evaluate)
