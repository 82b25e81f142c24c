"""Merged cells, thresholds on changes and slower clocks, against known answers."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.clocks import period
from retina.costs.clocks import one_bin
from retina.costs.cost import cost
from retina.costs.executors import executors
from retina.costs.flops import trace_step
from retina.errors import BadSetting
from retina.fitting.predict import streamed
from retina.layers.changes import on_changes
from retina.layers.linear import linear
from retina.models.event_driven import with_thresholds
from retina.reduction.clock import clock
from retina.reduction.cutting import put
from retina.reduction.delta import delta
from retina.reduction.merge import drives, merge
from retina.reduction.quantise import quantise
from retina.types import Clip
from tests.reduction.parents import CLOSE, KEY, drawn, rates, recording

SPLIT = recording()
CNN = {"lags": 5, "basis": 3, "channels": 4, "sizes": (3, 3), "readout_rank": 2}


@functools.cache
def _cnn():
    return drawn("cnn", SPLIT, **CNN)


def _bins(model, params, bins: int = 40) -> np.ndarray:
    """(time, cell), bin by bin."""
    return streamed(model, params, SPLIT.train[0].stimulus[None, :bins])[0]


def test_cells_that_are_multiples_of_one_merge_into_it():
    """Readouts are 1, -2 and 0.5 times one map: rank 1 loses nothing."""
    fit = _cnn()
    own = fit.params["factorised"]
    times = jnp.array([1.0, -2.0, 0.5], jnp.float32).reshape(-1, 1, 1)
    same = {"mask": jnp.tile(own["mask"][:1], (3, 1, 1, 1))}
    same["features"] = own["features"][:1] * times
    fit = dataclasses.replace(fit, params=put(fit.params, ("factorised",), same))
    model, params = merge(fit, SPLIT, KEY, rank=1)
    wanted = rates(fit.model, fit.params, SPLIT)
    assert np.ptp(wanted) > 500 * CLOSE
    np.testing.assert_allclose(
        rates(model, params, SPLIT), wanted, rtol=10 * CLOSE, atol=10 * CLOSE
    )
    size = np.prod(fit.model.stage.parts[-2][1].about[1])
    # By hand: n weights to 3 cells, or to one drive, and 3 weights and offsets.
    before, after = (cost(*one) for one in ((fit.model, fit.params), (model, params)))
    fewer = 2 * 3 * size - (2 * size + 2 * 3 + 3)
    assert before.flops_per_bin - after.flops_per_bin == fewer


def test_no_other_mixtures_come_nearer_to_the_drives():
    """By the singular values of the standardised drives themselves."""
    fit = _cnn()
    drive = drives(fit, SPLIT)
    scaled = (drive - drive.mean(0)) / drive.std(0)
    u, size, v = np.linalg.svd(scaled, full_matrices=False)
    best = (u[:, :2] * size[:2]) @ v[:2] * drive.std(0) + drive.mean(0)
    model, params = merge(fit, SPLIT, KEY, rank=2)
    small = dataclasses.replace(fit, model=model, params=params)
    front = small.model.stage
    x = jnp.asarray(SPLIT.train[0].stimulus)
    for name, part in front.parts[:-1]:
        x = part.apply(params[name], part.start(params[name]), x)[1]
    # Products of some hundred float32 terms of order 1.
    np.testing.assert_allclose(np.asarray(x)[-len(best) :], best, atol=1e-4)


def test_every_change_told_changes_nothing():
    fit = _cnn()
    model, params = delta(fit, SPLIT, KEY, threshold=0.0)
    wanted = _bins(fit.model, fit.params)
    # Forty bins of changes added up: the roundings of each bin with them.
    np.testing.assert_allclose(_bins(model, params), wanted, rtol=1e-4, atol=1e-4)


def test_what_is_told_stays_within_the_threshold():
    part = on_changes(linear(2, 3), jax.ShapeDtypeStruct((2,), jnp.float32), 0.4)
    params = part.init(KEY)
    x = jax.random.normal(KEY, (60, 2), jnp.float32)
    state = part.start(params)
    seen = []
    for x_t in x:
        state, _ = jax.jit(part.step)(params, state, x_t)
        seen.append(state["told"])
    gap = np.abs(np.stack(seen) - np.asarray(x))
    assert gap.max() <= 0.4 + 1e-6
    moved = np.diff(np.stack(seen), axis=0) != 0
    # It moves to the edge of the band, and not at all within it.
    np.testing.assert_allclose(gap[1:][moved], 0.4, rtol=1e-5)
    assert 0.2 < moved.mean() < 0.9


def test_a_band_is_forgotten_when_it_is_crossed_and_never_before():
    part = on_changes(linear(1, 1), jax.ShapeDtypeStruct((1,), jnp.float32), 0.5, 1.0)
    params = part.init(KEY)
    still = jnp.tile(jnp.array([[0.1], [-0.1]], jnp.float32), (50, 1))
    swing = jnp.array([[0.7], [-0.4]], jnp.float32)  # more than two thresholds

    def told(first: float, x):
        state = part.start(params) | {"told": jnp.full(1, first, jnp.float32)}
        return part.apply(params, state, x)[0]["told"].item()

    assert told(0.3, still) == pytest.approx(0.3)
    assert told(-0.3, still) == pytest.approx(-0.3)
    assert told(0.3, swing) == told(-0.3, swing) == pytest.approx(0.1)
    # A view without a start cannot know what was told: none is fitted through.
    assert part.valid is None and part.burn_in_s == 1.0
    settings = tuple(CNN.items())
    assert build.model("cnn", SPLIT.spec, **CNN).stage.valid is not None
    made = build.model("event_driven", SPLIT.spec, settings=settings)
    assert made.stage.valid is None and made.stage.burn_in_s > 0


def test_thresholds_are_shares_of_what_each_layer_hears():
    """The first hears a projection of white noise: its s.d. is the courses' norm."""
    fit = _cnn()
    params = with_thresholds(fit.model, fit.params, 0.3, SPLIT.train)
    courses = np.asarray(fit.params["temporal_basis"]["courses"], np.float64)
    sd = np.sqrt(np.mean(np.square(courses).sum(0)))
    # Some 150 bins of 42 pixels and 3 courses, the same noise in all of these.
    np.testing.assert_allclose(params["conv2d"]["threshold"], 0.3 * sd, rtol=0.05)
    assert "threshold" in params["factorised"] and not params["temporal_basis"].get(
        "threshold"
    )


