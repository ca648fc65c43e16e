"""ConSE: a zero-shot audio-text model made of a tagger and a model of sentences.

A clip's vector is the convex combination of the vectors of the tags' names, weighted with the
probabilities the tagger hears [1]_: ``sum_t p_t s(t) / sum_t p_t`` over the ``top_t`` most probable
tags. A text's vector is its sentence vector. Neither learned from pairs of audio and text.

Vectors of texts about music share most of their direction, and so do mixtures of tags. Subtracting
the mean vector of a reference from each side takes that away, and with it the hubs, clips that are
near to every text [2]_. A side's reference is one of:

* ``tags``: the tags themselves, each as probable as the other. Needs nothing.
* a folder of audio (for clips), or a file of texts (for texts): no label is read, nor which text
  belongs to which clip. It may be the clips or texts that are evaluated; then the evaluation is
  transductive, and the card tells whoever reads it what the reference was.
* ``none``: not centred, as in the paper.

References
----------
.. [1] M. Norouzi et al., "Zero-shot learning by convex combination of semantic embeddings",
       ICLR 2014, eq. 3.
.. [2] I. Suzuki et al., "Centering similarity measures to reduce hubs", EMNLP 2013, section 3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.audio import AudioError, SilentAudioError, Waveform, file_digest, load
from earmark.datasets.base import DataError, audio_files, fingerprint
from earmark.datasets.files.fetch import available, find_weights
from earmark.models.adapters.sentence_bert import MINILM, sentence_bert
from earmark.models.base import ClipError, Floats, ModelCard, ModelError, TextEmbedder
from earmark.models.essentia.backbones import EssentiaBackbone
from earmark.models.essentia.library import Graph, read_graph
from earmark.models.musicnn.checkpoints import MSD_TAGS, RELEASED
from earmark.models.support.adapter import check_texts, read_texts, unit_vectors

CITATION = """@inproceedings{norouzi2014zeroshot,
  author = {Norouzi, Mohammad and Mikolov, Tomas and Bengio, Samy and Singer, Yoram and
            Shlens, Jonathon and Frome, Andrea and Corrado, Greg S. and Dean, Jeffrey},
  title = {Zero-Shot Learning by Convex Combination of Semantic Embeddings},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year = {2014}
}"""
TEMPLATE = "{} music"
"""Put around each tag: alone, "beautiful" or "00s" is not about music."""

Doubles = NDArray[np.float64]
Reference = TypeVar("Reference")


@dataclass(frozen=True, slots=True)
class AudioReference:
    """Clips whose mean vector is subtracted from every clip's."""

    paths: tuple[Path, ...]
    stated: str
    """What stands on the card: where from, how many, and the digest of the files."""


@dataclass(frozen=True, slots=True)
class TextReference:
    """Texts whose mean vector is subtracted from every text's."""

    texts: tuple[str, ...]
    stated: str


