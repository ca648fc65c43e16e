"""Protocol presets of the zero-shot tasks: their prompts, and the split and crop they are about.

``earmark``
    The recommended one. Several prompts, since a model's score moves by points from one to the
    next [3]_: the four of [3]_, for classes also that of LAION-CLAP's README. Labels in their text
    forms ("hip hop").
``muscall-paper``
    MusCALL's [1]_ section 5.2 and table 2: the bare label and "A [LABEL] track", each by itself (it
    has no ensemble); its released evaluation script uses the bare label alone. Labels as the data
    write them ("hiphop"), as that script does. GTZAN: its 290 fault-filtered test clips, as
    torchaudio's GTZAN reads them there; MagnaTagATune: the test clips of [2]_ and the top 50 tags.
    Sections 4.2 and 5.2: the central 20 s of a clip; 10 s for MusCALL-SSL, which was trained on
    them.

A preset gives values to options that a suite leaves out; what it sets itself is named in the
record. Crops are the models' own, and a split is the dataset's: where they differ from the paper's,
a warning says so.

References
----------
.. [1] I. Manco et al., "Contrastive audio-language learning for music", ISMIR 2022.
.. [2] M. Won et al., "Evaluation of CNN-based automatic music tagging models", SMC 2020.
.. [3] J. Guinot et al., "SLAP: Siamese language-audio pretraining without negative samples for
       music understanding", ISMIR 2025.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from earmark.bench.tasks.retrieval import protocol as retrieval_protocol
from earmark.bench.tasks.zero_shot.prompts import Centring, check_centring, check_templates
from earmark.datasets.base import DataError, Tagged
from earmark.datasets.files.names import suggest
from earmark.datasets.gtzan import GENRE_TEXTS, GTZAN
from earmark.reports.record.schema import Plain, Reference

Kind = Literal["classification", "tagging"]

_SLAP = ("{label}", "A {label} track", "{label} music", "this sounds like {label}")
_PAPER = ("{label}", "A {label} track")

_PUBLISHED: Mapping[Kind, Sequence[tuple[str, str, str, float]]] = {
    "classification": (
        ("MusCALL_BASE", _PAPER[0], "accuracy", 0.555),
        ("MusCALL_BASE", _PAPER[1], "accuracy", 0.520),
        ("MusCALL_SSL", _PAPER[0], "accuracy", 0.582),
        ("MusCALL_SSL", _PAPER[1], "accuracy", 0.620),
    ),
    "tagging": (
        ("MusCALL_BASE", _PAPER[0], "roc_auc", 0.780),
        ("MusCALL_BASE", _PAPER[0], "average_precision", 0.283),
        ("MusCALL_BASE", _PAPER[1], "roc_auc", 0.720),
        ("MusCALL_BASE", _PAPER[1], "average_precision", 0.210),
        ("MusCALL_SSL", _PAPER[0], "roc_auc", 0.774),
        ("MusCALL_SSL", _PAPER[0], "average_precision", 0.293),
        ("MusCALL_SSL", _PAPER[1], "roc_auc", 0.734),
        ("MusCALL_SSL", _PAPER[1], "average_precision", 0.232),
    ),
}


@dataclass(frozen=True, slots=True)
class Preset:
    """What a protocol says where a suite says nothing."""

    name: str
    prompts: Mapping[Kind, tuple[str, ...]]
    source: str
    """Where the prompts are from."""
    centring: Centring = "none"
    verbatim: bool = False
    """Whether labels are put into prompts as the data write them."""
    crop: str | None = None
    """The beginning of a card's crop policy; None: whatever the model does."""


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "earmark": Preset(
            "earmark",
            {
                "classification": (*_SLAP, "This audio is a {label} song."),
                "tagging": _SLAP,
            },
            source="the four prompts of Guinot et al. (SLAP, ISMIR 2025); for classes also that "
            "of LAION-CLAP's README",
        ),
        "muscall-paper": Preset(
            "muscall-paper",
            {"classification": _PAPER, "tagging": _PAPER},
            source="Manco et al., ISMIR 2022, section 5.2 and table 2, which gives each prompt's "
            "score and no ensemble; the released script uses the bare label alone",
            verbatim=True,
            crop=retrieval_protocol.PAPER_CROP,
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Settings:
    """A preset with a suite's own options."""

    preset: Preset
    kind: Kind
    templates: tuple[str, ...]
    centring: Centring
    texts: Mapping[str, str]
    """Text forms that differ from the labels."""
    changed: tuple[str, ...] = field(default=())
    """Options of the suite that are other than the preset's."""

    def stated(self) -> dict[str, Plain]:
        """Return what a record's protocol says of the preset."""
        return {
            "protocol": self.preset.name,
            "changed from the protocol": ", ".join(self.changed) or "nothing",
            "source of the prompts": "the suite"
            if "prompts" in self.changed
            else self.preset.source,
        }


def settle(
    dataset: Any,
    *,
    kind: Kind,
    protocol: str,
    prompts: Sequence[str] | None,
    texts: Mapping[str, str] | None,
    centring: str | None,
) -> Settings:
    """Return a preset's settings, and the suite's own where it gives some.

    Raises
    ------
    DataError
        If the protocol is unknown, ``texts`` is no table, or as
        :func:`~earmark.bench.tasks.zero_shot.prompts.check_templates` and
        :func:`~earmark.bench.tasks.zero_shot.prompts.check_centring`.
    """
    if protocol not in PRESETS:
        raise DataError(f"unknown protocol {protocol!r}. {suggest(protocol, PRESETS)}")
    if texts is not None and not isinstance(texts, Mapping):
        raise DataError(f"texts must be a table of labels and their text forms, got {texts!r}")
    preset = PRESETS[protocol]
    own = _text_forms(dataset) if not preset.verbatim else {}
    given = {
        "prompts": prompts is not None and check_templates(prompts) != preset.prompts[kind],
        "texts": texts is not None and dict(texts) != own,
        "centring": centring is not None and check_centring(centring) != preset.centring,
    }
    return Settings(
        preset=preset,
        kind=kind,
        templates=preset.prompts[kind] if prompts is None else check_templates(prompts),
        centring=preset.centring if centring is None else check_centring(centring),
        texts=own if texts is None else texts,
        changed=tuple(option for option, is_other in given.items() if is_other),
    )


def _text_forms(dataset: Any) -> dict[str, str]:
    if not isinstance(dataset, GTZAN):
        return {}
    return {label: text for label, text in GENRE_TEXTS.items() if label != text}


def other_split(settings: Settings, dataset: Any, labels: Sequence[str]) -> list[str]:
    """Return a warning where a dataset is not what the paper scored, which names what it is.

    ``labels`` are those that are told apart.
    """
    if settings.preset.name != "muscall-paper":
        return []
    if settings.kind == "classification":
        asked = "GTZAN's fault-filtered test partition, 290 clips of 10 genres"
        found = _named(dataset)
        same = found == "gtzan, fault-filtered/test" and len(dataset.clips) == 290
        same = same and len(labels) == 10
    else:
        asked = "MagnaTagATune's won2020/test, 4,332 clips with the top 50 tags"
        found = _named(dataset)
        same = found == "magnatagatune, won2020/test" and len(dataset.clips) == 4332
        same = same and len(labels) == 50
    if same:
        return []
    return [
        f"the protocol muscall-paper scores {asked}; this is {found}, {len(dataset.clips):,} clips "
        f"and {len(labels)} labels: its figures are not comparable with the paper's"
    ]


def _named(dataset: Any) -> str:
    """Return a dataset's id and split."""
    split = getattr(dataset, "split", None)
    if isinstance(dataset, GTZAN) and dataset.split != "all":
        parts = sorted({str(part) for part in dataset.partitions})
        split = f"{dataset.split}/{'+'.join(parts)}"
    return f"{dataset.card.id}, {split}" if split else str(dataset.card.id)


def other_crops(settings: Settings, models: Mapping[str, Any]) -> list[str]:
    """Return a warning for each trained model that hears another part of a clip than asked."""
    preset = settings.preset
    return retrieval_protocol.other_crops(preset.name, preset.crop, models)


def published(settings: Settings, dataset: Any, labels: Sequence[str]) -> list[Reference]:
    """Return the paper's figures beside which a run of its protocol on its split may stand."""
    if settings.preset.name != "muscall-paper" or other_split(settings, dataset, labels):
        return []
    note = "Manco et al., ISMIR 2022, table 2, on audio and text by the authors' own model"
    if isinstance(dataset, Tagged):
        note += "; its script leaves out clip 24272"
    return [
        Reference(name=f"{name}, published", subset=prompt, metric=metric, value=value, note=note)
        for name, prompt, metric, value in _PUBLISHED[settings.kind]
        if prompt in settings.templates and not settings.changed
    ]
