"""A tagger as a joint model: its score in zero-shot tagging is that of its probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from earmark.bench.tasks.vectors import JointVectors
from earmark.bench.tasks.zero_shot.task import ZeroShotTagging
from earmark.datasets.audio import Waveform
from earmark.datasets.base import Clip, DatasetCard, Tagged
from earmark.datasets.magnatagatune import TOP_50
from earmark.models.adapters.own_tags import OwnTags
from earmark.models.base import ModelCard, ModelError
from earmark.models.musicnn.checkpoints import MSD_TAGS, RELEASED
from earmark.reports.findings.task import has_seen

CARD = ModelCard("tagger", "1", "0" * 64, "ISC", "@misc{}", ("magnatagatune",), "whole")


class Tagger:
    """Its probabilities are the first samples of a clip."""

    card = CARD
    sample_rate = None

    def __init__(self, tags):
        self.tags = tags

    def probabilities(self, clip):
        return clip.samples[: len(self.tags)]


def clips_of(probabilities):
    return [Waveform(row.astype(np.float32), 16_000) for row in probabilities]


def test_tagging_scores_are_those_of_the_probabilities_by_name():
    rng = np.random.default_rng(0)
    labels = (rng.random((300, 50)) < 0.2).astype(np.uint8)
    # From almost sure to one in a million, as sigmoids give them.
    probabilities = 1 / (1 + np.exp(-(rng.normal(-6, 4, (300, 50)) + 2 * labels)))
    order = rng.permutation(50)  # the tagger's own order of the tags
    model = OwnTags(Tagger(tuple(TOP_50[i] for i in order)))
    vectors = model.embed_audio(clips_of(probabilities[:, order]))
    assert vectors.shape == (300, 51) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    prompts = ("{label}", "A {label} track", "{label} music", "this sounds like {label}")
    texts = tuple(prompt.replace("{label}", tag) for prompt in prompts for tag in TOP_50)
    clips = tuple(Clip(str(index), None) for index in range(300))
    card = DatasetCard("magnatagatune", "MagnaTagATune", "1", "", "", "")
    dataset = Tagged(card, clips, TOP_50, labels, "won2020/test", ("test",) * 300, "rule", "0")
    joint = JointVectors(clips, {"own": vectors}, texts, {"own": model.embed_text(texts)})
    result = ZeroShotTagging().evaluate(dataset, joint, replicates=100).result
    heard = probabilities.astype(np.float32)
    for metric, function in (
        ("roc_auc", roc_auc_score),
        ("average_precision", average_precision_score),
    ):
        found = {one.subset: one.value for one in result.scores if one.metric == metric}
        expected = function(labels, heard, average="macro")
        for subset in (*prompts, "ensemble"):
            assert found[subset] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("tags", [TOP_50, MSD_TAGS], ids=["MagnaTagATune", "MSD"])
def test_every_tag_is_read_in_every_prompt_of_the_tasks(tags):
    model = OwnTags(Tagger(tags))
    for prompt in (
        "{}",
        "A {} track",
        "{} music",
        "this sounds like {}",
        "This audio is a {} song.",
    ):
        rows = model.embed_text([prompt.format(tag) for tag in tags])
        np.testing.assert_array_equal(rows, np.eye(50, 51))


def test_names_are_whole_words_and_the_longest_counts():
    model = OwnTags(Tagger(("vocals", "no vocals", "Hip-Hop", "rock", "classic rock", "jazz")))
    wanted = {"NO vocals": 1, "a song with vocals.": 0, "hip hop": 2, "classic rock!": 4}
    found = model.embed_text(list(wanted)).argmax(axis=1)
    assert found.tolist() == list(wanted.values())
    for text, said in (
        ("rocking vocalists", "names none of its tags"),
        ("", "names none of its tags"),
        ("rock or jazz", "names 'rock' and 'jazz'"),
    ):
        with pytest.raises(ModelError, match=said):
            model.embed_text([text])


def test_values_that_are_no_probabilities_are_refused():
    model = OwnTags(Tagger(("rock", "jazz")))
    for samples in ([0.5], [0.5, 1.5], [-0.1, 0.5], [np.nan, 0.5]):
        with pytest.raises(ModelError, match="expected a probability in"):
            model.embed_audio([Waveform(np.array(samples, np.float32), 16_000)])
    with pytest.raises(ModelError, match="has a tag twice"):
        OwnTags(Tagger(("Hip-Hop", "hip hop")))


def test_what_was_trained_on_the_set_counts_as_contaminated():
    model = OwnTags(Tagger(TOP_50))
    assert model.card.id == "tagger-tags" and "Supervised" in model.card.notes[-1]
    for name, released in RELEASED.items():
        entry = type("Entry", (), {"training_datasets": [released.training_dataset]})()
        assert has_seen(entry, "magnatagatune", "MagnaTagATune") == name.startswith("MTT")
