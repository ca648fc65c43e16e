"""Pairwise agreement: which of two clips is higher, as listeners say."""

from earmark.bench.metrics.pairs import pairwise
from earmark.metrics.arrays import taking_tensors

__all__ = ["calibration", "evaluate"]

evaluate = taking_tensors(pairwise.evaluate)
calibration = taking_tensors(pairwise.calibration)
