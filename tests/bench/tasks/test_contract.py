"""What every registered task keeps to, on one small set of invented sounds each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import soundfile
from captioned_sets import CARD, captioned
from invented_musav import write_musav

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.bench.scoring.items import table_of
from earmark.bench.scoring.results import wrong_scores
from earmark.bench.tasks import registry
from earmark.bench.tasks.registry import TASKS, VIEWS, open_task, task_of
from earmark.bench.tasks.retrieval import task as retrieval
from earmark.bench.tasks.task import Context
from earmark.bench.tasks.vectors import embed
from earmark.datasets.base import Captioned, Clip, DataError, RatedClips, Scale, Tagged
from earmark.datasets.judgements.musav import load
from earmark.models.adapters.references import RandomModel
from earmark.models.base import ModelError
from earmark.reports.record.lookup import headline, select

N = 24
RATE = 8_000
MUSAV_TRIPLETS = 12


class Ears(RandomModel):
    """Vectors drawn by lot; counts what it embeds, and can be told to embed nothing."""

    def __init__(self, *, seed: int = 0, counts_text: bool = True) -> None:
        super().__init__(seed=seed, dimension=8)
        self._counts_text = counts_text
        self.embedded = 0
        self.asleep = False

    def _count(self, items: Any) -> Any:
        assert not self.asleep, "embedded what the task had not said that it wants"
        self.embedded += len(items)
        return items

    def embed_audio(self, clips: Any) -> Any:
        return super().embed_audio(self._count(clips))

    def embed_text(self, texts: Any) -> Any:
        return super().embed_text(self._count(texts) if self._counts_text else texts)

    def predict_av(self, clips: Any) -> Any:
        return super().predict_av(self._count(clips))


class Constant(Ears):
    """The same for everything."""

    def __init__(self) -> None:
        super().__init__(seed=99)

    def embed_audio(self, clips: Any) -> Any:
        return np.full((len(clips), self.dimension), self.dimension**-0.5, np.float32)

    embed_text = embed_audio

    def predict_av(self, clips: Any) -> Any:
        return np.full((len(clips), 2), 0.25, np.float32)


def models(**options: Any) -> dict[str, Ears]:
    return {"one": Ears(**options), "two": Ears(seed=1, **options)}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """``sounds(names)`` writes a short noise for each name and returns the paths."""
    folder = tmp_path_factory.mktemp("sounds")

    def write(names: list[str]) -> list[Any]:
        paths = [folder / f"{name}.wav" for name in names]
        for number, path in enumerate(paths):
            noise = np.random.default_rng(number).uniform(-0.5, 0.5, RATE // 5)
            soundfile.write(path, noise, RATE)
        return paths

    return write


@pytest.fixture(scope="module")
def datasets(sounds: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A set of each type that tasks read."""
    rng = np.random.default_rng(3)
    paths = sounds([f"c{i}" for i in range(N)])
    clips = tuple(
        Clip(f"c{i}", path, label="abc"[i % 3], unit=f"u{i // 2}") for i, path in enumerate(paths)
    )
    rated = RatedClips(CARD, clips, rng.uniform(1, 9, (N, 2)), Scale(1, 9), "0")
    labels = rng.integers(0, 2, (N, 3)).astype(np.uint8)
    told = captioned([[f"{i} {j}" for j in range(1 + i % 2)] for i in range(N)])
    musav = load(write_musav(tmp_path_factory.mktemp("musav"), n_triplets=MUSAV_TRIPLETS))
    sounds(list(musav.song_ids))
    return {
        "rated": rated,
        "tagged": Tagged(CARD, clips, ("x", "y", "z"), labels, "all", ("test",) * N, "rule", "0"),
        "captioned": replace(told, clips=clips),
        "musav": musav,
    }


CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "retrieval": ("retrieval", "captioned", {"sentence_bert": "none"}),
    "retrieval in drawn pools": (
        "retrieval",
        "captioned",
        {"sentence_bert": "none", "pool": 9, "draws": 3, "captions": "one"},
    ),
    "zero-shot classification": ("zero_shot_classification", "rated", {}),
    "zero-shot tagging": ("zero_shot_tagging", "tagged", {}),
    "probe of classes": ("probe", "rated", {"folds": 3, "grid": [1.0]}),
    "regression": ("av_regression", "rated", {}),
    "MusAV": ("musav", "musav", {"audio": "SOUNDS", "baselines": []}),
    "across datasets": (
        "av_cross_dataset",
        "rated",
        {"train": ["rated"], "test": [], "heads": ["ridge"], "folds": 3, "baselines": []},
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, datasets: Any) -> Any:
    """A task with its options, and its dataset."""
    kind, name, options = CASES[request.param]
    folder = str(datasets["rated"].clips[0].path.parent)
    given = {key: folder if value == "SOUNDS" else value for key, value in options.items()}
    return open_task(kind, given), datasets[name]


@pytest.fixture
def context(tmp_path: Any, datasets: Any) -> Context:
    return Context("task", Embeddings(Store(tmp_path / "store")), 200, 1, datasets=datasets)


@pytest.fixture(autouse=True)
def without_maps() -> Any:
    with mock.patch.object(retrieval, "draw_map", lambda *_, **__: "left out by the tests"):
        yield


def numbers(ran: Any) -> dict[Any, Any]:
    """Every score with its interval, and every comparison, by what it is of."""
    found: dict[Any, Any] = {}
    for part in (ran.output, *ran.further):
        at = part.result.dataset
        for one in part.result.scores:
            key = (at, one.model, one.metric, one.subset, one.dimension)
            bounds = (one.interval.low, one.interval.high) if one.interval else (np.nan, np.nan)
            found[key] = (np.nan if one.value is None else one.value, *bounds, one.n)
    return found


def assert_same(one: dict[Any, Any], other: dict[Any, Any]) -> None:
    assert one.keys() == other.keys()
    for key, values in one.items():
        assert other[key] == pytest.approx(values, rel=1e-6, abs=1e-9, nan_ok=True), key


def test_every_registered_task_is_here() -> None:
    of_files = {one.task for one in registry.FROM_FILES.values()}  # tests/bench/cli/test_score.py
    assert {kind for kind, _, _ in CASES.values()} | of_files == set(TASKS.targets())


def test_what_a_task_wants_is_what_it_embeds(case: Any, context: Context, tmp_path: Any) -> None:
    task, dataset = case
    reads = {"counts_text": "text" in task.needs}  # else a model's own prompts are its own affair
    ours = models(**reads)
    wanted = task.wanted(context, dataset, ours)
    assert not sum(model.embedded for model in ours.values())
    embed(task, wanted, ours, context.embeddings)
    n_embedded = {name: model.embedded for name, model in ours.items()}
    assert all(n_embedded.values())
    for model in ours.values():
        model.asleep = True
    kept = task.run(context, dataset, ours)
    fresh = models(**reads)
    alone = task.run(
        replace(context, embeddings=Embeddings(Store(tmp_path / "another"))), dataset, fresh
    )
    assert {name: model.embedded for name, model in fresh.items()} == n_embedded
    assert_same(numbers(kept), numbers(alone))


def test_results_name_the_task_and_hold_what_it_measures(case: Any, context: Context) -> None:
    task, dataset = case
    ran = task.run(context, dataset, models())
    for output in (ran.output, *ran.further):
        result, kept = output.result, {*output.items, *(f"arrays/{name}" for name in output.arrays)}
        assert task_of(result.kind) is type(task) and VIEWS[result.kind] is task.view
        assert {"model", "item"} <= set(output.items)
        assert set(result.models) == {score.model for score in result.scores}
        assert len({len(column) for column in output.items.values()}) == 1
        assert kept & task.truth and headline(result) is not None


