"""``earmark train`` with the preset ``locked``: from two files to a model that a suite names."""

from __future__ import annotations

import json

import numpy as np
import pytest

from earmark.bench.cli.train import train
from earmark.datasets.base import DataError
from earmark.datasets.files.data_paths import placed
from earmark.models.base import ModelError
from earmark.models.registry import MODELS


@pytest.fixture
def config_file(tmp_path):
    draws = np.random.default_rng(0)
    names = [f"item{number}" for number in range(30)]
    np.savez(tmp_path / "means.npz", songids=names, embeddings=draws.standard_normal((30, 12)))
    rows = "".join(f"{name},text {number % 7}\n" for number, name in enumerate(names))
    (tmp_path / "texts.csv").write_text("id,caption\n" + rows)
    path = tmp_path / "mine.toml"
    path.write_text(
        'preset = "locked"\n[data]\nembeddings = "means.npz"\ntexts = "texts.csv"\n'
        '[audio]\nloader = "random"\ndimension = 12\n[text]\nloader = "random"\ndimension = 8\n'
        "[training]\nepochs = 1\nbatch_size = 8\n"
    )
    return path


def test_the_folder_it_writes_is_what_a_suite_names(config_file, tmp_path, capsys):
    train(config_file, out=tmp_path / "trained")
    shown = capsys.readouterr().out
    assert "30 pairs of 30 items and 7 texts" in shown
    assert f'weights = "{tmp_path / "trained"}"' in shown
    model = MODELS.create("locked", {"weights": str(tmp_path / "trained")})
    assert model.card.id == "locked-trained"
    assert model.embed_text(["text 1"]).shape == (1, 8)


def test_facts_are_printed_for_machines(config_file, tmp_path, capsys):
    train(config_file, out=tmp_path / "trained", json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["pairs"] == 30 and found["seconds"] > 0 and len(found["pairs_sha256"]) == 64


def test_there_is_nothing_to_resume(config_file, tmp_path):
    with pytest.raises(ModelError, match="leave out --resume"):
        train(config_file, out=tmp_path / "trained", resume=True)


def test_places_are_found_inside_lists_and_tables(tmp_path, monkeypatch):
    (tmp_path / "data" / "set").mkdir(parents=True)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.setenv("EARMARK_DATA", str(tmp_path / "data"))
    given = {"a": [{"root": "{data}/set", "n": 3}], "b": "{models}/mine", "c": "a {data} in words"}
    expected = {
        "a": [{"root": str((tmp_path / "data" / "set").resolve()), "n": 3}],
        "b": str((tmp_path / "models" / "mine").resolve()),
        "c": "a {data} in words",
    }
    assert placed(given) == expected
    with pytest.raises(DataError, match="absent not found"):
        placed(["{data}/absent"])
