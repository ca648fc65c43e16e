"""Training, from top to bottom.

::

    config → corpora → task → Fabric → each batch: augment, encode, loss, step
                                     → each epoch: validate, keep the best, write a checkpoint

The same loop trains on a CPU, on one GPU, on several, and on several machines. Next door are
:mod:`.task` (what a model makes of a batch), :mod:`.optimisation` (gradients of large batches),
:mod:`.distributed` (processes), :mod:`.checkpoints` (going on where a run stopped).
"""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from earmark.datasets.base import Progress, first_ten
from earmark.datasets.files.atomic_files import write_whole
from earmark.models.base import Floats, ModelError
from earmark.models.muscall.losses import Rows, unit
from earmark.models.training import checkpoints
from earmark.models.training.augmentation import Augmentation
from earmark.models.training.batches import Batch, Batches, scale
from earmark.models.training.checkpoints import Checkpoint, to_resume
from earmark.models.training.config import RunConfig, doubts, plain
from earmark.models.training.corpus import Corpus, corpus_doubts
from earmark.models.training.distributed import (
    any_process,
    average_buffers,
    ends_together,
    everyone,
    gatherer,
    launch,
    mean_of_processes,
    micro_batch_of,
    norm_group,
)
from earmark.models.training.optimisation import (
    Schedule,
    backward,
    build_optimiser,
    learning_rate,
)
from earmark.models.training.progress import (
    Meter,
    ProgressLog,
    Values,
    line,
    peak_flops,
    training_flops,
)
from earmark.models.training.task import (
    Audio,
    CrossProcess,
    TrainingTask,
    build,
    prepare_loss,
    rebuild,
)

