"""What somebody else's file says reaches no import, no path outside its place, and no program.

One test for each place that had none. Others are tested beside their code: captions, pickles and
records of ``report --audio`` in `tests/datasets`, `tests/models` and `tests/bench`; HTML, Typst
and Markdown in `tests/reports`.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from av_worlds import BandPatches
from gated_runs import recording

from earmark.bench.embeddings.shards import Shard
from earmark.bench.gate.baseline import write_baseline
from earmark.bench.run.environment import git_state
from earmark.datasets.base import DataError
from earmark.datasets.ratings.folder import load_rated_folder
from earmark.datasets.registry import named_by
from earmark.models.adapters.locked import Learned, Projection, save_learned
from earmark.models.adapters.muq_mulan import muq_mulan
from earmark.models.adapters.sentence_bert import sentence_bert
from earmark.models.av_heads.head import Head, TrainedHead, save_head
from earmark.models.base import ModelError
from earmark.models.registry import MODELS
from earmark.models.support.pretrained import pretrained_folder
from earmark.models.support.weights import Tower, tower_of
from earmark.models.training.task import write_words
from earmark.reports.record import files as record_io
from earmark.reports.record.schema import RecordError

TRUSTED = "av_worlds:BandPatches"
SHELL = "os:system"


def a_head(path: Path, loader: str, options: dict[str, object], *, name: str = "gift") -> Path:
    card = BandPatches().card
    d = BandPatches.dimension
    head = Head(np.zeros(d), np.ones(d), np.ones((d, 2)), np.zeros(2))
    embedder = tower_of(card, loader=loader, options=options)
    save_head(TrainedHead(name, head, embedder, datasets=(), licence="CC0-1.0"), path)
    return path


def two_towers(path: Path, loader: str, options: dict[str, object]) -> Path:
    tower = Tower(loader, options, "bands", "1", "b" * 64)
    side = Projection(np.zeros(16), 1.0, np.ones((16, 2)))
    save_learned(Learned(side, side, 0.1, tower, tower, (), "CC0-1.0", {}), path)
    return path


def nestings(tmp_path: Path) -> dict[str, tuple[str, dict[str, object]]]:
    """Loaders and options that start a shell, by how: at once, or through registered models."""
    shell = {"loader": SHELL, "command": f"touch {tmp_path / 'planted'}"}
    code = tmp_path / "code.py"
    code.write_text(f"open({str(tmp_path / 'planted')!r}, 'w')\ndef make(): ...\n")
    inner = a_head(tmp_path / "inner.safetensors", SHELL, {"command": shell["command"]})
    return {
        "at once": (SHELL, {"command": shell["command"]}),
        "a path": (f"{code}:make", {}),
        "an ensemble": ("av-ensemble", {"models": [shell], "moments": "none"}),
        "a joint ensemble": ("ensemble", {"models": [shell]}),
        "an axis": ("text-axis", {"model": SHELL, "command": shell["command"]}),
        "a trusting head": (
            "av-head",
            {"weights": str(inner), "towers": "trust"},
        ),
    }


@pytest.mark.parametrize("kind", ["av-head", "locked"])
@pytest.mark.parametrize(
    "how", ["at once", "a path", "an ensemble", "a joint ensemble", "an axis", "a trusting head"]
)
def test_a_weights_file_opens_registered_loaders_alone(tmp_path, kind, how):
    loader, options = nestings(tmp_path)[how]
    make = a_head if kind == "av-head" else two_towers
    file = make(tmp_path / "weights.safetensors", loader, options)
    with pytest.raises(DataError, match=r"names the loader '.*', which is no registered") as caught:
        MODELS.create(kind, {"weights": str(file)})
    assert str(file) in str(caught.value)
    assert (SHELL if how != "a path" else "code.py:make") in str(caught.value)
    assert 'towers = "trust"' in str(caught.value)
    assert not (tmp_path / "planted").exists()


def test_a_user_who_trusts_a_weights_file_or_names_the_tower_gets_it(tmp_path):
    file = a_head(tmp_path / "head.safetensors", TRUSTED, {})
    with pytest.raises(DataError, match=TRUSTED):
        MODELS.create("av-head", {"weights": str(file)})
    for given in ({"towers": "trust"}, {"embedder": {"loader": TRUSTED}}):
        model = MODELS.create("av-head", {"weights": str(file)} | given)
        assert model.card.id == "gift@bands"
    with pytest.raises(ModelError, match="towers = 'yes', expected 'registered' or 'trust'"):
        MODELS.create("av-head", {"weights": str(file), "towers": "yes"})


@pytest.mark.parametrize("loader", [["os", "system"], None, 5])
def test_a_tower_that_is_no_text_is_a_damaged_file(tmp_path, loader):
    with pytest.raises(TypeError, match="loader of a tower"):
        Tower(loader, {}, "x", "1", "b")


def test_nothing_is_downloaded_because_a_file_says_so(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def snapshot_download(name, **options):
        asked.append(options["local_files_only"])
        raise OSError("not in the cache")

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    with pytest.raises(ModelError), named_by("a file", fix=""):
        pretrained_folder("somebody/model", revision=None, extra="clap", of="clap")
    with pytest.raises(ModelError):
        pretrained_folder("somebody/model", revision=None, extra="clap", of="clap")
    assert asked == [True, False]


@pytest.mark.parametrize(
    ("place", "content", "named"),
    [
        ("modules.json", [{"path": "", "type": "planted_module.Model"}], "planted_module.Model"),
        ("modules.json", [{"path": ""}], "damaged"),
        ("config.json", {"activation_function": "planted_module.Model"}, "planted_module.Model"),
    ],
)
def test_a_folder_of_sentence_bert_names_classes_of_its_library_alone(
    tmp_path, place, content, named
):
    own = [{"path": "", "type": "sentence_transformers.models.Transformer"}]
    (tmp_path / "modules.json").write_text(json.dumps(own))
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / place).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=f"{place} .*{named}|{named}"):
        sentence_bert(weights=str(tmp_path))


def test_clap_asks_for_no_code_that_lies_with_the_weights(monkeypatch, tmp_path):
    transformers = pytest.importorskip("transformers")
    from earmark.models.adapters.clap import clap

    given = []

    def from_pretrained(folder, **options):
        given.append(options["trust_remote_code"])
        return None, {}

    monkeypatch.setattr(transformers.ClapModel, "from_pretrained", from_pretrained)
    monkeypatch.setattr(transformers.ClapProcessor, "from_pretrained", from_pretrained)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(AttributeError):  # nothing was loaded, which is enough here
        clap(weights=str(tmp_path))
    assert given == [False, False]


@pytest.mark.parametrize("side", ["audio_model", "text_model"])
def test_a_folder_of_muq_mulan_names_towers_of_the_release_alone(monkeypatch, tmp_path, side):
    monkeypatch.setattr("earmark.models.adapters.muq_mulan.require", lambda *names, **options: None)
    released = {"audio_model": "OpenMuQ/MuQ-large-msd-iter", "text_model": "xlm-roberta-base"}
    config = {name: {"name": value} for name, value in released.items()}
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="cannot be loaded as MuQ-MuLan"):  # there is no package
        muq_mulan(weights=str(tmp_path))
    config[side] = {"name": "somebody/xlm-roberta-base"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"{side} 'somebody/xlm-roberta-base'"):
        muq_mulan(weights=str(tmp_path))
    with pytest.raises(ModelError, match="cannot be loaded as MuQ-MuLan"):
        muq_mulan(weights=str(tmp_path), towers="trust")


@pytest.mark.parametrize("name", ["../../planted", "/planted", "sub/vocab.json", ""])
def test_words_of_a_checkpoint_are_written_under_their_own_names(tmp_path, name):
    with pytest.raises(ModelError, match=r"expected some of vocabulary\.json"):
        write_words({"vocab.json": "{}", name: "planted"}, tmp_path / "a" / "b")
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["../precious", "/precious", "a/b", ".."])
def test_a_suite_name_in_a_record_names_no_other_folder(tmp_path, name):
    """A baseline is written to ``out/<suite>``, and what was there before is removed."""
    run = recording(run="base", tasks=("genres",))
    place = run.write(tmp_path)
    content = json.loads((place / "run.json").read_text())
    content["suite"]["name"] = name
    (place / "run.json").write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"suite\.name"):
        record_io.read(place)


def test_a_folder_that_is_no_baseline_is_not_replaced_by_one(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "work.txt").write_text("years")
    run = recording(run="base", tasks=("genres",))
    with pytest.raises(RecordError, match="precious is there and no baseline"):
        write_baseline(run.evidence(), tmp_path / "precious", reason="first")
    assert (tmp_path / "precious" / "work.txt").read_text() == "years"


@pytest.mark.parametrize("name", ["../shard-0123456789abcdef.safetensors", "/etc/passwd"])
def test_an_index_of_the_store_names_shards_alone(name):
    line = json.dumps({"shard": name, "size": 1, "header": "00", "rows": {}})
    with pytest.raises(ValueError, match="is not a shard's name"):
        Shard.from_line(line)


@pytest.mark.parametrize("key", ["ratings", "audio"])
@pytest.mark.parametrize("value", ["/etc/hostname", "../other", "a/../../other"])
def test_the_description_of_a_rated_folder_names_what_lies_below_it(tmp_path, key, value):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "dataset.toml").write_text(f'scale = [1, 9]\n{key} = "{value}"\n')
    with pytest.raises(DataError, match=f"{key} '{value}' leads out of"):
        load_rated_folder(folder)


def test_a_checkout_that_names_a_program_does_not_get_it_run(tmp_path):
    planted = tmp_path / "planted"
    for command in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "x", "--allow-empty"],
        ["config", "core.fsmonitor", f"touch {planted}; false"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    commit, dirty = git_state(tmp_path)
    assert commit is not None
    assert dirty is False
    assert not planted.exists()
