"""What all datasets share: the card of a folder that a program filled says so."""

import json

import pytest

from earmark.datasets.base import MARKER, DataError, DatasetCard, with_origin

CARD = DatasetCard("gtzan", "GTZAN", "1.0", "none", "@a", "there", notes=("faulty", "3 clips"))
SAID = {
    "title": "Etude (synthetic)",
    "version": "1",
    "licence": "none needed",
    "citation": "@misc{e}",
    "source": "made here",
    "synthetic": True,
    "notes": ["made by a program"],
    "seed": 7,
}


def test_a_folder_without_a_marker_keeps_its_card(tmp_path):
    assert with_origin(CARD, tmp_path) is CARD


@pytest.mark.parametrize("root", [".", "genres"])
def test_a_marked_folder_says_what_it_is_also_one_level_further_in(tmp_path, root):
    (tmp_path / "genres").mkdir()
    (tmp_path / MARKER).write_text(json.dumps(SAID))
    card = with_origin(CARD, tmp_path / root, of_original=["faulty"])
    assert (card.id, card.title, card.version) == ("gtzan", "Etude (synthetic)", "1")
    assert (card.licence, card.citation, card.source) == ("none needed", "@misc{e}", "made here")
    assert card.synthetic
    assert card.notes == ("in the layout of GTZAN", "made by a program", "3 clips")


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps(SAID | {"notes": None})])
def test_a_marker_that_cannot_be_read_is_no_reason_to_take_a_folder_for_the_real_one(
    tmp_path, content
):
    (tmp_path / MARKER).write_text(content)
    with pytest.raises(DataError, match=r"etude\.json says that a program made these files, but"):
        with_origin(CARD, tmp_path)


def test_only_a_plain_false_takes_the_word_synthetic_away(tmp_path):
    (tmp_path / MARKER).write_text(json.dumps(SAID | {"synthetic": None}))
    assert with_origin(CARD, tmp_path).synthetic