CHECKPOINTS = "checkpoints"
VERIFIED_WHOLE = 256 * 2**20
"""Bytes of samples: corpora up to it are verified whole before the first step, larger ones by one
clip of each batch."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    folder: Path
    rank: int
    """Of this process: only the first, 0, has anything to say."""
    best: float
    """Of the validation score that the config chooses by."""
    best_step: int
    steps: int
    seconds: float
    """Of this call."""
    samples: int
    """Learned from in this call."""


def train(
    config: RunConfig,
    out: Path | str,
    *,
    score: Score,
    resume: bool = False,
    verify: bool = False,
    stop_collapsed: bool = True,
    progress: Progress | None = None,
    tell: Callable[[str], None] = print,
) -> Outcome:
    """Train a model and leave checkpoints and metrics in a folder.

    Parameters
    ----------
    score
        Scores the validation corpus's embeddings.
    resume
        Go on from the folder's last checkpoint, if there is one.
    verify
        Hold all samples of the corpora against their digests first; without it this is done for
        small corpora (:data:`VERIFIED_WHOLE`) and, of larger ones, for a clip of each batch.
    stop_collapsed
        End a run whose embeddings have collapsed; otherwise this is told and the run goes on.
    progress
        Called with steps done, steps in all, and "training".
    tell
        Called with a line an epoch, and with what to beware of.

    Raises
    ------
    DataError
        If samples of a corpus are not those that were written.
    ModelError
        If the config does not fit the machine or the corpora, the folder holds another run, it
        holds a run and ``resume`` was not asked for, or no pair of a corpus differs from another.
    NotFiniteError
        If the loss is not finite.
    CollapsedError
        If all clips or all captions have one embedding (:class:`CollapseWatch`).
    Stopped
        If SIGTERM arrived; a checkpoint was written.
    """
    kept = "its checkpoints are kept, and --resume goes on from the last with all processes"
    with ends_together(go_on=kept):
        return Trainer(
            config,
            Path(out),
            score=score,
            resume=resume,
            verify=verify,
            stop_collapsed=stop_collapsed,
            tell=tell,
        ).run(progress)


class Trainer:
    """One run; :func:`train` is how to start it."""

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        *,
        score: Score,
        resume: bool = False,
        verify: bool = False,
        stop_collapsed: bool = True,
        tell: Callable[[str], None] = print,
    ) -> None:
        if config.training.best_by not in (*score.names, "loss"):
            raise ModelError(
                f"training.best_by is {config.training.best_by!r}, expected "
                f"{', '.join(map(repr, (*score.names, 'loss')))}"
            )
        self.config, self.out, self.score, self.stop_collapsed = config, out, score, stop_collapsed
        # Before processes meet: what is missing is told by each, and none waits for another.
        self.corpora = {
            "train": Corpus.open(*config.data.train),
            "valid": Corpus.open(*config.data.valid),
        }
        self.fabric = fabric = launch(config.training)
        self.tell = tell if fabric.is_global_zero else (lambda line: None)
        self._check_corpora(verify=verify)
        found = to_resume(out / CHECKPOINTS, config, self._fingerprints(), wanted=resume)
        self._seed()

        # What learns, and how.
        captions = _captions(self.corpora["train"])
        if found is None:
            task, self.words = build(config, captions)
        else:
            task, self.words = rebuild(config, found.words, found.model), found.words
        prepare_loss(task, config)
        self.task = task
        self._check_rate()
        self.micro_batch_size, self.norm_group = self._groups(found)
        if config.training.sync_batch_norm:
            nn.SyncBatchNorm.convert_sync_batchnorm(task)  # type: ignore[no-untyped-call]
        if config.training.channels_last:
            task.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        on_gpu = fabric.device.type == "cuda"
        # The fused optimiser unscales fp16 gradients itself, too late for them to be clipped.
        fused = on_gpu and not (config.training.precision == "fp16" and config.optimiser.clip_norm)
        optimiser = build_optimiser(task.parameters(), config.optimiser, fused=fused)
        compiled = cast(nn.Module, torch.compile(task)) if config.training.compile else task
        self.module, self.optimiser = fabric.setup(compiled, optimiser)
        self.batches = Batches(
            self.corpora["train"],
            batch_size=config.training.batch_size,
            crop_seconds=config.data.crop_seconds,
            captions=config.data.captions,
            seed=config.seed,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
            workers=config.data.workers,
        )
        self.valid = validation_batches(self.corpora["valid"], config, fabric)
        self.steps_in_all = config.training.epochs * self.batches.batches_per_epoch
        self.schedule = Schedule(optimiser, config.schedule, n_steps=self.steps_in_all)
        rate = task.sample_rate
        self.augment = Augmentation(config.augmentation, sample_rate=rate, stream=0)
        self.second_view = (
            Augmentation(config.second_view, sample_rate=rate, stream=1)
            if config.model == "muscall" and config.muscall.self_supervision is not None
            else None
        )

        # Where the run stands.
        self.step = 0
        self.best: float | None = None
        self.best_step = 0
        self.scores: dict[str, float] = {}
        if found is not None:
            self._go_on_from(found)
        self.gather = gatherer(fabric)
        self.collapse = CollapseWatch()
        self.spreads: dict[str, float] = {}
        peak = peak_flops(fabric.device, config.training.precision)
        self.step_meter, self.epoch_meter = Meter(peak=peak), Meter(peak=peak)

    def run(self, progress: Progress | None = None) -> Outcome:
        """Train to the end of the last epoch."""
        epochs, started, first_step = self.config.training.epochs, time.perf_counter(), self.step
        with self._log() as log, termination() as asked:
            while self.batches.epoch < epochs:
                epoch, losses = self.batches.epoch + 1, list[float]()
                self._restart_meters()
                for batch in self.batches:
                    losses.append(self.train_step(batch))
                    if progress is not None and self.fabric.is_global_zero:
                        progress(self.step, self.steps_in_all, "training")
                    self._after_step(epoch, log, loss=losses[-1], stop=asked.is_set())
                self._end_epoch(epoch, log, losses=losses)
        seconds = time.perf_counter() - started
        return Outcome(
            folder=self.out,
            rank=self.fabric.global_rank,
            best=float("nan") if self.best is None else self.best,
            best_step=self.best_step,
            steps=self.step,
            seconds=seconds,
            samples=(self.step - first_step) * self.config.training.batch_size,
        )

    def train_step(self, batch: Batch) -> float:
        """Learn from one batch and return its loss, the mean over processes."""
        micro_batches = self._micro_batches(batch)
        if self.epoch_meter.flops_a_sample is None:
            self._count_flops(micro_batches[0], len(batch) / len(micro_batches))
        pair_ids = self.task.pair_ids(batch)
        draws = torch.Generator().manual_seed((self.config.seed << 32) + self.step)
        across = CrossProcess(self.gather, self.fabric.global_rank, draws)
        loss = backward(
            self.module,
            micro_batches,
            lambda features: self._loss(features, pair_ids, across),
            fabric=self.fabric,
            check=partial(self._check_loss, batch),
        )
        if self.config.optimiser.clip_norm is not None:
            norm = self.config.optimiser.clip_norm
            self.fabric.clip_gradients(self.module, self.optimiser, max_norm=norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.task.clamp_temperature()
        self.schedule.after_step()
        self.step += 1
        self._watch_collapse()
        for meter in (self.step_meter, self.epoch_meter):
            meter.count(len(batch), waited=self.batches.waited_seconds)
        self.batches.waited_seconds = 0.0
        return float(mean_of_processes(self.fabric, loss))

    def _micro_batches(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Augment and go to log-mels on the device, in pieces that a process encodes at once."""
        size = self.micro_batch_size or len(batch)
        waveforms = batch.to(self.fabric.device).waveforms
        found = []
        for start in range(0, len(batch), size):
            rows = slice(start, start + size)
            clean, lengths, seeds = waveforms[rows], batch.lengths[rows], batch.seeds[rows]
            sound = Audio(
                self.augment(clean, seeds, lengths=lengths),
                lengths,
                other_views=None
                if self.second_view is None
                else self.second_view(clean, seeds, lengths=lengths),
            )
            found.append(self.task.inputs(sound, batch.captions[rows]))
        return found

    def _loss(
        self, features: Mapping[str, Tensor], pair_ids: Mapping[str, Tensor], across: CrossProcess
    ) -> Tensor:
        own = torch.stack([spread(features["audio"]), spread(features["text"])])
        audio, text = mean_of_processes(self.fabric, own).tolist()
        self.spreads = {"audio": audio, "text": text}
        return self.task.loss(features, pair_ids, across)

    def _watch_collapse(self) -> None:
        """End the run, or tell, where the embeddings of one side do not differ any more."""
        found = self.collapse.after_step(self.spreads)
        if found is None:
            return
        optimiser = self.config.optimiser
        cause = (
            f"optimiser.name 'adam' adds the weight decay of {optimiser.weight_decay:g} to the "
            f"gradient, by which weights shrink away: 'adamw' decays them apart from it"
            if optimiser.name == "adam" and optimiser.weight_decay
            else "a smaller learning rate, a warm-up, less weight decay or other captions may help"
        )
        message = f"collapsed at step {self.step} of {self.steps_in_all}: {found}. {cause}"
        if not self.stop_collapsed:
            self.tell(f"beware: {message}")
            return
        best = f"the best checkpoint is of step {self.best_step}" if self.best_step else "none yet"
        raise CollapsedError(f"{message}. Checkpoints are kept; {best}")

    def _check_loss(self, batch: Batch, loss: Tensor) -> None:
        mean = float(mean_of_processes(self.fabric, loss))
        if not np.isfinite(mean):
            last = checkpoints.saved(self.out / CHECKPOINTS)
            raise NotFiniteError(
                f"the loss of step {self.step + 1} is {mean}; nothing was learned from it. Its "
                f"clips (process {self.fabric.global_rank}): {first_ten(batch.ids)}. "
                f"Last checkpoint: {last[-1].name if last else 'none'}; a smaller learning rate, "
                f"clip_norm or another precision may help"
            )

    def _after_step(self, epoch: int, log: ProgressLog | None, *, loss: float, stop: bool) -> None:
        training = self.config.training
        at_log = self.step % training.log_every == 0
        if at_log:
            self._write(log, epoch, {"loss": loss, **self._state_of_learning(self.step_meter)})
        # Asking the other processes takes time, so they are asked when a row is written.
        if self.fabric.world_size > 1:
            stop = at_log and any_process(self.fabric, stop)
        every = training.checkpoint_every
        if stop or (every and self.step % every == 0):
            path = self._save(improved=False)
            if stop:
                raise Stopped(
                    f"stopped by SIGTERM after step {self.step} of {self.steps_in_all}; "
                    f"{path} was written, and --resume goes on from it"
                )

    def _end_epoch(self, epoch: int, log: ProgressLog | None, *, losses: list[float]) -> None:
        """Validate, keep the best, write a checkpoint, and tell."""
        training = self.config.training
        seconds = self.epoch_meter.seconds
        shown: dict[str, float | None] = {"loss": float(np.mean(losses)) if losses else None}
        shown |= self._state_of_learning(self.epoch_meter)
        improved = False
        if epoch % training.validate_every == 0 or epoch == training.epochs:
            average_buffers(self.fabric, self.task)
            self.scores, improved = self._validate()
            shown |= self.scores
            self._write(log, epoch, self.scores)
        self._save(improved=improved)
        self.tell(line(epoch, training.epochs, shown, seconds=seconds))

    def _validate(self) -> tuple[dict[str, float], bool]:
        """Return the validation's loss and scores, and whether they are the best so far."""
        embedded, loss = embed(
            self.module,
            self.task,
            self.valid,
            fabric=self.fabric,
            batch_size=self.config.training.batch_size,
        )
        scores = {"valid_loss": loss, **self.score(embedded)}
        self.schedule.after_validation(loss)
        by = self.config.training.best_by
        value = loss if by == "loss" else scores[by]
        better = self.best is None or (value < self.best if by == "loss" else value > self.best)
        if better:
            self.best, self.best_step = value, self.step
        return scores, better

    def _state_of_learning(self, meter: Meter) -> dict[str, float | None]:
        return {
            "temperature": self.task.temperature(),
            "learning_rate": learning_rate(self.optimiser),
            **meter.read(processes=self.fabric.world_size),
        }

    def _restart_meters(self) -> None:
        self.step_meter.restart()
        self.epoch_meter.restart()

    def _count_flops(self, inputs: dict[str, Tensor], size: float) -> None:
        flops = training_flops(self.task, inputs) / size
        self.step_meter.flops_a_sample = self.epoch_meter.flops_a_sample = flops

    def _write(self, log: ProgressLog | None, epoch: int, values: Values) -> None:
        if log is not None:
            log.write(self.step, epoch, values)

    @contextmanager
    def _log(self) -> Iterator[ProgressLog | None]:
        """Open the metrics in the first process."""
        if not self.fabric.is_global_zero:
            yield None
            return
        log = ProgressLog(
            self.out,
            scores=self.score.names,
            step=self.step,
            tensorboard=self.config.training.tensorboard,
        )
        content = json.dumps(plain(self.config), indent=2) + "\n"
        write_whole(self.out / "config.json", content.encode())
        try:
            yield log
        finally:
            log.close()

    def _save(self, *, improved: bool) -> Path:
        """Write a checkpoint in the first process, with the random numbers of all."""
        average_buffers(self.fabric, self.task)
        states = everyone(self.fabric, checkpoints.random_state(self.fabric.device))
        folder = self.out / CHECKPOINTS
        if self.fabric.is_global_zero:
            checkpoints.save(
                Checkpoint(
                    config=plain(self.config),
                    fingerprints=self._fingerprints(),
                    words=self.words,
                    step=self.step,
                    model=self.task.state_dict(),
                    optimiser=self.optimiser.state_dict(),
                    schedule=self.schedule.state_dict(),
                    scaler=self.fabric.strategy.precision.state_dict(),
                    batches=self.batches.state_dict(),
                    random=states,
                    best=self.best,
                    best_step=self.best_step,
                    scores=self.scores,
                    norm_group=self.norm_group,
                ),
                folder,
                best=improved,
            )
        self.fabric.barrier()
        return folder / f"step-{self.step:08d}.pt"

    def _groups(self, found: Checkpoint | None) -> tuple[int | None, int | None]:
        """Return the micro-batch and, if there is BatchNorm, the size of its groups.

        A run that is resumed by fewer processes keeps its groups, in smaller micro-batches.
        """
        training, world_size = self.config.training, self.fabric.world_size
        if not any(isinstance(part, _BatchNorm) for part in self.task.modules()):
            return training.micro_batch_size, None
        group = norm_group(training, world_size=world_size)
        kept = None if found is None else found.norm_group
        if found is not None and kept is None:  # written before groups were kept
            kept = norm_group(training, world_size=len(found.random))
        if kept is None or kept == group:
            return training.micro_batch_size, group
        size = micro_batch_of(training, kept, world_size=world_size)
        if self.fabric.is_global_zero:
            self.tell(f"resumed in micro-batches of {size} clips: BatchNorm's groups stay {kept}")
        return size, kept

    def _go_on_from(self, found: Checkpoint) -> None:
        self.optimiser.load_state_dict(found.optimiser)
        self.schedule.load_state_dict(found.schedule)
        if found.scaler:
            self.fabric.strategy.precision.load_state_dict(found.scaler)
        self.batches.load_state_dict(found.batches)
        self.step, self.best, self.best_step = found.step, found.best, found.best_step
        self.scores = found.scores
        checkpoints.set_random_state(
            found.random, rank=self.fabric.global_rank, device=self.fabric.device
        )

    def _fingerprints(self) -> dict[str, str]:
        return {side: corpus.fingerprint for side, corpus in self.corpora.items()}

    def _seed(self) -> None:
        # Dropout differs between processes; weights are drawn by building.build, the same on all.
        seed = self.config.seed + self.fabric.global_rank
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)

    def _check_corpora(self, *, verify: bool) -> None:
        """Refuse corpora that were changed or from which nothing can be learned; tell doubts."""
        fabric, training = self.fabric, self.config.training
        for side, corpus in self.corpora.items():
            if verify or 2 * int(corpus.n_samples.sum()) <= VERIFIED_WHOLE:
                corpus.verify(range(fabric.global_rank, len(corpus), fabric.world_size))
            size = training.batch_size if side == "train" else 0
            for doubt in corpus_doubts(corpus, f"data.{side}", batch_size=size):
                self.tell(f"beware: {doubt}")
        learned, asked = (set(self.corpora[side].digests) for side in ("train", "valid"))
        if both := len(learned & asked):
            self.tell(
                f"beware: {both} of {len(asked)} clips of data.valid are in data.train, too: the "
                f"best checkpoint would be chosen by what was learned by heart"
            )
        for doubt in doubts(self.config):
            self.tell(f"beware: {doubt}")

    def _check_rate(self) -> None:
        for side, corpus in self.corpora.items():
            if corpus.sample_rate != self.task.sample_rate:
                raise ModelError(
                    f"the corpus data.{side} is at {corpus.sample_rate} Hz and the model takes "
                    f"{self.task.sample_rate} Hz: prepare it at that rate, or change the "
                    f"model's sample_rate"
                )


