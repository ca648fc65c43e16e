"""What each of two processes does: trains a list of jobs, as torchrun would have started it."""

import os

import torch
from training_runs import CosineOfPairs

from earmark.models.base import ModelError
from earmark.models.training.config import parse_plain
from earmark.models.training.train import train


class Failing(CosineOfPairs):
    """Ends the process that FAILING_RANK names at its first validation."""

    def __call__(self, embedded):
        if os.environ.get("FAILING_RANK") == os.environ["RANK"]:
            raise ModelError("planted")
        return super().__call__(embedded)


def train_jobs(jobs):
    torch.set_num_threads(1)
    for job in jobs:
        config = parse_plain(job["config"], of=job["out"])
        train(config, job["out"], score=Failing(), tell=print)
