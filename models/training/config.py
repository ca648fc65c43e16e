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
"""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import TypeAdapter, ValidationError

from earmark.datasets.files.text_files import UnreadableError, parse_toml
from earmark.models.base import ModelError
from earmark.models.dcase.config import DCASEConfig
from earmark.models.muscall.config import MusCALLConfig

Kind = Literal["muscall", "dcase"]
Precision = Literal["fp32", "bf16", "fp16"]

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


@dataclass(frozen=True, slots=True)
class AugmentationConfig:
    """Independent probabilities a transformation, and ranges; the defaults are for training.

    The paper states noise and pitch shift without figures; these are the released code's.
    """

    p_polarity: float = 0.0
    p_noise: float = 0.3
    p_gain: float = 0.0
    p_pitch_shift: float = 0.4
    snr_db: tuple[float, float] = (3.0, 30.0)
    """Signal-to-noise ratio of coloured noise, in dB."""
    noise_decay: tuple[float, float] = (-2.0, 2.0)
    """Exponent of the noise's spectrum: 0 is white, 1 pink, -1 blue."""
    gain_db: tuple[float, float] = (-18.0, 6.0)
    semitones: tuple[float, float] = (-4.0, 4.0)
    pitch_overlap: int = 32
    """Windows over each sample in the pitch shift. 32 is the library's; 8 take a fifth of the time
    and leave a tone 25 instead of 27 dB above what the shift adds to it."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, tuple | list):
                low, high = value
                object.__setattr__(self, one.name, (low, high))
                if not low <= high:
                    raise ModelError(f"augmentation: {one.name} is {low} to {high}")
            elif one.name == "pitch_overlap":
                if value < 2:
                    raise ModelError(f"augmentation: pitch_overlap is {value}, expected 2 or more")
            elif not 0 <= value <= 1:
                raise ModelError(f"augmentation: {one.name} is {value}, expected 0 to 1")


TRAINING = AugmentationConfig()
"""Of the input of the audio tower."""
SSL = AugmentationConfig(p_polarity=0.8, p_noise=0.3, p_gain=0.2, p_pitch_shift=0.4)
"""Of the second view in self-supervised learning."""
NONE = AugmentationConfig(p_noise=0.0, p_pitch_shift=0.0)


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Where the pairs come from, and how they are cut."""

    train: tuple[str, ...] = ()
    """Folders that ``earmark prepare`` wrote; several are joined."""
    valid: tuple[str, ...] = ()
    crop_seconds: float = 20.0
    """Of training, at random; validation hears the centre."""
    captions: Literal["draw", "all"] = "draw"
    """Of a clip with several: one drawn each epoch, or each an item of its own."""
    workers: int = 2
    """Threads that read ahead."""
    datasets: tuple[str, ...] = ()
    """Ids of the datasets in ``train``, for the card: by them contamination is found."""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class OptimiserConfig:
    """The optimiser; weight decay acts on every parameter, as in the released code."""

    name: Literal["adam", "adamw"] = "adam"
    """``adamw`` shrinks the weights by the decay (decoupled), as CLIP and the released code do.
    ``adam`` adds the decay to the gradient (L2), as the paper reads literally: Adam divides it by
    the gradient's size, and over the paper's schedule the weights shrink until nothing is learned
    (docs/training.md). Without weight decay both are the same."""
    learning_rate: float = 5e-5
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float | None = None
    """Of all gradients together; None: not clipped."""


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """How the learning rate moves: by steps (cosine), or by validation (plateau)."""

    name: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup_steps: int = 0
    """Of the cosine: a linear rise from 0."""
    half_period: float = 1.0
    """Of the cosine, as a share of the run: 1 falls to 0 once; with 0.1 it falls and rises five
    times and ends where it began, as in the released code."""
    factor: float = 0.1
    """Of the plateau."""
    patience: int = 5
    """Of the plateau, in validations."""
    threshold: float = 0.01
    """Of the plateau: the fall of the loss that counts."""


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """The loop, and the hardware it runs on."""

    epochs: int = 150
    batch_size: int = 256
    """Of all processes together."""
    micro_batch_size: int | None = None
    """Pairs that a process encodes at once; None: its whole share of the batch."""
    mask_duplicate_captions: bool = False
    """Pairs of one batch with the same caption are not negatives of each other."""
    best_by: str = "R@10"
    """The validation's score whose best checkpoint is kept, or ``loss`` (lower is better)."""
    validate_every: int = 1
    """In epochs; the last one is always validated."""
    checkpoint_every: int = 0
    """In steps, beside one each epoch; 0: none."""
    log_every: int = 10
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