def _captions(corpus: Corpus) -> list[str]:
    return [caption for clip in range(len(corpus)) for caption in corpus.captions(clip)]


COLLAPSED_SPREAD = 1e-5
"""Below it all embeddings of a batch are one vector, but for rounding (that of bf16: some 1e-6).
Models that learn were seen to fall to 3e-4 at their start."""
COLLAPSED_STEPS = 100
"""For how many steps in a row, before a run is stopped."""


class Stopped(Exception):  # noqa: N818 - not an error: the run was asked to stop, and saved
    """SIGTERM arrived; the message names the checkpoint that ``--resume`` goes on from."""


class NotFiniteError(ModelError):
    """The loss is NaN or infinite; the message names the batch's clips."""


class CollapsedError(ModelError):
    """All clips, or all captions, have had one embedding for :data:`COLLAPSED_STEPS` steps."""


class CollapseWatch:
    """Counts the steps in a row whose embeddings do not differ."""

    def __init__(self) -> None:
        self._steps = dict.fromkeys(("audio", "text"), 0)

    def after_step(self, spreads: Mapping[str, float]) -> str | None:
        """Return what has just collapsed as a sentence, or None.

        ``spreads`` are those of ``audio`` and ``text`` (:func:`spread`).
        """
        for side in self._steps:
            same = spreads[side] < COLLAPSED_SPREAD
            self._steps[side] = self._steps[side] + 1 if same else 0
            if self._steps[side] == COLLAPSED_STEPS:
                of = {"audio": "clips", "text": "captions"}[side]
                return (
                    f"for {COLLAPSED_STEPS} steps all {of} of a batch have had one embedding "
                    f"(spread below {COLLAPSED_SPREAD:g}), so that the loss is at chance and stays "
                    f"there"
                )
        return None


