"""Pairwise agreement: which of two clips is higher, as listeners say."""

from earmark.bench.metrics.pairs import calibration as calibrated
from earmark.bench.metrics.pairs import crossed, pairwise, reliability, strengths
from earmark.metrics.arrays import taking_tensors

__all__ = [
    "bradley_terry",
    "brier_score",
    "calibration",
    "calibration_error",
    "crossed_mean",
    "evaluate",
    "listener_reliability",
    "log_loss",
    "logistic_link",
    "selective_accuracy",
    "strength_correlation",
]

evaluate = taking_tensors(pairwise.evaluate)
calibration = taking_tensors(pairwise.calibration)
logistic_link = taking_tensors(calibrated.logistic_link)
log_loss = taking_tensors(calibrated.log_loss)
brier_score = taking_tensors(calibrated.brier_score)
calibration_error = taking_tensors(calibrated.calibration_error)
selective_accuracy = taking_tensors(calibrated.selective_accuracy)
crossed_mean = taking_tensors(crossed.crossed_mean)
bradley_terry = taking_tensors(strengths.bradley_terry)
strength_correlation = taking_tensors(strengths.correlation)
listener_reliability = taking_tensors(reliability.reliability)
