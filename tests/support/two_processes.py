"""Started as each of two processes, as torchrun starts them: trains what a JSON file lists."""

import json
import os
import sys
from pathlib import Path

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


def main(listed: Path) -> None:
    torch.set_num_threads(1)
    for job in json.loads(listed.read_text()):
        config = parse_plain(job["config"], of=job["out"])
        train(config, job["out"], score=Failing(), tell=print)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
