"""Schedules against closed forms and PyTorch's own, and their state."""

import importlib
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from earmark.models.support.exported import TrainingLog
from earmark.models.training.config import OptimiserConfig, ScheduleConfig, preset
from earmark.models.training.optimisation import (
    Schedule,
    build_optimiser,
    cosine_factor,
    learning_rate,
)

N_STEPS = 40


def optimiser(**options):
    return build_optimiser([torch.nn.Parameter(torch.ones(3))], OptimiserConfig(**options))


def rates(schedule_config, *, losses=()):
    """The learning rate of each step, or before each validation."""
    chosen = optimiser(learning_rate=0.1)
    schedule = Schedule(chosen, schedule_config, n_steps=N_STEPS)
    found = []
    for step in range(len(losses) or N_STEPS + 1):
        found.append(learning_rate(chosen))
        chosen.step()
        if losses:
            schedule.after_validation(losses[step])
        else:
            schedule.after_step()
    return found


def test_the_paper_falls_to_zero_once_over_the_whole_run():
    expected = [0.05 * (1 + math.cos(math.pi * step / N_STEPS)) for step in range(N_STEPS + 1)]
    assert rates(ScheduleConfig()) == pytest.approx(expected, abs=1e-12)


def test_the_released_code_goes_up_and_down_five_times_and_ends_where_it_began():
    found = rates(ScheduleConfig(half_period=0.1))
    chosen = optimiser(learning_rate=0.1)
    reference = CosineAnnealingLR(chosen, T_max=N_STEPS // 10)
    expected = []
    for _ in range(N_STEPS + 1):
        expected.append(learning_rate(chosen))
        chosen.step()
        reference.step()
    assert found == pytest.approx(expected, abs=1e-9)
    assert found[-1] == pytest.approx(0.1)
    assert sum(rate < 1e-9 for rate in found) == 5


def test_a_warm_up_rises_to_the_full_rate_and_the_cosine_starts_there():
    found = rates(ScheduleConfig(warmup_steps=8))
    assert found[:8] == pytest.approx([0.1 * step / 8 for step in range(1, 9)])
    assert found[8] == pytest.approx(0.1)
    assert found[-1] == pytest.approx(0)
    assert found[24] == pytest.approx(0.05)  # half of the 32 steps behind the warm-up


def test_a_run_shorter_than_its_warm_up_only_rises():
    assert [cosine_factor(step, n_steps=2, warmup_steps=4) for step in range(3)] == [
        0.25,
        0.5,
        0.75,
    ]


def test_a_plateau_of_more_than_patience_validations_lowers_the_rate():
    config = ScheduleConfig(name="plateau", patience=2, factor=0.1, threshold=0.01)
    # The second and later losses fall by less than the threshold.
    found = rates(config, losses=[1.0, 0.995, 0.994, 0.993, 0.5, 0.5])
    assert found == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_constant_stays():
    assert set(rates(ScheduleConfig(name="constant"))) == {0.1}


@pytest.mark.parametrize("name", ["cosine", "plateau", "constant"])
def test_a_schedule_goes_on_from_its_state(name):
    config = ScheduleConfig(name=name, patience=1)

    def advance(schedule, chosen, steps):
        for step in steps:
            chosen.step()
            schedule.after_step()
            schedule.after_validation(1.0 + 0.001 * step)

    whole = optimiser()
    schedule = Schedule(whole, config, n_steps=N_STEPS)
    advance(schedule, whole, range(3))
    state, inner = schedule.state_dict(), whole.state_dict()
    again = optimiser()
    other = Schedule(again, config, n_steps=N_STEPS)
    again.load_state_dict(inner)
    other.load_state_dict(state)
    advance(schedule, whole, range(3, 6))
    advance(other, again, range(3, 6))
    assert learning_rate(again) == learning_rate(whole)
    assert other.state_dict() == schedule.state_dict()


def test_adam_adds_decay_to_the_gradient_and_adamw_shrinks_the_weight():
    for name, expected in (("adam", 1 - 0.1), ("adamw", 1 - 0.1 * 0.5)):
        weight = torch.nn.Parameter(torch.ones(1))
        chosen = build_optimiser(
            [weight], OptimiserConfig(name=name, learning_rate=0.1, weight_decay=0.5)
        )
        weight.grad = torch.zeros(1)
        chosen.step()
        # Adam's first step is the sign of its gradient, here the decay's, times the rate.
        assert weight.item() == pytest.approx(expected, abs=1e-6)


def test_frozen_parameters_are_not_optimised():
    weights = [torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1), False)]
    assert len(build_optimiser(weights, OptimiserConfig()).param_groups[0]["params"]) == 1


@pytest.mark.parametrize("decay", [0.02, 0.2])
def test_decay_in_the_gradient_is_a_step_of_full_size_and_decoupled_decay_a_share(decay):
    """Without any other gradient, in closed form: Adam divides the decay by its own size."""
    rate, weights = 1e-3, torch.tensor([1.0, 0.1, -0.01])
    left = {}
    for name in ("adam", "adamw"):
        parameter = torch.nn.Parameter(weights.clone())
        config = OptimiserConfig(name=name, learning_rate=rate, weight_decay=decay)
        stepper = build_optimiser([parameter], config)
        parameter.grad = torch.zeros(3)
        stepper.step()
        left[name] = parameter.detach()
    torch.testing.assert_close(left["adam"], weights - rate * weights.sign(), atol=1e-7, rtol=0)
    torch.testing.assert_close(left["adamw"], weights * (1 - rate * decay), atol=1e-9, rtol=1e-6)


def test_the_figure_of_weight_decay_compares_two_runs_that_differ_in_it_alone(monkeypatch):
    folder = Path(__file__).parents[3] / "docs"
    monkeypatch.syspath_prepend(str(folder))
    figure = importlib.import_module("paper_schedule")
    decoupled, literal = (figure.config(Path("work"), name) for name in ("adamw", "adam"))
    assert decoupled.optimiser == replace(preset("paper").optimiser, learning_rate=3e-3)
    assert replace(literal, optimiser=decoupled.optimiser) == decoupled
    n_steps = decoupled.training.epochs * (630 // decoupled.training.batch_size)
    of_paper = 150 * (200_000 // 256) * 5e-5
    assert n_steps * 3e-3 == pytest.approx(of_paper, rel=0.01)
    assert pytest.approx(2 * math.log(64), abs=1e-3) == figure.CHANCE_LOSS
    log = TrainingLog(("step", "loss", "R@10"), ((1.0, 8.3, None), (2.0, 8.1, 0.2)))
    assert figure.curve(log, "R@10") == ([2.0], [0.2])
    drawn = figure.draw({"adamw": log, "adam": log}, chance=0.1)
    assert drawn.axes[0].get_title() == "Training loss"