@torch.no_grad()
def spread(embeddings: Tensor) -> Tensor:
    """Return the variance of a batch's unit vectors around their mean, a scalar in [0, 1].

    >>> spread(torch.tensor([[3.0, 0.0], [0.0, 1.0]])), spread(torch.ones(5, 2))
    (tensor(0.5000), tensor(0.))
    """
    vectors = unit(Rows.alone(embeddings)).own
    return (vectors - vectors.mean(dim=0)).square().sum(dim=1).mean()


@contextmanager
def termination() -> Iterator[threading.Event]:
    """Note the first SIGTERM instead of dying by it; the second one kills as usual."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread receives signals
        return
    before = signal.getsignal(signal.SIGTERM)

    def note(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True, slots=True)
class Embedded:
    """Captions and the clips that they belong to, as a model has them."""

    audio: Floats
    """Unit vectors, shape ``(n_clips, dimension)``."""
    text: Floats
    """Unit vectors, shape ``(n_captions, dimension)``."""
    captions: tuple[str, ...]
    clip_of: NDArray[np.int64]
    """The index into ``audio`` of each caption's clip, shape ``(n_captions,)``."""


class Score(Protocol):
    """Maps embeddings to scores by name, higher being better."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def __call__(self, embedded: Embedded) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class _Found:
    """One batch's vectors and pair_ids, off the device."""

    audio: Tensor
    text: Tensor
    pair_ids: Mapping[str, Tensor]
    captions: tuple[str, ...]


