"""Labels put into sentences, and their vectors held against clips: what zero-shot tasks score.

Conventions
-----------
A *label* (``hiphop``) has a *text form* (``hip hop``), which takes the place of ``{label}`` in each
*template* (``A {label} track``). A template gives one prompt a label, and with it a score of every
clip and label: the cosine of their vectors. The *ensemble* of several templates is one vector a
label, the mean of its prompts' unit vectors at unit norm again [1]_.

Centring
--------
Vectors of one modality often share most of their direction, and some clips are near to every text.
:func:`centre` takes the mean of the evaluated set away, ``v_i' = (v_i - m) / |v_i - m|`` with
``m = (v_1 + ... + v_n) / n`` of unit vectors [2]_: over the clips (``audio``), over the labels'
prompts of one template or of the ensemble (``text``), or ``both``. It reads no label of a clip, but
it is transductive: a clip's scores depend on the other clips. A vector equal to the mean becomes
zero, and its cosine with everything is 0.

References
----------
.. [1] A. Radford et al., "Learning transferable visual models from natural language supervision",
       ICML 2021, section 3.1.4.
.. [2] I. Suzuki et al., "Centering similarity measures to reduce hubs", EMNLP 2013, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np

from earmark.bench.metrics.base import Floats
from earmark.bench.tasks.labels.dataset import ENSEMBLE
from earmark.bench.tasks.labels.view import PROMPTS
from earmark.bench.tasks.vectors import JointVectors, clip_vectors, unit_rows
from earmark.datasets.base import DataError, first_ten
from earmark.models.base import ModelError
from earmark.reports.record.schema import Plain, Score, Table

PLACE = "{label}"

Centring = Literal["none", "audio", "text", "both"]

# What is left of a vector that equals the mean: sums of float32 unit vectors in float64.
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The labels to tell apart, and how each is written in a sentence."""

    labels: tuple[str, ...]
    texts: tuple[str, ...]

    def stated(self) -> str:
        """Return the labels for a record, with their text forms where these differ."""
        pairs = zip(self.labels, self.texts, strict=True)
        return ", ".join(one if one == text else f"{one} ({text!r})" for one, text in pairs)


def vocabulary(labels: Sequence[str], texts: Mapping[str, str], *, at_least: int = 1) -> Vocabulary:
    """Return labels with their text forms; a label without one is its own.

    >>> vocabulary(["hiphop", "rock"], {"hiphop": "hip hop"}).texts
    ('hip hop', 'rock')

    Raises
    ------
    DataError
        If there are fewer than ``at_least`` labels, one is empty or there twice, two have the same
        text form, or a text form is given of another label.
    """
    names = tuple(labels)
    if isinstance(labels, str) or not all(isinstance(name, str) and name.strip() for name in names):
        raise DataError(f"labels must be a list of names, got {labels!r}")
    if twice := _repeated(names):
        raise DataError(f"the label {twice!r} is listed twice: name each once")
    if len(names) < at_least:
        raise DataError(f"expected at least {at_least} labels, got {len(names)}: {list(names)}")
    if strange := [name for name in texts if name not in names]:
        raise DataError(
            f"texts has a text form of {', '.join(map(repr, strange[:10]))}, which is no label; "
            f"the labels are {first_ten(names)}"
        )
    written = tuple(texts.get(name, name) for name in names)
    if empty := [
        name
        for name, text in zip(names, written, strict=True)
        if not isinstance(text, str) or not text.strip()
    ]:
        raise DataError(f"the text form of {empty[0]!r} is empty: give some text, or leave it out")
    if twice := _repeated(written):
        same = [name for name, text in zip(names, written, strict=True) if text == twice]
        raise DataError(
            f"the labels {' and '.join(map(repr, same))} have the same text form {twice!r}, so no "
            f"model could tell them apart: write them differently"
        )
    return Vocabulary(names, written)


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """Return templates that can be used, in their order.

    Raises
    ------
    DataError
        If there are none, one lacks ``{label}``, or one is there twice.
    """
    given = tuple(templates)
    if isinstance(templates, str) or not all(isinstance(one, str) for one in given):
        raise DataError(f"prompts must be a list of templates, got {templates!r}")
    if not given:
        raise DataError(f"the list of prompts is empty: give at least one, e.g. {PLACE!r}")
    if lacking := [one for one in given if PLACE not in one]:
        raise DataError(f"the prompt {lacking[0]!r} has no {PLACE}, where the label is put")
    if twice := _repeated(given):
        raise DataError(f"the prompt {twice!r} is listed twice: its score would count double")
    return given


def fill(template: str, text: str) -> str:
    """Return a template with the label's text in its place.

    >>> fill("A {label} track", "hip hop")
    'A hip hop track'
    """
    return template.replace(PLACE, text)


def prompt_texts(templates: Sequence[str], words: Vocabulary) -> list[str]:
    """Return every prompt, a template after the other."""
    return [fill(template, text) for template in templates for text in words.texts]


