"""Machines that skip zeros, on programs whose zeros are known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import retina
from retina.circuit.synapses.ribbon_quanta import ribbon_quanta
from retina.costs.activity import activity
from retina.costs.executors import executors
from retina.costs.flops import count_step
from retina.errors import MissingData
from retina.quanta import quanta
from retina.stage import Model, chain, memoryless, recurrent, windowed
from retina.types import Clip, Spec


def made(stage, frame, cells=1):
    return Model("made", Spec(frame, cells, 0.01), stage)


def clip(stimulus, cells=1, response=None, skip=0):
    stimulus = np.asarray(stimulus, np.float32)
    if response is None:
        response = np.zeros((1, len(stimulus), cells))
    return Clip("a", stimulus, np.asarray(response, np.float32), skip)


def test_the_documented_example_of_neurobench():
    """docs/metrics/workload_metrics/synaptic_operations.rst: effective 4, dense 9."""
    weights = jnp.array([[1.3, 0, -3.2], [0, 1.2, -5.1], [-1.1, 2.7, 0]])
    model = made(memoryless(lambda p, x: p @ x, about=("w",)), (3,), 3)
    found = executors(model, weights, [clip([[0, 1.3, -1]], 3)])
    assert found.neurobench_effective_macs == 4
    assert found.neurobench_effective_acs == 0
    assert found.neurobench_dense == 9
    assert found.neurobench_connection_sparsity == round(3 / 9, 4)
    assert found.neurobench_footprint == 36
    assert (found.dense, found.structured, found.event) == (18, 18, 12)
    assert found.active_share == pytest.approx(6 / 9)


def test_a_checkerboard_is_not_spikes_but_declared_counts_are():
    def step(p, s, signal):
        x, heard = signal
        return s, p["x"] @ x + p["y"] @ heard

    stage = recurrent(
        step, start=lambda p, key=None: (), about=("history",), uses_response=True
    )
    model = made(stage, (4,), 2)
    params = {"x": jnp.ones((2, 4)), "y": jnp.ones((2, 2))}
    # The counts heard are those of the bin before: 0 0, then 1 0, then 0 1.
    shown = clip(np.ones((3, 4)), 2, [[[1, 0], [0, 1], [1, 1]]])
    plain = executors(model, params, [shown])
    assert plain.neurobench_effective_acs == 0
    assert plain.neurobench_effective_macs == pytest.approx(8 + 4 / 3)
    declared = executors(model, params, [shown], spikes=True)
    assert declared.neurobench_effective_acs == pytest.approx(4 / 3)
    assert declared.neurobench_effective_macs == 8
    assert plain.dense == 2 * 8 + 2 * 4 + 2
    assert declared.dense == 2 * 8 + 4 + 2
    assert declared.event == pytest.approx(2 * 8 + 4 / 3 + 2)


def test_spikes_that_a_buffer_keeps_are_spikes_and_a_mixture_is_not():
    past = windowed(lambda p, seen: seen @ p, 3, shape=(), about=("past",))

    def step(p, s, signal):
        x, heard = signal
        s, y = past.step(p, s, heard[0])
        mixed = jnp.concatenate([heard, x]) @ jnp.ones((2, 1))
        return s, mixed + y

    stage = recurrent(step, start=past.start, about=("heard",), uses_response=True)
    counts = np.reshape([1, 0, 1, 1, 0], (1, 5, 1))
    shown = clip(np.full((5, 1), 0.5), 1, counts)
    found = executors(made(stage, (1,)), jnp.ones(3), [shown], spikes=True)
    # Of the counts of the bin before, 0 1 0 1 1, the last three: 0, 1, 1, 2 and 2.
    assert found.neurobench_effective_acs == pytest.approx(6 / 5)
    assert found.neurobench_effective_macs == pytest.approx(1 + 3 / 5)
    # The sum over the buffer adds; the mixture multiplies; the two are added.
    assert found.dense == 3 + 2 * 2 + 1


def test_a_silent_unit_is_free_for_events_and_a_pruned_row_for_smaller_arrays():
    stage = chain(
        memoryless(lambda p, x: jax.nn.relu(p @ x), about=("first",)),
        memoryless(lambda p, x: p @ x, about=("second",)),
    )
    first = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    params = {"first": first, "second": jnp.ones((4, 3))}
    found = executors(made(stage, (2,), 4), params, [clip([[1, 1], [-1, 1]], 4)])
    assert found.dense == 2 * (6 + 12)
    # The third unit and the second pixel can be cut from the first; the second keeps
    # its three columns, as its own weights are not zero.
    assert found.structured == 2 * (2 + 12)
    # One of three units speaks in each bin.
    assert found.event == 2 * (6 + 4)
    assert found.neurobench_effective_macs == 2 + 4


def test_a_convolution_with_padding():
    def conv(p, x):
        return lax.conv_general_dilated(
            x[None, :, None], p, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
        )

    stage = memoryless(conv, about=("conv",))
    kernel = jnp.array([0.0, 1.0, 0.0]).reshape(3, 1, 1)
    found = executors(made(stage, (5,)), kernel, [clip([[1, 0, 0, 0, 1]])])
    assert found.dense == 2 * 13
    assert found.structured == 2 * 5  # the middle tap
    assert found.event == 2 * 4  # either end meets two taps
    assert found.neurobench_effective_macs == 2


def test_loops_and_windows_add_up_and_skipped_bins_do_not_count():
    def step(p, s, x):
        def turn(s, _):
            return 0.5 * s + p @ x, None

        s = lax.scan(turn, s, length=3)[0]
        return s, s

    loop = recurrent(step, start=lambda p, key=None: jnp.zeros(2), about=("loop",))
    model = made(loop, (2,), 2)
    params = jnp.ones((2, 2))
    stimulus = np.ones((6, 2), np.float32)
    stimulus[2:, 0] = 0
    found = executors(model, params, [clip(stimulus, 2, skip=2)])
    assert found.bins == 4
    assert found.neurobench_dense == 3 * 4
    assert found.neurobench_effective_macs == 3 * 2
    assert found.dense - found.event == 2 * 3 * 2
    window = windowed(lambda p, past: past @ p, 3, shape=(), about=("window",))
    found = executors(made(window, ()), jnp.ones(3), [clip([1, 0, 0, 0])])
    assert found.neurobench_effective_macs == 3 / 4


@pytest.mark.parametrize("name", ["cnn", "elm", "glm"])
def test_of_a_model_that_is_dense_the_dense_count_is_that_of_the_walker(name):
    """Two ways to the same number: tallies of the run, and the walk over shapes."""
    spec = Spec((6, 5), 2, 0.02)
    small = {"cnn": {"channels": 2, "sizes": (3, 3)}}
    model = retina.model(name, spec, **small.get(name, {}))
    params = model.stage.init(jax.random.key(0))
    rng = np.random.default_rng(0)
    shown = clip(rng.normal(size=(4, 6, 5)), 2, rng.poisson(1.0, (1, 4, 2)))
    met = activity(model, params, [shown])
    products, bins = met.products, met.bins
    assert bins == 4
    walked = count_step(model, params)[1]
    assert sum(p.dense for p in products) == bins * walked.macs
    found = executors(model, params, [shown])
    assert found.event <= found.dense == walked.flops


def test_released_quanta_are_added_one_by_one():
    """Three terminals onto two targets: a vesicle is two additions, two are four."""

    def step(p, s, x):
        released = quanta(x).reshape(3)
        return s, p["quantal"] @ released + p["graded"] @ (0.5 * released)

    stage = recurrent(step, start=lambda p, key=None: (), about=("terminals",))
    params = {"quantal": jnp.ones((2, 3)), "graded": jnp.ones((2, 3))}
    shown = clip([[0, 0, 0], [1, 0, 2], [0, 0.25, 0]], 2)
    found = executors(made(stage, (3,), 2), params, [shown])
    # Bins 2 and 3; what was computed with is graded, and a product where not 0.
    assert found.quanta == pytest.approx(3.25 / 3)
    assert found.quantal_acs == pytest.approx(2 * 3.25 / 3)
    rest = 3 + 2  # halved; the two sums added up
    assert found.dense == 2 * 6 + 2 * 6 + rest
    assert found.event == pytest.approx(2 * 3.25 / 3 + 2 * 2 * 3 / 3 + rest)
    # NeuroBench knows no quanta: an input that is not declared to be spikes multiplies.
    assert found.neurobench_effective_acs == 0


def test_quanta_of_every_turn_of_a_loop_are_counted():
    def step(p, s, x):
        def turn(s, _):
            released = quanta(x)
            return s + p @ released, None

        s = lax.scan(turn, s, length=4)[0]
        return s, s

    loop = recurrent(step, start=lambda p, key=None: jnp.zeros(2), about=("loop",))
    found = executors(made(loop, (3,), 2), jnp.ones((2, 3)), [clip(np.ones((2, 3)), 2)])
    assert found.quanta == 4 * 3 and found.quantal_acs == 4 * 3 * 2


@pytest.mark.parametrize("mean", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_ribbon_declares_what_it_releases(mean: bool):
    """In the mean as drawn: what the pools take in is, after a while, what goes out.

    Known: refill per step of 10 ms while nothing is full. Of 4 x 600 steps drawn, of
    vesicles that come in clumps: 10 %.
    """
    ribbon = ribbon_quanta(4, 0.01, mean=mean)

    def step(p, s, x):
        s, released = ribbon.step(p, s, x, 0.0)
        return s, jnp.ones((2, 4), jnp.float32) @ released

    stage = recurrent(
        step, start=ribbon.start, init=ribbon.init, about=("ribbon", mean)
    )
    model = made(stage, (4,), 2)
    calcium = np.full((900, 4), 1.1)
    shown = clip(calcium, 2, skip=300)
    found = executors(model, stage.init(jax.random.key(0)), [shown])
    known = 4 * (ribbon.parameters["refill"].value or 0)
    assert found.quanta == pytest.approx(known, rel=0.01 if mean else 0.1)
    assert found.quantal_acs == pytest.approx(2 * found.quanta, rel=1e-5)


def test_without_a_clip_there_is_no_activity():
    model = made(memoryless(lambda p, x: p @ x, about=("w",)), (3,))
    with pytest.raises(MissingData, match="--dataset"):
        executors(model, jnp.ones((1, 3)), [])