class ConSE:
    """A tagger and a sentence embedder as one joint audio-text model.

    Parameters
    ----------
    top_t
        How many of the most probable tags are combined (the paper's T); None: all.
    audio_reference, text_reference
        ``tags``, ``none`` or a reference; see the module's text.
    """

    def __init__(
        self,
        tagger: Tagger,
        sentences: TextEmbedder,
        *,
        template: str = TEMPLATE,
        top_t: int | None = None,
        audio_reference: AudioReference | str = "tags",
        text_reference: TextReference | str = "tags",
    ) -> None:
        _check_template(template)
        for reference in (audio_reference, text_reference):
            if isinstance(reference, str) and reference not in ("tags", "none"):
                raise ModelError(
                    f"conse: reference {reference!r}, expected 'tags', 'none', an AudioReference "
                    f"or a TextReference"
                )
        if top_t is not None and not 1 <= top_t <= len(tagger.tags):
            raise ModelError(
                f"conse: top_t is {top_t}, expected 1 to {len(tagger.tags)}, the number of tags"
            )
        self.tagger = tagger
        self.sentences = sentences
        self.template = template
        self.top_t = top_t
        self.audio_reference = audio_reference
        self.text_reference = text_reference
        self.sample_rate = tagger.sample_rate
        self.dimension = sentences.dimension
        self._known: dict[bytes, Doubles] = {}
        self.card = self._card()

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return unit vectors of shape ``(n_clips, dimension)``.

        Raises
        ------
        ModelError
            If a file of the reference cannot be read.
        """
        self._hear(clips)
        rows = [self._combination(clip) - self.audio_centre for clip in clips]
        return unit_vectors(rows or np.empty(0), dimension=self.dimension, of="clip")

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors of shape ``(n_texts, dimension)``.

        Raises
        ------
        ModelError
            If ``texts`` is no list of strings, or a text's vector is the reference's mean itself.
        """
        vectors = self.sentences.embed_text(check_texts(texts)).astype(np.float64)
        return unit_vectors(vectors - self.text_centre, dimension=self.dimension, of="text")

    def tag_weights(self, clip: Waveform) -> Doubles:
        """Return how much of each tag's vector is in a clip's, shape ``(n_tags,)``; the sum is 1.

        Raises
        ------
        ModelError
            If it gives what are no probabilities.
        """
        key = _key(clip)
        # The clips that are evaluated may be the reference too: none is embedded twice.
        if key not in self._known:
            self._known[key] = self._weights(self.tagger.probabilities(clip))
        return self._known[key]

    def _hear(self, clips: Sequence[Waveform]) -> None:
        """Ask a tagger that takes several clips at once for all that are new."""
        if not isinstance(self.tagger, BatchTagger):
            return
        new = {key: clip for clip in clips if (key := _key(clip)) not in self._known}
        found = self.tagger.tag_probabilities(list(new.values()))
        self._known |= {key: self._weights(row) for key, row in zip(new, found, strict=True)}

    @cached_property
    def tag_vectors(self) -> Doubles:
        """Unit vectors of the tags in the template, shape ``(n_tags, dimension)``."""
        texts = [self.template.replace("{}", tag) for tag in self.tagger.tags]
        return self.sentences.embed_text(texts).astype(np.float64)

    @cached_property
    def audio_centre(self) -> Doubles:
        """What is subtracted from clips' vectors, shape ``(dimension,)``."""
        if isinstance(self.audio_reference, str):
            return self._centre_without_data(self.audio_reference)
        rows = [self._reference_vector(path) for path in self.audio_reference.paths]
        return np.asarray(np.mean(rows, axis=0), np.float64)

    def _reference_vector(self, path: Path) -> Doubles:
        try:
            return self._combination(listen(path, self.sample_rate))
        except ClipError as error:  # no fault of the clip for which the centre is wanted
            raise ModelError(
                f"a file of audio_reference cannot be used: {path}: {error}"
            ) from error

    @cached_property
    def text_centre(self) -> Doubles:
        """What is subtracted from texts' vectors, shape ``(dimension,)``."""
        if isinstance(self.text_reference, str):
            return self._centre_without_data(self.text_reference)
        vectors = self.sentences.embed_text(self.text_reference.texts)
        return np.asarray(vectors.mean(axis=0, dtype=np.float64))

    def _centre_without_data(self, reference: str) -> Doubles:
        if reference == "tags":
            return np.asarray(self.tag_vectors.mean(axis=0))
        return np.zeros(self.dimension)

    def _combination(self, clip: Waveform) -> Doubles:
        return self.tag_weights(clip) @ self.tag_vectors

    def _weights(self, probabilities: Floats) -> Doubles:
        weights = np.array(probabilities, np.float64)
        if weights.shape != (len(self.tagger.tags),) or not (weights >= 0).all():
            raise ModelError(
                f"conse: the tagger gives values of shape {weights.shape}, expected a probability, "
                f"0 or more, for each of {len(self.tagger.tags)} tags"
            )
        if self.top_t is not None:
            # Stable: of equally probable tags the first ones are kept.
            weights[np.argsort(-weights, kind="stable")[self.top_t :]] = 0
        total = weights.sum()
        if not 0 < total < np.inf:
            raise ModelError(f"conse: the tags' probabilities add up to {total:g}: none is heard")
        return np.asarray(weights / total)

    def _card(self) -> ModelCard:
        tagger, sentences = self.tagger.card, self.sentences.card
        stated = [
            one if isinstance(one, str) else one.stated
            for one in (self.audio_reference, self.text_reference)
        ]
        parts = {"tagger": tagger, "sentences": sentences}
        return ModelCard(
            id=f"conse-{tagger.id}-{sentences.id}",
            version="1",
            weights_digest=fingerprint(card.weights_digest for card in parts.values()),
            licence=f"{tagger.licence} (tagger), {sentences.licence} (sentences)",
            citation="\n".join((CITATION, tagger.citation, sentences.citation)),
            training_datasets=(*tagger.training_datasets, *sentences.training_datasets),
            crop_policy=f"{tagger.crop_policy}, mean of the probabilities",
            preprocessing={
                **{
                    f"{part}_{name}": value
                    for part, card in parts.items()
                    for name, value in (
                        ("id", card.id),
                        ("version", card.version),
                        *card.preprocessing.items(),
                    )
                },
                "tags_sha256": fingerprint(self.tagger.tags),
                "tag_template": self.template,
                "top_t": len(self.tagger.tags) if self.top_t is None else self.top_t,
                "centred_audio": stated[0],
                "centred_text": stated[1],
                "longer_texts": "truncated as the sentence model does",
            },
            notes=(
                *tagger.notes,
                *sentences.notes,
                "No pair of audio and text was seen in training. Recordings that are evaluated may "
                "be among those the tagger learned its tags from.",
                f"Clips are centred on: {stated[0]}. Texts are centred on: {stated[1]}.",
            ),
        )


