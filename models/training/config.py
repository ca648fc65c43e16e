"""What a training run is: one TOML file, most of it a preset.

::

    preset = "tiny"                # see PRESETS; a preset may build on another
    seed = 1

    [data]
    train = ["prepared/train"]     # folders that `earmark prepare` wrote
    valid = ["prepared/val"]

    [training]
    batch_size = 128

    [muscall.loss]
    weighting = "paper"

Every key of every table is a field of the classes below, of
:class:`earmark.models.muscall.MusCALLConfig` and of
:class:`earmark.models.dcase.config.DCASEConfig`. An unknown key is refused. ``"none"`` stands for
None, which TOML has not.

Frozen towers
-------------
The preset ``locked`` has a file of another form (:class:`LockedConfig`): which vectors, which
texts, how they are joined. Relative paths start at the file's own folder. ::

    preset = "locked"
    seed = 0

    [data]
    embeddings = "{data}/musav_embeddings/msd-musicnn-1.npz"
    texts = "{data}/musav/data/genres.chunk_000-006.jsonl"
    text_key = "genres"
    datasets = ["musav"]                 # ids, for the contamination flag
    licence = "CC BY-NC-SA 4.0"          # the weights are derived from it

    [audio]                              # what made the embeddings: a model and its options
    loader = "essentia-backbone"
    name = "msd-musicnn-1"

    [text]
    loader = "sentence-bert"

    [training]
    temperature = 0.15
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from earmark.datasets.files.config_files import Count, Positive, Share, read_toml, validated
from earmark.datasets.files.data_paths import PLACES, placed
from earmark.datasets.files.names import suggest
from earmark.datasets.files.text_files import UnreadableError, parse_toml
from earmark.models.base import ModelError
from earmark.models.dcase.config import DCASEConfig
from earmark.models.muscall.config import MusCALLConfig

Kind = Literal["muscall", "dcase"]
Precision = Literal["fp32", "bf16", "fp16"]

_STRICT = ConfigDict(extra="forbid")

# What follows from something else in the file, and from what.
_DERIVED = {
    "muscall.audio.clip_seconds": "data.crop_seconds",
    "muscall.text.vocabulary": "text.tokenizer",
    "muscall.text.end_token": "text.tokenizer",
    "dcase.dimension": "text.word_dimension, or the vectors of text.word_vectors",
}
# What may differ between a checkpoint and the run that goes on from it.
_FREE = (
    "data.train",
    "data.valid",
    "data.workers",
    "data.datasets",
    "training.tensorboard",
    "training.log_every",
)


@dataclass(frozen=True, slots=True, config=_STRICT)
class AugmentationConfig:
    """Independent probabilities a transformation, and ranges; the defaults are for training.

    The paper states noise and pitch shift without figures; these are the released code's.
    """

    p_polarity: Share = 0.0
    p_noise: Share = 0.3
    p_gain: Share = 0.0
    p_pitch_shift: Share = 0.4
    snr_db: tuple[float, float] = (3.0, 30.0)
    """Signal-to-noise ratio of coloured noise, in dB."""
    noise_decay: tuple[float, float] = (-2.0, 2.0)
    """Exponent of the noise's spectrum: 0 is white, 1 pink, -1 blue."""
    gain_db: tuple[float, float] = (-18.0, 6.0)
    semitones: tuple[float, float] = (-4.0, 4.0)
    pitch_overlap: Annotated[int, Field(ge=2)] = 32
    """Windows over each sample in the pitch shift. 32 is the library's; 8 take a fifth of the time
    and leave a tone 25 instead of 27 dB above what the shift adds to it."""

    def __post_init__(self) -> None:
        for name in ("snr_db", "noise_decay", "gain_db", "semitones"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ModelError(f"augmentation: {name} is {low} to {high}")


TRAINING = AugmentationConfig()
"""Of the input of the audio tower."""
SSL = AugmentationConfig(p_polarity=0.8, p_noise=0.3, p_gain=0.2, p_pitch_shift=0.4)
"""Of the second view in self-supervised learning."""
NONE = AugmentationConfig(p_noise=0.0, p_pitch_shift=0.0)


@dataclass(frozen=True, slots=True, config=_STRICT)
class DataConfig:
    """Where the pairs come from, and how they are cut."""

    train: tuple[str, ...] = ()
    """Folders that ``earmark prepare`` wrote; several are joined."""
    valid: tuple[str, ...] = ()
    crop_seconds: Positive = 20.0
    """Of training, at random; validation takes the centre."""
    captions: Literal["draw", "all"] = "draw"
    """Of a clip with several: one drawn each epoch, or each an item of its own."""
    workers: Count = 2
    """Threads that read ahead."""
    datasets: tuple[str, ...] = ()
    """Ids of the datasets in ``train``, for the card: by them contamination is found."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class WordsConfig:
    """How captions become numbers; all of it travels with the checkpoint."""

    tokenizer: str = "train"
    """Of MusCALL: ``train`` byte pairs on the training captions, ``clip`` for CLIP's vocabulary in
    a data folder, or a path or hub name as the adapter takes it."""
    initialisation: Literal["pytorch", "clip"] = "pytorch"
    """Of MusCALL's text encoder: PyTorch's, as in the released code, whose embeddings of standard
    deviation 1 take many steps to move; or CLIP's, where they are small."""
    vocabulary_size: int = 4000
    """At most, of a tokeniser that is trained."""
    word_vectors: str = "train"
    """Of DCASE: ``train`` word2vec on the training captions, or a file of vectors."""
    word_dimension: int = 300
    """Of vectors that are trained."""
    sentence_encoder: str = "all-MiniLM-L6-v2"
    """What loss weighting compares captions with: a Sentence-BERT."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class OptimiserConfig:
    """The optimiser; weight decay acts on every parameter, as in the released code."""

    name: Literal["adam", "adamw"] = "adam"
    """``adamw`` shrinks the weights by the decay (decoupled), as CLIP and the released code do.
    ``adam`` adds the decay to the gradient (L2), as the paper reads literally: Adam divides it by
    the gradient's size, and over the paper's schedule the weights shrink until nothing is learned
    (docs/training.md). Without weight decay both are the same."""
    learning_rate: Positive = 5e-5
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float | None = None
    """Of all gradients together; None: not clipped."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class ScheduleConfig:
    """How the learning rate moves: by steps (cosine), or by validation (plateau)."""

    name: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup_steps: int = 0
    """Of the cosine: a linear rise from 0."""
    half_period: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of the cosine, as a share of the run: 1 falls to 0 once; with 0.1 it falls and rises five
    times and ends where it began, as in the released code."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Of the plateau."""
    patience: int = 5
    """Of the plateau, in validations."""
    threshold: float = 0.01
    """Of the plateau: the fall of the loss that counts."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class TrainingConfig:
    """The loop, and the hardware it runs on."""

    epochs: Count = 150
    batch_size: Annotated[int, Field(ge=2)] = 256
    """Of all processes together; a pair alone has no negative."""
    micro_batch_size: Annotated[int, Field(ge=0)] | None = None
    """Pairs that a process encodes at once; None: its whole share of the batch."""
    mask_duplicate_captions: bool = False
    """Pairs of one batch with the same caption are not negatives of each other."""
    best_by: str = "R@10"
    """The validation's score whose best checkpoint is kept, or ``loss`` (lower is better)."""
    validate_every: Count = 1
    """In epochs; the last one is always validated."""
    checkpoint_every: Annotated[int, Field(ge=0)] = 0
    """In steps, beside one each epoch; 0: none."""
    log_every: Count = 10
    """In steps."""
    tensorboard: bool = True
    precision: Precision = "fp32"
    accelerator: str = "auto"
    devices: int | Literal["auto"] = "auto"
    """Processes on a machine that Fabric starts itself; under torchrun and SLURM theirs counts."""
    compile: bool = False
    channels_last: bool = False
    sync_batch_norm: bool = False
    """Statistics over all processes (GPU only)."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class RunConfig:
    """All of a run."""

    model: Kind = "muscall"
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    text: WordsConfig = field(default_factory=WordsConfig)
    muscall: MusCALLConfig = field(default_factory=MusCALLConfig)
    dcase: DCASEConfig = field(default_factory=DCASEConfig)
    augmentation: AugmentationConfig = TRAINING
    second_view: AugmentationConfig = SSL
    """Of self-supervision."""
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def load_config(path: Path | str) -> RunConfig:
    """Read a run's TOML file; folders of corpora and word vectors start at its own folder.

    Raises
    ------
    ModelError
        If the file is missing or no TOML, a key is unknown (with the nearest known one), follows
        from another, or has a value that is not allowed.
    """
    path = Path(path)
    content = read_toml(path, of="config", error=ModelError)
    config = parse_config(content, of=f"config {path}")
    if not config.data.train or not config.data.valid:
        raise ModelError(
            f"config {path}: data.train and data.valid must name folders that `earmark prepare` "
            f'wrote, e.g. train = ["prepared/train"]'
        )
    train, valid = (
        [str(path.parent / Path(folder).expanduser()) for folder in folders]
        for folders in (config.data.train, config.data.valid)
    )
    content["data"] |= {"train": train, "valid": valid}
    if config.text.word_vectors != "train":
        words = path.parent / Path(config.text.word_vectors).expanduser()
        content.setdefault("text", {})["word_vectors"] = str(words)
    return parse_config(content, of=f"config {path}")


def parse_config(content: Mapping[str, Any], *, of: str = "config") -> RunConfig:
    """Return the config of a TOML file's content, over its preset or over the classes' defaults.

    ``of`` begins the message of a :class:`ModelError`.
    """
    merged = _with_preset(dict(content), of=of)
    model = merged.get("model", "muscall")
    if others := [kind for kind in get_args(Kind) if kind != model and kind in merged]:
        raise ModelError(
            f"{of}: [{others[0]}] is of another model than model = {model!r}; leave it out, or "
            f"take a preset of that model"
        )
    given = _flat(merged)
    if derived := [place for place in _DERIVED if place in given]:
        source = _DERIVED[derived[0]]
        raise ModelError(f"{of}: {derived[0]} is not set here; it follows from {source}")
    return parse_plain(merged, of=of)


def preset_names() -> list[str]:
    """Return the names of the presets that come with Earmark."""
    return sorted(
        place.name.removesuffix(".toml")
        for place in _presets().iterdir()
        if place.name.endswith(".toml")
    )


def preset(name: str) -> RunConfig:
    """Return a preset, without data; a name that is none is a :class:`ModelError`."""
    return parse_config({"preset": name})


def doubts(config: RunConfig) -> list[str]:
    """Return what a config asks for that has been seen to keep a model from learning."""
    optimiser, loss = config.optimiser, config.muscall.loss
    found = []
    if optimiser.name == "adam" and optimiser.weight_decay > 0:
        found.append(
            f"optimiser.name 'adam' adds the weight decay of {optimiser.weight_decay:g} to the "
            f"gradient (L2); over a whole schedule weights shrink until nothing is learned. "
            f"'adamw' decays them apart from it, as CLIP does (docs/training.md)"
        )
    if config.model == "muscall" and loss.weighting == "paper":
        found.append(
            f"muscall.loss.weighting 'paper' with kappa {loss.kappa:g} can give nearly all weight "
            f"to one pair of a batch; 'released' with kappa 0.01 does not (docs/training.md)"
        )
    return found


def plain(config: RunConfig) -> dict[str, Any]:
    """Return a config as plain values, from which :func:`parse_plain` makes it again."""
    return asdict(config)


def parse_plain(content: Mapping[str, Any], *, of: str) -> RunConfig:
    """Return the config of :func:`plain`'s values; what is not of this version is refused."""
    return validated(RunConfig, content, of=of, error=ModelError)


def differences(config: RunConfig, other: RunConfig) -> list[str]:
    """Return what keeps ``config`` from going on where ``other`` stopped, by name and value."""
    own, others = _flat(plain(config)), _flat(plain(other))
    return [
        f"{name} is {own.get(name)!r}, there {others.get(name)!r}"
        for name in sorted(own | others)
        if name not in _FREE and own.get(name) != others.get(name)
    ]


def _presets() -> Any:
    return files("earmark.models.training") / "presets"


def _with_preset(content: dict[str, Any], *, of: str) -> dict[str, Any]:
    """Return the content laid over its preset's, and that over the preset's own preset."""
    name = content.pop("preset", None)
    if name is None:
        return _laid_over({}, content)
    known = preset_names()
    if name not in known:
        raise ModelError(f"{of}: no preset {name!r}. {suggest(name, known)}")
    base = tomllib.loads((_presets() / f"{name}.toml").read_text(encoding="utf-8"))
    return _laid_over(_with_preset(base, of=f"preset {name}"), content)


def _laid_over(base: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in content.items():
        under = merged.get(key)
        if isinstance(value, Mapping):
            merged[key] = _laid_over(under if isinstance(under, Mapping) else {}, value)
        else:
            merged[key] = None if value == "none" else value  # TOML has no null
    return merged


def _flat(content: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{path}{key}.")
        else:
            found[f"{path}{key}"] = value
    return found


PRESET = "locked"

Finite = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, config=_STRICT)
class PairsConfig:
    """The stored vectors and their texts (:mod:`earmark.datasets.captions.stored_pairs`)."""

    embeddings: str
    texts: str
    id_key: str = "id"
    text_key: str = "caption"
    datasets: tuple[str, ...] = ()
    """Ids of the datasets, for the card: by them contamination is found."""
    licence: str = "not stated"


@dataclass(frozen=True, slots=True, config=_STRICT)
class ProjectionConfig:
    """What is learned, and how; the defaults are the preset."""

    dimension: Count | None = None
    """Of the joint space; None: that of the text tower."""
    start: Literal["ridge", "random"] = "ridge"
    """Where the projections start: ``ridge`` regression from audio to text vectors, with the
    directions of the text tower kept; or drawn by lot."""
    ridge: Finite = 100.0
    """Penalty of that regression, on audio vectors of unit variance."""
    template: str = "{} music"
    """Put around each text, for names such as genres; ``{}`` leaves texts as they are."""
    several: Literal["each", "joined"] = "each"
    """An item's texts are pairs of their own, or one text with commas."""
    epochs: Count = 20
    batch_size: Annotated[int, Field(ge=2)] = 512
    learning_rate: Finite = 3e-4
    """At the start of one cosine to 0; Adam with betas 0.9 and 0.98."""
    text_rate: Share = 0.1
    """Learning rate of the text projection as a share of ``learning_rate``: texts to be read later
    may be of other kinds than the few of the pairs. 0 keeps the projection as it starts."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Share of the audio vector's values that are left out, drawn anew for each pair and step."""
    temperature: Finite = 0.15
    """At the start; it is learned."""

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str) -> str:
        if template.count("{}") != 1:
            raise ValueError(f"template {template!r} must hold '{{}}' once")
        return template


@dataclass(frozen=True, slots=True, config=_STRICT)
class LockedConfig:
    """All of a training of projections."""

    data: PairsConfig
    audio: dict[str, Any]
    """``loader`` and its options, as in a suite."""
    text: dict[str, Any]
    seed: int = 0
    training: ProjectionConfig = field(default_factory=ProjectionConfig)

    @field_validator("audio", "text")
    @classmethod
    def _names_a_loader(cls, table: dict[str, Any]) -> dict[str, Any]:
        if "loader" not in table:
            raise ValueError("needs the key 'loader', the name of a model")
        return table


def is_locked(path: Path | str) -> bool:
    """Return whether a config file is of this preset; False where it cannot be read as TOML."""
    try:
        return parse_toml(Path(path).read_bytes()).get("preset") == PRESET
    except (OSError, UnreadableError):
        return False


def load_locked_config(path: Path | str) -> LockedConfig:
    """Read a config file, its paths resolved.

    Raises
    ------
    ModelError
        If the file is missing or no TOML, a key is unknown (with the nearest known one) or missing,
        or has a value that is not allowed.
    DataError
        If a place such as ``{data}/...`` is nowhere.
    """
    path = Path(path)
    content = read_toml(path, of="config", error=ModelError)
    if content.pop("preset", None) != PRESET:
        raise ModelError(f'config {path}: expected preset = "{PRESET}"')
    config = validated(LockedConfig, content, of=f"config {path}", error=ModelError)
    embeddings, texts = (
        _place(given, path.parent) for given in (config.data.embeddings, config.data.texts)
    )
    return replace(config, data=replace(config.data, embeddings=embeddings, texts=texts))


def _place(given: str, folder: Path) -> str:
    return str(placed(given) if given.startswith(PLACES) else folder / Path(given).expanduser())