def test_the_order_of_models_changes_no_score(case: Any, context: Context) -> None:
    task, dataset = case
    ours = models()
    turned = dict(reversed(ours.items()))
    assert_same(
        numbers(task.run(context, dataset, ours)), numbers(task.run(context, dataset, turned))
    )


def turned_around(dataset: Any) -> Any:
    clips = dataset.clips[::-1]
    if isinstance(dataset, RatedClips):
        return replace(dataset, clips=clips, ratings=dataset.ratings[::-1])
    if isinstance(dataset, Tagged):
        return replace(dataset, clips=clips, labels=dataset.labels[::-1])
    assert isinstance(dataset, Captioned)
    return replace(
        dataset,
        clips=clips,
        captions=dataset.captions[::-1],
        caption_ids=dataset.caption_ids[::-1],
        clip_of=len(clips) - 1 - dataset.clip_of[::-1],
    )


# MusAV has one order whatever its files have; pools are drawn from the clips in their order.
@pytest.mark.parametrize(
    "case", sorted(CASES.keys() - {"MusAV", "retrieval in drawn pools"}), indirect=True
)
def test_the_order_of_clips_changes_no_value_and_no_digest(case: Any, context: Context) -> None:
    task, dataset = case
    outputs = []
    for data in (dataset, turned_around(dataset)):
        named = {name: data if one is dataset else one for name, one in context.datasets.items()}
        outputs.append(task.run(replace(context, datasets=named), data, models()).output)
    values, digests = (
        [
            {(s.model, s.metric, s.subset, s.dimension): of(s) for s in output.result.scores}
            for output in outputs
        ]
        for of in (lambda score: score.value or 0.0, lambda score: score.item_digest)
    )
    assert digests[0] == digests[1]
    assert values[0] == pytest.approx(values[1], rel=1e-6, abs=1e-9)


# A head on constant vectors gives the mean of the other folds, which is low where its own is high.
@pytest.mark.parametrize("case", sorted(CASES.keys() - {"across datasets"}), indirect=True)
def test_a_constant_model_is_at_chance_or_has_no_score(case: Any, context: Context) -> None:
    task, dataset = case
    result = task.run(context, dataset, {"one": Ears(), "same": Constant()}).output.result
    metric, subset = headline(result)
    scores = [s for s in select(result.scores, metric=metric, subset=subset) if "same" in s.model]
    assert scores
    for score in scores:
        chance = [
            one.value
            for one in result.references
            if (one.name, one.metric, one.subset, one.dimension)
            == ("chance", metric, subset, score.dimension)
        ]
        assert score.value is None or score.value in [pytest.approx(one) for one in chance], score


def test_an_option_that_a_task_does_not_have_is_refused_by_name(case: Any) -> None:
    with pytest.raises(DataError, match="nonsense"):
        open_task(type(case[0]).kind, {"nonsense": 1})


def test_a_dataset_that_a_task_cannot_read_is_refused(
    case: Any, context: Context, datasets: Any
) -> None:
    task, _ = case
    wrong = datasets["captioned" if task.kind == "musav" else "musav"]
    for step in (task.wanted, task.run):
        with pytest.raises(DataError, match=f"{type(wrong).__name__}|{wrong.card.id}"):
            step(context, wrong, models())


def test_a_model_that_lacks_what_a_task_needs_is_refused(case: Any, context: Context) -> None:
    task, dataset = case

    class Mute:
        card = Ears().card
        sample_rate = None

    with pytest.raises((DataError, ModelError), match="mute"):
        task.run(context, dataset, {"mute": Mute(), **models()})


def test_every_score_is_that_of_its_items(case: Any, context: Context) -> None:
    task, dataset = case
    ran = task.run(context, dataset, models())
    for output in (ran.output, *ran.further):
        items = registry.items_of(output.result, table_of(output.items), output.arrays)
        assert not list(wrong_scores(items))