def conse(
    *,
    tagger: str | Tagger = "msd-musicnn-1",
    tags: Sequence[str] | None = None,
    sentences: str = MINILM,
    template: str = TEMPLATE,
    top_t: int | None = None,
    audio_reference: str = "tags",
    text_reference: str = "tags",
    weights: str | None = None,
    device: str = "cpu",
) -> ConSE:
    """Return a joint model of a tagger and a Sentence-BERT model.

    Parameters
    ----------
    tagger
        ``MSD_musicnn``, ``MTT_musicnn``, ``MSD_vgg`` or ``MTT_vgg``
        (:func:`earmark.models.musicnn.adapter.musicnn`), or Essentia's ``msd-musicnn-1``
        (:func:`earmark.models.adapters.conse.musicnn_tagger`): the network of ``MSD_musicnn``.
        All hear patches of 2.99 s, 1.49 s apart. Or one's own, as an object with a card, ``tags``,
        ``sample_rate`` and ``probabilities(clip)``, or as ``path/to/file.py:attribute``.
    tags, weights
        Of an Essentia graph: its tags, and a folder to look in first.
    sentences
        Weights of :func:`earmark.models.adapters.sentence_bert.sentence_bert`.
    device
        Of the sentence model, and of the tagger but for an Essentia graph.
    template
        What is put around a tag, ``{}``.
    top_t
        How many of the most probable tags are combined; None: all.
    audio_reference
        ``tags``, ``none``, or a folder of audio files, at any depth.
    text_reference
        ``tags``, ``none``, or a file of texts: ``.csv`` with a column ``caption``, or one a line.

    Raises
    ------
    ModelError
        If weights or a reference are not found, or an option is not possible.
    """
    heard = open_tagger(tagger, tags=tags, weights=weights, device=device)
    read = sentence_bert(weights=sentences, device=device)
    return ConSE(
        heard,
        read,
        template=template,
        top_t=top_t,
        audio_reference=_reference(audio_reference, read_audio_reference),
        text_reference=_reference(text_reference, read_text_reference),
    )


