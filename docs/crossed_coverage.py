"""How often an interval over triplets and annotators holds the truth, and one over triplets alone.

``python docs/crossed_coverage.py [--studies 2000]`` draws studies in which some triplets are easier
and some annotators more skilled, and counts how often each 95 % interval of the mean over
judgements covers the population's mean. Crossed: each annotator judges all triplets, as in a small
study of one's own. Nested: three judge each chunk of triplets, as in MusAV.
"""

from __future__ import annotations

import argparse

import numpy as np

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.pairs.crossed import crossed_mean
from earmark.bench.metrics.statistics import estimate_ratio

DESIGNS = (("crossed", 60, 6), ("crossed", 100, 12), ("nested", 210, 21), ("nested", 699, 21))
MEAN, SD_TRIPLET, SD_ANNOTATOR = 1.0, 0.5, 0.4
"""Of the logit of being right: about the spread of MusAV's annotators."""


def design(kind: str, n_triplets: int, n_people: int) -> tuple[Floats, Floats]:
    """Return the triplet and the annotator of each judgement: three pairs per triplet."""
    rows = []
    for triplet in range(n_triplets):
        chunk = 3 * (triplet * (n_people // 3) // n_triplets)
        people = range(chunk, chunk + 3) if kind == "nested" else range(n_people)
        rows += [(triplet, person) for person in people for _ in range(3)]
    triplets, people = np.array(rows).T
    return triplets, people


def main() -> None:
    """Print a row per design."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    studies = parser.parse_args().studies
    rng = np.random.default_rng(0)
    spread = np.hypot(SD_TRIPLET, SD_ANNOTATOR)
    truth = float(np.mean(1 / (1 + np.exp(-(MEAN + spread * rng.normal(size=2_000_000))))))
    print(f"{studies} studies a design; of the mean {truth:.4f}, 95 % intervals hold (%):")
    print("design   triplets annotators  over both  over triplets alone")
    for kind, n_triplets, n_people in DESIGNS:
        triplets, people = design(kind, n_triplets, n_people)
        hits = np.zeros(2)
        for _ in range(studies):
            easy = SD_TRIPLET * rng.normal(size=n_triplets)
            skill = SD_ANNOTATOR * rng.normal(size=n_people)
            chance = 1 / (1 + np.exp(-(MEAN + easy[triplets] + skill[people])))
            right = (rng.random(len(chance)) < chance).astype(float)
            both = crossed_mean(right, triplets, people).interval
            alone = estimate_ratio(
                np.stack([right, np.ones(len(right))], axis=1), units=triplets
            ).interval
            for place, found in enumerate((both, alone)):
                assert found is not None
                hits[place] += found.low <= truth <= found.high
        shown = 100 * hits / studies
        print(f"{kind:8} {n_triplets:8} {n_people:10} {shown[0]:10.1f} {shown[1]:20.1f}")


if __name__ == "__main__":
    main()