@dataclass(frozen=True, slots=True)
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

    def __post_init__(self) -> None:
        training, optimiser, schedule = self.training, self.optimiser, self.schedule
        for name, value in (
            ("training.epochs", training.epochs),
            ("training.validate_every", training.validate_every),
            ("training.log_every", training.log_every),
            ("training.micro_batch_size", training.micro_batch_size or 1),
            ("data.workers", self.data.workers),
        ):
            _require(value >= 1, f"{name} is {value}, expected 1 or more")
        _require(
            training.batch_size >= 2,
            f"training.batch_size is {training.batch_size}, expected 2 or more: a pair alone has "
            f"no negative",
        )
        _require(training.checkpoint_every >= 0, "training.checkpoint_every is below 0")
        _require(
            self.data.crop_seconds > 0,
            f"data.crop_seconds is {self.data.crop_seconds}, expected above 0",
        )
        _require(optimiser.learning_rate > 0, "optimiser.learning_rate is not above 0")
        _require(
            0 < schedule.half_period <= 1,
            f"schedule.half_period is {schedule.half_period}, expected above 0 and at most 1",
        )
        _require(0 < schedule.factor < 1, f"schedule.factor is {schedule.factor}, expected 0 to 1")


def load_config(path: Path | str) -> RunConfig:
    """Read a run's TOML file; folders of corpora and word vectors start at its own folder.

    Raises
    ------
    ModelError
        If the file is missing or no TOML, a key is unknown (with the nearest known one), follows
        from another, or has a value that is not allowed.
    """
    path = Path(path)
    try:
        content = parse_toml(path.read_bytes())
    except OSError as error:
        raise ModelError(f"config {path}: {error.strerror or error}") from error
    except UnreadableError as error:
        raise ModelError(f"config {path} is not TOML: {error}") from error
    config = parse_config(content, of=f"config {path}")
    if not config.data.train or not config.data.valid:
        raise ModelError(
            f"config {path}: data.train and data.valid must name folders that `earmark prepare` "
            f'wrote, e.g. train = ["prepared/train"]'
        )
    places = {
        side: tuple(str(path.parent / Path(folder).expanduser()) for folder in folders)
        for side, folders in (("train", config.data.train), ("valid", config.data.valid))
    }
    words = config.text.word_vectors
    text = {} if words == "train" else {"word_vectors": str(path.parent / Path(words).expanduser())}
    return _merged(config, {"data": places, "text": text}, of=f"config {path}")


def parse_config(content: Mapping[str, Any], *, of: str = "config") -> RunConfig:
    """Return the config of a TOML file's content, over its preset or over the classes' defaults.

    Raises
    ------
    ModelError
        As :func:`load_config`; ``of`` begins the message.
    """
    return _merged(None, _with_preset(dict(content), of=of), of=of)


def preset_names() -> list[str]:
    """Return the names of the presets that come with Earmark."""
    return sorted(
        place.name.removesuffix(".toml")
        for place in _presets().iterdir()
        if place.name.endswith(".toml")
    )


def preset(name: str) -> RunConfig:
    """Return a preset, without data.

    Raises
    ------
    ModelError
        If there is none of this name.
    """
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
    """Return the config of :func:`plain`'s values.

    Raises
    ------
    ModelError
        If a key or a value is not one of this version of earmark.
    """
    return _validated(dict(content), of=of)


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
        return content
    known = preset_names()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
        raise ModelError(f"{of}: no preset {name!r}. {hint}")
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


def _merged(config: RunConfig | None, content: Mapping[str, Any], *, of: str) -> RunConfig:
    base = {} if config is None else plain(config)
    if config is None:
        _check_keys(RunConfig, content, path="", of=of)
        model = content.get("model", base.get("model", "muscall"))
        others = [kind for kind in get_args(Kind) if kind != model and kind in content]
        if others:
            raise ModelError(
                f"{of}: [{others[0]}] is of another model than model = {model!r}; leave it out, or "
                f"take a preset of that model"
            )
    return _validated(_laid_over(base, content), of=of)


def _validated(content: dict[str, Any], *, of: str) -> RunConfig:
    _check_keys(RunConfig, content, path="", of=of, derived=True)
    try:
        return TypeAdapter(RunConfig).validate_python(content)
    except ValidationError as error:
        parts = []
        for item in error.errors()[:10]:
            place = ".".join(str(step) for step in item["loc"])
            message = item["msg"].removeprefix("Value error, ")
            parts.append(f"{place}: {message}" if place else message)
        raise ModelError(f"{of}: {'; '.join(parts)}") from error


def _check_keys(
    of_type: type, content: Mapping[str, Any], *, path: str, of: str, derived: bool = False
) -> None:
    """Refuse keys that the class, or the class of one of its fields, has not."""
    hints = typing.get_type_hints(of_type)
    known = [each.name for each in fields(of_type)]
    for key, value in content.items():
        place = f"{path}{key}"
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
            where = f"[{path[:-1]}] has" if path else "there is"
            raise ModelError(f"{of}: {where} no key {key!r}. {hint}")
        if place in _DERIVED and not derived:
            raise ModelError(f"{of}: {place} is not set here; it follows from {_DERIVED[place]}")
        inner = _dataclass_in(hints[key])
        if inner is not None and isinstance(value, Mapping):
            _check_keys(inner, value, path=f"{place}.", of=of, derived=derived)


def _dataclass_in(hint: Any) -> type | None:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next((each for each in options if isinstance(each, type) and is_dataclass(each)), None)


def _flat(content: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{path}{key}.")
        else:
            found[f"{path}{key}"] = value
    return found


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ModelError(message)