def read_audio_reference(folder: str | Path) -> AudioReference:
    """Return the audio files below a folder as a reference; they are listened to when needed.

    Raises
    ------
    ModelError
        If there is no audio file.
    """
    folder = Path(folder).expanduser()
    paths = audio_files(folder)
    if not paths:
        raise ModelError(
            f"conse: audio_reference {folder} holds no audio file; expected a folder, 'tags' or "
            f"'none'"
        )
    # Sorted, since neither names nor order of the files change their mean.
    digest = fingerprint(sorted(file_digest(path) for path in paths))
    return AudioReference(tuple(paths), f"{len(paths)} files of {folder.name}, sha256 {digest}")


def read_text_reference(path: str | Path) -> TextReference:
    """Return the texts of a file as a reference."""
    path = Path(path).expanduser()
    texts = read_texts(path)
    digest = fingerprint(sorted(texts))
    return TextReference(tuple(texts), f"{len(texts)} texts of {path.name}, sha256 {digest}")


def _reference(given: str, read: Callable[[str], Reference]) -> Reference | str:
    return given if given in ("tags", "none") else read(given)


def _check_template(template: str) -> None:
    if template.count("{}") != 1:
        raise ModelError(f"conse: template {template!r} must hold '{{}}' once, where the tag goes")


def listen(path: Path, sample_rate: int | None) -> Waveform:
    """Return a file of a reference, silent or not.

    Raises
    ------
    ModelError
        If it cannot be decoded.
    """
    try:
        return load(path, sample_rate=sample_rate)
    except SilentAudioError as error:
        return error.waveform
    except AudioError as error:
        raise ModelError(f"a file of audio_reference cannot be used: {error}") from error


_NAME, _INPUT, _OUTPUT = "msd-musicnn-1", "model/Placeholder", "model/Sigmoid"


def _key(clip: Waveform) -> bytes:
    return hashlib.sha256(clip.samples.tobytes()).digest() + clip.sample_rate.to_bytes(8, "big")


class Tagger(Protocol):
    """Says how probable each of its tags is for a clip."""

    card: ModelCard
    tags: tuple[str, ...]
    sample_rate: int | None

    def probabilities(self, clip: Waveform) -> Floats:
        """Return shape ``(n_tags,)``, each in [0, 1]."""
        ...


@runtime_checkable
class BatchTagger(Protocol):
    """A :class:`Tagger` that takes several clips at once."""

    def tag_probabilities(self, clips: Sequence[Waveform]) -> Floats:
        """Return shape ``(n_clips, n_tags)``, each in [0, 1]."""
        ...


def open_tagger(
    name: str | Tagger, *, tags: Sequence[str] | None, weights: str | None, device: str
) -> Tagger:
    """Return a tagger by the options of :func:`conse`.

    Raises
    ------
    ModelError
        If the weights are not found, are no tagger, or an option is not theirs.
    """
    if not isinstance(name, str) or ":" in name:
        return _own_tagger(name, tags=tags, weights=weights)
    if name not in RELEASED:
        return musicnn_tagger(name, tags=tags, folders=[weights] if weights else [])
    if tags is not None or weights is not None:
        raise ModelError(
            f"tags and weights are options of an Essentia graph; {name} has its own tags, and is "
            f"found where `earmark fetch musicnn` puts it"
        )
    from earmark.models.musicnn.adapter import musicnn  # PyTorch

    # Patches as Essentia's tagger has them, so that the two can stand in for each other.
    return musicnn(weights=name, hop_frames=93, device=device)


def _own_tagger(given: str | Tagger, *, tags: object, weights: object) -> Tagger:
    """Return a user's tagger, an object or the place of one."""
    from earmark.models.registry import MODELS

    if tags is not None or weights is not None:
        raise ModelError(
            "conse: tags and weights are options of an Essentia graph, not of a tagger"
        )
    tagger = MODELS.create(given, {}) if isinstance(given, str) else given
    absent = [name for name in ("card", "tags", "sample_rate") if not hasattr(tagger, name)]
    if not callable(getattr(tagger, "probabilities", None)):
        absent.append("probabilities(clip)")
    if absent:
        named = given if isinstance(given, str) else type(given).__name__
        raise ModelError(f"conse: the tagger {named} has no {', '.join(absent)}")
    found: Tagger = tagger
    return found


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