def test_a_frame_that_stands_still_costs_an_event_driven_machine_no_products():
    """Two filters in space, one frame shown for good: nothing to tell after it."""
    fit = drawn("ln", SPLIT, lags=5, rank=1, window=4)
    model, params = delta(fit, SPLIT, KEY, threshold=0.0)
    frames = np.tile(SPLIT.train[0].stimulus[:1], (30, 1, 1))
    counts = np.zeros((1, 30, 3), np.float32)
    still = Clip("still", frames, counts, 10)
    found = executors(model, params, [still])
    # Three cells look at 4 x 4 pixels, in one product a bin; nothing else is zero.
    assert found.dense - found.event == 2 * 3 * 16
    assert found.neurobench_dense == one_bin(model, params).work.step.macs
    before, after = cost(fit.model, fit.params), cost(model, params)
    pixels, cells = 42, 3
    # What each layer was told and last said: float32 both.
    assert after.state_bytes - before.state_bytes == 4 * (pixels + cells)


@pytest.mark.parametrize("every", [2, 3])
def test_a_slow_end_says_the_last_run_again(every):
    fit = _cnn()
    model, params = clock(fit, SPLIT, KEY, every=every)
    whole, slow = (_bins(*one) for one in ((fit.model, fit.params), (model, params)))
    last = np.arange(40) // every * every
    np.testing.assert_array_equal(slow, slow[last])
    np.testing.assert_allclose(slow[::every], whole[::every], rtol=CLOSE, atol=CLOSE)
    # A clip cut within a period goes on where it was.
    x = jnp.asarray(SPLIT.train[0].stimulus[:40])
    apply = jax.jit(model.stage.apply)
    state, first = apply(params, model.stage.start(params), x[:16])
    _, second = apply(params, state, x[16:])
    both = np.concatenate([first, second])
    np.testing.assert_allclose(both, slow, rtol=CLOSE, atol=CLOSE)


def test_a_slow_end_costs_its_share():
    """In two bins of three nothing is multiplied: frames are kept, and no more."""
    fit = _cnn()
    model, params = clock(fit, SPLIT, KEY, every=3)
    before, after = cost(fit.model, fit.params), cost(model, params)
    share = before.flops_per_bin / 3
    assert after.flops_per_bin == pytest.approx(share, abs=1e-5)
    assert trace_step(model, params).work().step.flops == before.flops_per_bin
    assert after.bytes_per_bin < before.bytes_per_bin
    assert any("mean of 3 bins" in note for note in after.notes)


def test_memories_that_move_by_themselves_cost_every_bin():
    """Integrators of each pixel move in each bin; convolutions do not."""
    fit = drawn("recursive_cnn", SPLIT, channels=2, sizes=(3, 3), stages=2)
    before = cost(fit.model, fit.params)
    after = cost(*clock(fit, SPLIT, KEY, every=3))
    basis = before.by_part["recursive_basis"]["flops"]
    share = basis + (before.flops_per_bin - basis) / 3
    assert after.flops_per_bin == pytest.approx(share, abs=1e-5)


def test_refusals_are_one_clear_line():
    fit = _cnn()
    few = quantise(fit, SPLIT, KEY)
    slow = clock(fit, SPLIT, KEY)
    mean = drawn("mean", SPLIT)
    ln = drawn("ln", SPLIT, lags=5, rank=None, window=4)

    def made(model_params):
        return dataclasses.replace(fit, model=model_params[0], params=model_params[1])

    for function, words in (
        (lambda: merge(fit, SPLIT, KEY, rank=3), "below the 3 cells"),
        (lambda: merge(fit, SPLIT, KEY, rank=0), "rank"),
        (lambda: merge(ln, SPLIT, KEY, rank=1), "has no such readout"),
        (lambda: merge(made(few), SPLIT, KEY, rank=1), "merge first"),
        (lambda: delta(ln, SPLIT, KEY), "has none"),
        (lambda: delta(fit, SPLIT, KEY, threshold=-1.0), "threshold"),
        (lambda: delta(made(few), SPLIT, KEY), "thresholds first"),
        (lambda: delta(made(delta(fit, SPLIT, KEY)), SPLIT, KEY), "its parent"),
        (lambda: clock(mean, SPLIT, KEY), "does not"),
        (lambda: clock(fit, SPLIT, KEY, every=1), "2 or more"),
        (lambda: quantise(made(slow), SPLIT, KEY), "last reduction"),
    ):
        with pytest.raises(BadSetting, match=words) as error:
            function()
        assert "\n" not in str(error.value)


def test_a_model_on_two_clocks_is_made_again_from_its_record():
    made = build.model("clocked", SPLIT.spec, settings=tuple(CNN.items()), every_bins=4)
    again = build.model("clocked", SPLIT.spec, **dict(made.settings))
    assert again.stage.about == made.stage.about and period(again.stage) == 4