def validation_batches(corpus: Corpus, config: RunConfig, fabric: Fabric) -> Batches:
    """Return every caption with its clip, in order: MusCALL's centre, the whole clip for DCASE.

    Both as the adapters take clips by default.
    """
    return Batches(
        corpus,
        batch_size=config.training.batch_size,
        crop_seconds=config.data.crop_seconds if config.model == "muscall" else None,
        crop="centre",
        captions="all",
        shuffle=False,
        drop_last=False,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        workers=config.data.workers,
    )


@torch.no_grad()
def embed(
    module: nn.Module, task: TrainingTask, batches: Batches, *, fabric: Fabric, batch_size: int
) -> tuple[Embedded, float]:
    """Return the embeddings of a validation corpus and the loss over whole batches of it.

    Each process embeds its share, and all of them return everything.
    """
    task.eval()
    own = [_embed_batch(module, task, batch) for batch in batches if len(batch)]
    task.train()
    shares = everyone(fabric, own)
    # A global batch is the processes' slices in order.
    longest = max(map(len, shares))
    found = [share[number] for number in range(longest) for share in shares if number < len(share)]
    audio, text = (torch.cat([getattr(each, side) for each in found]) for side in ("audio", "text"))
    pair_ids = {
        name: torch.cat([each.pair_ids[name] for each in found]) for name in found[0].pair_ids
    }
    captions = tuple(caption for each in found for caption in each.captions)
    _, first, clip_of = np.unique(pair_ids["clips"].numpy(), return_index=True, return_inverse=True)
    embedded = Embedded(audio.numpy()[first], text.numpy(), captions, clip_of.astype(np.int64))
    return embedded, _loss(task, audio, text, pair_ids, size=batch_size)


