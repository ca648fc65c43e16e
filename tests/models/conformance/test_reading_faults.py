"""Each fault planted in a model that reads fails under its own name."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from honest_models import CARD, Hears, Reads, failures, statuses

from earmark.models.base import ModelError


class ReadsNothing(Reads):
    def counts(self, text):
        return np.ones(15) + 0.01 * super().counts(text)


class BreaksOnAnEmptyText(Reads):
    def counts(self, text):
        return super().counts(text) / len(text.split())


class RaisesOnAnEmptyText(Reads):
    def counts(self, text):
        return super().counts(text) + 0 * ord(text.strip()[0])


class SkipsAnEmptyText(Reads):
    def embed_text(self, texts):
        return super().embed_text([text for text in texts if text.strip()] or ["a", "b"])


class HasAWiderVectorForAnEmptyText(Reads):
    def embed_text(self, texts):
        rows = super().embed_text(texts)
        return rows if texts[0].strip() else np.pad(rows, ((0, 0), (0, 1)))


class ReadsASCIIOnly(Reads):
    def counts(self, text):
        return super().counts(text.encode("ascii").decode())


class TruncatesInSilence(Reads):
    def counts(self, text):
        return super().counts(" ".join(text.split()[:77]))


class CannotReadLongTexts(Reads):
    def counts(self, text):
        if len(text.split()) > 77:
            raise IndexError("index out of range in self")
        return super().counts(text)


class PadsTextsWithAWord(Reads):
    def embed_text(self, texts):
        longest = max(len(text.split()) for text in texts)
        return super().embed_text(
            [" ".join(text.split() + ["pad"] * (longest - len(text.split()))) for text in texts]
        )


class SortsItsTexts(Reads):
    def embed_text(self, texts):
        texts.sort()
        return super().embed_text(texts)


class HasANormOfTwo(Reads):
    def embed_text(self, texts):
        return 2 * super().embed_text(texts)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (ReadsNothing, {"not_collapsed"}),
        (BreaksOnAnEmptyText, {"empty"}),
        (RaisesOnAnEmptyText, {"empty"}),
        (SkipsAnEmptyText, {"empty"}),
        (HasAWiderVectorForAnEmptyText, {"empty"}),
        (ReadsASCIIOnly, {"unicode"}),
        (TruncatesInSilence, {"truncation"}),
        (CannotReadLongTexts, {"very_long"}),
        (HasANormOfTwo, {"unit_norm"}),
        (SortsItsTexts, {"order", "input_unmodified"}),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_fault_of_reading_fails_under_its_name(model, names):
    assert failures(model()) == {f"text.{name}" for name in names}


def test_padding_of_texts_is_named():
    # Texts of unlike words are of unlike lengths too, so that the batch itself shows it.
    assert failures(PadsTextsWithAWord()) == {"text.batch_size"}


def test_the_collapsed_tower_is_named():
    class Both(Hears, ReadsNothing):
        """Hears well and reads nothing."""

    found = statuses(Both())
    assert failures(Both()) == {"text.not_collapsed"}
    assert "the text tower is collapsed" in found["text.not_collapsed"].detail
    assert "by their texts" in found["audio.toy_task"].detail


@pytest.mark.parametrize("told", ["card", "warning"])
def test_truncation_that_is_told_passes(told):
    class Truncates(TruncatesInSilence):
        card = (
            dataclasses.replace(CARD, preprocessing={"longer_texts": "truncated to 77 words"})
            if told == "card"
            else CARD
        )

        def counts(self, text):
            if told == "warning" and len(text.split()) > 77:
                warnings.warn("text truncated to 77 words", stacklevel=2)
            return super().counts(text)

    found = statuses(Truncates())["text.truncation"]
    assert (found.status, told in found.detail) == ("pass", True)


@pytest.mark.parametrize("kind", [ModelError, ValueError])
def test_a_refusal_must_be_a_model_error(kind):
    class RefusesAnEmptyText(Reads):
        def counts(self, text):
            if not text.strip():
                raise kind("text 0 is empty")
            return super().counts(text)

    found = statuses(RefusesAnEmptyText())["text.empty"]
    assert "text 0 is empty" in found.detail
    assert found.status == ("pass" if kind is ModelError else "fail")
