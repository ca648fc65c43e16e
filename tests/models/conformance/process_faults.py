"""Models that are others in another process; a module, so that one can import them."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
from honest_models import CARD, Reads


class HasAVectorAProcess(Reads):
    def counts(self, text):
        return super().counts(text) + 0.1 * np.random.default_rng(os.getpid()).random(15)


class HasACardAProcess(Reads):
    def __init__(self):
        self.card = dataclasses.replace(CARD, id=f"model-{os.getpid()}")


class EndsItsProcess(Reads):
    def __init__(self, *, but):
        if os.getpid() != but:
            os._exit(1)


class CannotBeMadeTwice(Reads):
    def __init__(self, *, but):
        if os.getpid() != but:
            raise OSError("the device is taken")