def check_centring(centring: str) -> Centring:
    """Return a centring that there is.

    Raises
    ------
    DataError
        If it is unknown.
    """
    if centring not in get_args(Centring):
        known = ", ".join(get_args(Centring))
        raise DataError(f"centring is {centring!r}, expected one of {known}")
    return cast(Centring, centring)


def prompt_vectors(
    model: str, vectors: JointVectors, templates: Sequence[str], words: Vocabulary
) -> dict[str, Floats]:
    """Return a model's vector of each label, ``(n_labels, dimension)``, by template and ensemble.

    Raises
    ------
    ModelError
        If a vector is not finite or zero, or a label's prompts cancel each other out.
    """
    found: dict[str, Floats] = {}
    for template in templates:
        prompts = [fill(template, text) for text in words.texts]
        found[template] = unit_rows(vectors.of(model, prompts), model=model, of=prompts)
    mean = np.mean(list(found.values()), axis=0)
    lengths = np.linalg.norm(mean, axis=1)
    if (lengths < _NOTHING).any():
        label = words.labels[int(lengths.argmin())]
        raise ModelError(
            f"model {model!r}: the prompts of {label!r} cancel each other out, so their ensemble "
            f"has no direction: give other prompts"
        )
    return found | {ENSEMBLE: mean / lengths[:, None]}


def centre(rows: Floats) -> Floats:
    """Return unit vectors ``(n, dimension)`` less their mean, at unit norm again.

    >>> centre(np.array([[1.0, 0.0], [0.0, 1.0]])).round(3)
    array([[ 0.707, -0.707],
           [-0.707,  0.707]])
    """
    moved = rows - rows.mean(axis=0)
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    kept = lengths > _NOTHING
    return np.asarray(np.divide(moved, lengths, out=np.zeros_like(moved), where=kept))


def similarities(
    model: str,
    vectors: JointVectors,
    templates: Sequence[str],
    words: Vocabulary,
    *,
    centring: Centring,
) -> dict[str, Floats]:
    """Return cosines of clips and labels, ``(n_clips, n_labels)``, by template and ensemble."""
    audio = clip_vectors(model, vectors)
    texts = prompt_vectors(model, vectors, templates, words)
    if audio.shape[1] != texts[ENSEMBLE].shape[1]:
        raise ModelError(
            f"model {model!r}: vectors of clips have {audio.shape[1]} dimensions and those of "
            f"texts {texts[ENSEMBLE].shape[1]}: they are not in one space"
        )
    if centring in ("audio", "both"):
        audio = centre(audio)
    if centring in ("text", "both"):
        texts = {name: centre(rows) for name, rows in texts.items()}
    return {name: cosines(audio, rows) for name, rows in texts.items()}


def cosines(audio: Floats, texts: Floats) -> Floats:
    """Return the products of unit vectors, ``(n_clips, n_texts)``.

    Equal vectors have exactly equal scores: a product may round a row by where it stands, and would
    break a tie that way.
    """
    clips, clip_of = np.unique(audio, axis=0, return_inverse=True)
    labels, label_of = np.unique(texts, axis=0, return_inverse=True)
    products = clips @ labels.T
    return np.asarray(products[np.ix_(clip_of.ravel(), label_of.ravel())])


def stated_prompts(
    templates: Sequence[str], words: Vocabulary, centring: Centring
) -> dict[str, Any]:
    """Return what a record's protocol says of prompts and similarity."""
    return {
        "prompts": " | ".join(templates),
        "labels": words.stated(),
        "ensemble": "mean-unit-vector",
        "similarity": "cosine",
        "centring": centring,
    }


def prompts_table(
    scores: Sequence[Score], metrics: Sequence[str], templates: Sequence[str], *, named: bool
) -> Table:
    """Return how far each model's score moves with the prompt; ``named``: with a metric column."""
    rows: list[list[Plain]] = []
    for model in dict.fromkeys(score.model for score in scores):
        for metric in metrics:
            values = {
                score.subset: score.value
                for score in scores
                if score.model == model and score.metric == metric and score.subset in templates
            }
            known = {subset: value for subset, value in values.items() if value is not None}
            if not known:
                continue
            column = np.array(list(known.values()))
            spread = float(column.std(ddof=1)) if len(column) > 1 else None
            moved = [float(column.mean()), spread, float(column.min()), float(column.max())]
            best = max(known, key=lambda subset: known[subset])
            rows.append([model, *([metric] if named else []), *moved, best])
    columns = ["mean", "standard deviation", "lowest", "highest", "best prompt"]
    return Table(
        title=PROMPTS,
        columns=["model", *(["metric"] if named else []), *columns],
        rows=rows,
        note=f"Over {len(templates)} prompts; the standard deviation is that of a sample. The best "
        f"prompt was found on the scored clips themselves: no estimate of what it would reach on "
        f"others.",
    )


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)
