"""MSD-MusiCNN as a tagger: the probabilities of 50 tags, from Essentia's released graph.

The same graph that embeds (``model/dense/BiasAdd``) ends in a sigmoid a tag (``model/Sigmoid``); a
clip's probabilities are their mean over its patches, as in the released examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.datasets.base import DataError
from earmark.datasets.files.fetch import available, find_weights
from earmark.models.base import Floats, ModelCard, ModelError
from earmark.models.essentia.backbones import EssentiaBackbone
from earmark.models.essentia.essentia_graph import Graph, read_graph

MSD_TAGS = (
    *("rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s"),
    *("alternative rock", "jazz", "beautiful", "metal", "chillout", "male vocalists"),
    *("classic rock", "soul", "indie rock", "Mellow", "electronica", "80s", "folk", "90s", "chill"),
    *("instrumental", "punk", "oldies", "blues", "hard rock", "ambient", "acoustic"),
    *("experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country"),
    *("easy listening", "sexy", "catchy", "funk", "electro", "heavy metal", "Progressive rock"),
    *("60s", "rnb", "indie pop", "sad", "House", "happy"),
)
"""In the order of the released graph's outputs, as its metadata lists them."""
_NAME, _INPUT, _OUTPUT = "msd-musicnn-1", "model/Placeholder", "model/Sigmoid"


class Tagger(Protocol):
    """Hears how probable each of its tags is."""

    card: ModelCard
    tags: tuple[str, ...]
    sample_rate: int | None

    def probabilities(self, clip: Waveform) -> Floats:
        """Return shape ``(n_tags,)``, each in [0, 1]."""
        ...


class MusiCNNTagger(EssentiaBackbone):
    """A MusiCNN graph read at its sigmoids; the 50 tags need not exclude each other."""

    def __init__(self, graph: Graph, tags: Sequence[str]) -> None:
        super().__init__(graph)
        if self.spec.input != _INPUT or not graph.has(_OUTPUT):
            raise ModelError(f"{graph.path} is no MusiCNN tagger: it has no node {_OUTPUT}")
        self.tags = tuple(tags)
        self.dimension = len(self.tags)
        self.spec = replace(self.spec, output=_OUTPUT, dimension=self.dimension)
        self.card = self._card()

    def probabilities(self, clip: Waveform) -> Floats:
        """Return the mean over patches of the tags' probabilities, shape ``(n_tags,)``.

        Raises
        ------
        ModelError
            If the graph gives another number of values than there are tags.
        """
        patches = self.embed_patches(clip)
        return np.asarray(patches.mean(axis=0, dtype=np.float64), np.float32)


def musicnn_tagger(
    weights: str = _NAME, *, tags: Sequence[str] | None = None, folders: Sequence[str] = ()
) -> MusiCNNTagger:
    """Return a tagger.

    Parameters
    ----------
    weights
        ``msd-musicnn-1``, looked for as :func:`earmark.datasets.files.fetch.find_weights` says, or
        the path of a ``.pb`` file.
    tags
        In the order of the graph's outputs; known of the released ``msd-musicnn-1`` alone.
    folders
        To look for named weights in first.

    Raises
    ------
    ModelError
        If the weights are not found, are no tagger, or their tags are not known.
    """
    try:
        graph = read_graph(find_weights(weights, folders=[Path(folder) for folder in folders]))
    except DataError as error:
        raise ModelError(str(error)) from error
    if tags is None:
        # Another tagger has the same nodes and other tags: mtt-musicnn-1, to name one.
        if graph.digest != available()[_NAME].files[0].sha256:
            raise ModelError(
                f"{graph.path} is not the released {_NAME}, so that the order of its tags is not "
                f"known; give them as tags"
            )
        tags = MSD_TAGS
    return MusiCNNTagger(graph, tags)
