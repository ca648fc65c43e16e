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
from typing import Any, ClassVar, Literal

from earmark.bench.tasks.labels.dataset import class_texts
from earmark.bench.tasks.vectors import PAPER_CROP
from earmark.bench.tasks.zero_shot.prompts import Centring, check_centring, check_templates
from earmark.datasets.base import DataError
from earmark.datasets.files.names import suggest
from earmark.reports.record.schema import Plain, Reference

Kind = Literal["classification", "tagging"]

_SLAP = ("{label}", "A {label} track", "{label} music", "this sounds like {label}")
_PAPER = ("{label}", "A {label} track")


@dataclass(frozen=True, slots=True)
class Published:
    """What a paper scored, and its figures."""

    dataset: str
    """Its id and partition."""
    n_clips: int
    n_labels: int
    in_words: str
    figures: Sequence[tuple[str, str, str, float]]
    """Of each: model, prompt, metric, value."""
    note: str


_SOURCE = "Manco et al., ISMIR 2022, table 2, on audio and text by the authors' own model"
_MUSCALL: Mapping[Kind, Published] = {
    "classification": Published(
        "gtzan, fault-filtered/test",
        290,
        10,
        "GTZAN's fault-filtered test partition, 290 clips of 10 genres",
        (
            ("MusCALL_BASE", _PAPER[0], "accuracy", 0.555),
            ("MusCALL_BASE", _PAPER[1], "accuracy", 0.520),
            ("MusCALL_SSL", _PAPER[0], "accuracy", 0.582),
            ("MusCALL_SSL", _PAPER[1], "accuracy", 0.620),
        ),
        _SOURCE,
    ),
    "tagging": Published(
        "magnatagatune, won2020/test",
        4332,
        50,
        "MagnaTagATune's won2020/test, 4,332 clips with the top 50 tags",
        (
            ("MusCALL_BASE", _PAPER[0], "roc_auc", 0.780),
            ("MusCALL_BASE", _PAPER[0], "average_precision", 0.283),
            ("MusCALL_BASE", _PAPER[1], "roc_auc", 0.720),
            ("MusCALL_BASE", _PAPER[1], "average_precision", 0.210),
            ("MusCALL_SSL", _PAPER[0], "roc_auc", 0.774),
            ("MusCALL_SSL", _PAPER[0], "average_precision", 0.293),
            ("MusCALL_SSL", _PAPER[1], "roc_auc", 0.734),
            ("MusCALL_SSL", _PAPER[1], "average_precision", 0.232),
        ),
        f"{_SOURCE}; its script leaves out clip 24272",
    ),
}


@dataclass(frozen=True, slots=True)
class Preset:
    """What a protocol says where a suite says nothing."""

    name: str
    prompts: Mapping[Kind, tuple[str, ...]]
    centring: Centring = "none"
    verbatim: bool = False
    """Whether labels are put into prompts as the data write them."""
    crop: str | None = None
    """The beginning of a card's crop policy; None: whatever the model does."""
    published: Mapping[Kind, Published] = field(default_factory=dict)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "earmark": Preset(
            "earmark",
            {
                "classification": (*_SLAP, "This audio is a {label} song."),
                "tagging": _SLAP,
            },
        ),
        "muscall-paper": Preset(
            "muscall-paper",
            {"classification": _PAPER, "tagging": _PAPER},
            verbatim=True,
            crop=PAPER_CROP,
            published=_MUSCALL,
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
            "source of the prompts": "suite" if "prompts" in self.changed else self.preset.name,
        }


@dataclass(frozen=True)
class Options:
    """What a suite says of a zero-shot task: a preset, and what goes before it.

    Parameters
    ----------
    protocol
        A preset of this module; the options below go before it.
    prompts
        Templates with ``{label}`` in the label's place.
    texts
        Label to how it is written in a prompt, where that is not the label itself.
    centring
        ``none``, ``audio``, ``text`` or ``both``.
    """

    protocol: str = "earmark"
    prompts: Sequence[str] | None = None
    texts: Mapping[str, str] | None = None
    centring: str | None = None

    labels: ClassVar[Kind]

    def settings(self, dataset: Any) -> Settings:
        """Return the preset's settings, and the suite's own where it gives some.

        Raises
        ------
        DataError
            If an option is not as described.
        """
        if self.protocol not in PRESETS:
            raise DataError(
                f"unknown protocol {self.protocol!r}. {suggest(self.protocol, PRESETS)}"
            )
        texts, preset = self.texts, PRESETS[self.protocol]
        if texts is not None and not isinstance(texts, Mapping):
            raise DataError(f"texts must be a table of labels and their text forms, got {texts!r}")
        forms = {} if preset.verbatim else class_texts(dataset)
        forms = {label: text for label, text in forms.items() if label != text}
        own = preset.prompts[self.labels]
        templates = own if self.prompts is None else check_templates(self.prompts)
        centring = preset.centring if self.centring is None else check_centring(self.centring)
        changed = {
            "prompts": templates != own,
            "texts": texts is not None and dict(texts) != forms,
            "centring": centring != preset.centring,
        }
        return Settings(
            preset=preset,
            kind=self.labels,
            templates=templates,
            centring=centring,
            texts=forms if texts is None else texts,
            changed=tuple(option for option, is_other in changed.items() if is_other),
        )


def other_split(settings: Settings, dataset: Any, labels: Sequence[str]) -> list[str]:
    """Return a warning where a dataset is not what the paper scored, which names what it is.

    ``labels`` are those that are distinguished.
    """
    paper = settings.preset.published.get(settings.kind)
    found, n_clips = _named(dataset), len(dataset.clips)
    if paper is None or (found, n_clips, len(labels)) == (
        paper.dataset,
        paper.n_clips,
        paper.n_labels,
    ):
        return []
    return [
        f"the protocol {settings.preset.name} scores {paper.in_words}; this is {found}, "
        f"{n_clips:,} clips and {len(labels)} labels: its figures are not comparable with the "
        f"paper's"
    ]


def _named(dataset: Any) -> str:
    """Return a dataset's id and split."""
    split = getattr(dataset, "partition_name", None) or getattr(dataset, "split", None)
    return f"{dataset.card.id}, {split}" if split else str(dataset.card.id)


def published(settings: Settings, dataset: Any, labels: Sequence[str]) -> list[Reference]:
    """Return the paper's figures beside which a run of its protocol on its split may stand."""
    paper = settings.preset.published.get(settings.kind)
    if paper is None or settings.changed or other_split(settings, dataset, labels):
        return []
    return [
        Reference(
            name=f"{name}, published",
            subset=prompt,
            metric=metric,
            value=value,
            note=paper.note,
        )
        for name, prompt, metric, value in paper.figures
        if prompt in settings.templates
    ]
