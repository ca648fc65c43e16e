"""Classification: accuracy, balanced accuracy, macro F1 and top-k accuracy."""

from earmark.bench.metrics import classification
from earmark.metrics.arrays import taking_tensors

__all__ = ["encode", "evaluate"]

encode = taking_tensors(classification.encode)
evaluate = taking_tensors(classification.evaluate)