def _embed_batch(module: nn.Module, task: TrainingTask, batch: Batch) -> _Found:
    sound = Audio(scale(batch.to(task.device).waveforms), batch.lengths)
    features = module(task.inputs(sound, batch.captions))
    audio, text = (F.normalize(features[side].float(), dim=1).cpu() for side in ("audio", "text"))
    pair_ids = {name: values.cpu() for name, values in task.pair_ids(batch).items()}
    return _Found(audio, text, pair_ids, batch.captions)


def _loss(
    task: TrainingTask, audio: Tensor, text: Tensor, pair_ids: Mapping[str, Tensor], *, size: int
) -> float:
    """Return the mean loss of whole batches; of all pairs where there is no whole batch.

    Impostors are drawn anew by the same seed each time, so that losses can be compared.
    """
    across = CrossProcess(gather=lambda rows: rows, rank=0, draws=torch.Generator().manual_seed(0))
    losses = []
    starts: Sequence[int] = range(0, len(text) - size + 1, size) or [0]
    for start in starts:
        rows = slice(start, start + size)
        features = {"audio": audio[rows].to(task.device), "text": text[rows].to(task.device)}
        own = {name: values[rows].to(task.device) for name, values in pair_ids.items()}
        losses.append(float(task.loss(features, own, across)))
    return float(np.mean(losses))
