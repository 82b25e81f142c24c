"""Setup and step, memory, depth and fan-in of streaming stages."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from retina.costs.clocks import one_bin
from retina.costs.counts import KINDS, Counts
from retina.costs.flops import count_step, trace_step
from retina.costs.memory import memory
from retina.errors import ShapeMismatch, UncountedPrimitive
from retina.stage import Model, chain, memoryless, recurrent, windowed
from retina.types import Spec

LAGS, PIXELS, CELLS, BASIS = 30, (8, 6), 5, 7


def f32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def kinds(counts: Counts) -> dict[str, int]:
    return {kind: getattr(counts, kind) for kind in KINDS if getattr(counts, kind)}


def filtered():
    """A filter put together from a basis, over a ring buffer."""
    basis = jnp.ones((LAGS, BASIS))

    def window(p, past):
        kernel = jnp.einsum("tb,bnhw->tnhw", basis, p["weights"])
        return jnp.einsum("thw,tnhw->n", past, kernel)

    return windowed(window, LAGS, shape=PIXELS, about=("filter",))


def kinetic(substeps=10):
    """Rates fitted as logarithms, integrated in steps shorter than a bin."""

    def step(p, s, x):
        rate = jnp.exp(p["log_rate"])

        def euler(v, _):
            leak = jnp.exp(p["log_leak"]) * 0.5
            return v + rate * (x - v) - leak * v, None

        s = lax.scan(euler, s, length=substeps)[0]
        return s, s

    return recurrent(
        step, start=lambda p, key=None: jnp.zeros(CELLS), about=("kinetic",)
    )


PARAMS = {
    "filter": {"weights": jnp.zeros((BASIS, CELLS, *PIXELS))},
    "kinetic": {"log_rate": jnp.zeros(CELLS), "log_leak": jnp.zeros(CELLS)},
}
WEIGHTS = LAGS * CELLS * 48


def test_a_filter_made_from_its_basis_is_setup():
    setup, step = count_step(filtered(), PARAMS["filter"], f32(*PIXELS))
    assert setup.macs == BASIS * WEIGHTS
    assert step.macs == WEIGHTS
    assert kinds(setup) == {"macs": BASIS * WEIGHTS}


def test_the_ring_buffer_writes_one_row_and_looks_all_up():
    _, step = count_step(filtered(), PARAMS["filter"], f32(*PIXELS))
    assert step.words_written == 48
    assert step.words_read == LAGS * 48
    assert step.flops == 2 * WEIGHTS  # the pointer is integer work
    assert 0 < step.integers < 10 * LAGS


def test_exp_of_a_log_rate_is_setup_also_inside_a_loop():
    setup, step = count_step(kinetic(), PARAMS["kinetic"], f32(CELLS))
    assert kinds(setup) == {"transcendentals": 2 * CELLS, "multiplies": CELLS}
    # v + rate (x - v) - leak v, ten times: 3 adds and 2 multiplies.
    assert kinds(step) == {"adds": 30 * CELLS, "multiplies": 20 * CELLS}


def test_early_work_that_differs_from_turn_to_turn_is_done_once_per_turn():
    def step(p, s, x):
        def turn(v, weight):
            return v + jnp.exp(weight) * x, None

        return s, lax.scan(turn, x, p["weights"])[0]

    stage = recurrent(step, start=lambda p, key=None: (), about=("turns",))
    setup, late = count_step(stage, {"weights": jnp.zeros(9)}, f32(4))
    assert kinds(setup) == {"transcendentals": 9}
    assert kinds(late) == {"adds": 36, "multiplies": 36}


def test_a_loop_over_parameters_alone_is_setup_as_often_as_it_turns():
    def step(p, s, x):
        decay = lax.fori_loop(0, 6, lambda i, d: d * p["d"], jnp.ones(3))
        return s, decay * x

    stage = recurrent(step, start=lambda p, key=None: (), about=("power",))
    setup, late = count_step(stage, {"d": jnp.zeros(3)}, f32(3))
    assert kinds(late) == {"multiplies": 3}
    assert setup.multiplies == 18


def test_nested_loops_multiply_early_work_by_the_loops_it_varies_with():
    def step(p, s, x):
        def outer(v, a):
            def inner(v, b):
                # exp(a): 4 times; exp(b): 3 times; their product: 12 times.
                return v + x * (jnp.exp(a) * jnp.exp(b)), None

            return lax.scan(inner, v, p["b"])[0], None

        return s, lax.scan(outer, x, p["a"])[0]

    stage = recurrent(step, start=lambda p, key=None: (), about=("nested",))
    params = {"a": jnp.zeros(4), "b": jnp.zeros(3)}
    setup, late = count_step(stage, params, f32())
    assert kinds(setup) == {"transcendentals": 7, "multiplies": 12}
    assert kinds(late) == {"multiplies": 12, "adds": 12}


def test_a_carry_that_meets_the_input_late_is_late():
    def step(p, s, x):
        def turn(carry, _):
            a, b = carry  # early at first; b takes the input up, then a takes b
            return (a * b, b + x), None

        return s, lax.scan(turn, (p["a"], p["a"]), length=5)[0][0]

    stage = recurrent(step, start=lambda p, key=None: (), about=("late",))
    setup, late = count_step(stage, {"a": jnp.zeros(3)}, f32(3))
    assert kinds(setup) == {}
    assert kinds(late) == {"multiplies": 15, "adds": 15}


def test_setup_through_jit_and_custom_derivatives():
    @jax.jit
    def positive(p):
        return jax.nn.softplus(p)

    stage = memoryless(lambda p, x: positive(p) * x, about=("gain",))
    setup, step = count_step(stage, jnp.zeros(3), f32(3))
    assert kinds(step) == {"multiplies": 3}
    assert setup.transcendentals == 6


def test_setup_of_branches():
    def step(p, x):
        return lax.cond(
            x[0] > 0.0, lambda x: x * jnp.exp(p), lambda x: x + jnp.tanh(p), x
        )

    # The choice is made in each bin, so both branches must be ready.
    setup, late = count_step(memoryless(step, about=("branch",)), jnp.zeros(3), f32(3))
    assert kinds(setup) == {"transcendentals": 6}
    assert (late.multiplies + late.adds, late.comparisons) == (3, 1)


def test_weights_closed_over_are_early_like_parameters():
    weights = jnp.ones((4, 3))
    stage = memoryless(lambda p, x: jnp.exp(weights) @ x, about=("fixed",))
    setup, step = count_step(stage, {}, f32(3))
    assert kinds(setup) == {"transcendentals": 12}
    assert kinds(step) == {"macs": 12}


def test_parts_of_a_chain():
    model = chain(filtered(), kinetic())
    setup, step = count_step(model, PARAMS, f32(*PIXELS))
    assert set(step.by_part) == {"filter", "kinetic"}
    assert step.by_part["kinetic"].flops == 50 * CELLS
    assert setup.by_part["filter"].macs == BASIS * WEIGHTS
    alone = count_step(kinetic(), PARAMS["kinetic"], f32(CELLS))[1]
    assert set(alone.by_part) == {"kinetic"}


def test_chains_of_chains_name_the_whole_path():
    inner = chain(memoryless(lambda p, x: x * 2.0, about=("gain",)), about=("front",))
    outer = chain(inner, memoryless(lambda p, x: x + 1.0, about=("offset",)))
    _, step = count_step(outer, {"front": {"gain": {}}, "offset": {}}, f32(3))
    assert {part: c.flops for part, c in step.by_part.items()} == {
        "front/gain": 3,
        "offset": 3,
    }


@pytest.mark.parametrize("time", [1, 50])
def test_cost_grows_linearly_with_time(time):
    stage = chain(filtered(), kinetic())
    _, step = count_step(stage, PARAMS, f32(*PIXELS))

    def clip(p, x):
        return lax.scan(lambda s, x_t: stage.step(p, s, x_t), stage.start(p), x)[1]

    whole = memoryless(clip, about=("clip",))
    _, counts = count_step(whole, PARAMS, f32(time, *PIXELS))
    assert counts.flops == time * step.flops


def test_shapes_are_enough():
    shapes = jax.tree.map(lambda leaf: f32(*leaf.shape), PARAMS)
    stage = chain(filtered(), kinetic())
    assert count_step(stage, shapes, f32(*PIXELS)) == count_step(
        stage, PARAMS, jnp.zeros(PIXELS)
    )


def test_a_stage_alone_needs_its_input():
    with pytest.raises(ShapeMismatch, match="x=jax.ShapeDtypeStruct"):
        count_step(kinetic(), PARAMS["kinetic"])


def test_a_model_says_its_input_and_casts_a_stored_movie_at_its_door():
    stage = memoryless(
        lambda p, x: (x.astype(jnp.float32) * 2.0).sum() + p, about=("door",)
    )
    model = Model("m", Spec(PIXELS, CELLS, 0.01), stage)
    _, light = count_step(model, jnp.zeros(CELLS))
    _, stored = count_step(model, jnp.zeros(CELLS), dtype=jnp.uint8)
    assert light.flops == stored.flops == 48 + 47 + CELLS
    assert (light.integers, stored.integers) == (0, 48)


def test_a_model_with_history_takes_the_counts_of_the_previous_bin():
    def step(p, s, signal):
        x, previous = signal
        return s, x.sum() + p * previous

    stage = recurrent(
        step, start=lambda p, key=None: (), about=("history",), uses_response=True
    )
    model = Model("m", Spec(PIXELS, CELLS, 0.01), stage)
    _, counts = count_step(model, jnp.zeros(CELLS))
    assert kinds(counts) == {"adds": 47 + CELLS, "multiplies": CELLS}


def test_an_uncounted_primitive_in_a_part_is_named():
    stage = chain(
        memoryless(lambda p, x: jnp.linalg.eigh(x * p)[0], about=("spectrum",))
    )
    with pytest.raises(UncountedPrimitive, match="'eigh'.*in spectrum"):
        count_step(stage, {"spectrum": jnp.ones(())}, f32(3, 3))


def test_noise_is_counted_as_draws():
    def step(p, s, x):
        key, now = jax.random.split(s)
        return key, jax.random.poisson(now, jnp.exp(p) * x)

    stage = recurrent(
        step, start=lambda p, key=None: jax.random.key(0), about=("noisy",)
    )
    setup, counts = count_step(stage, jnp.zeros(()), f32(9))
    assert counts.randoms == 2 + 9
    assert counts.multiplies == 9 and setup.transcendentals == 1
    moved = memory(trace_step(stage, jnp.zeros(()), f32(9)))
    assert moved.state_bytes == 8  # a threefry key is two 32-bit words


def test_depth_and_fan_in_of_a_step():
    work = trace_step(chain(filtered(), kinetic()), PARAMS, f32(*PIXELS)).work()
    assert work.fan_in == LAGS * 48
    # x - v, times rate, + v, - leak v: four in a row, ten times; and before it the
    # buffer's pointer, its look-up, and the product with the filter.
    lone = trace_step(kinetic(), PARAMS["kinetic"], f32(CELLS)).work()
    assert lone.depth == 40
    buffered = trace_step(filtered(), PARAMS["filter"], f32(*PIXELS)).work()
    assert work.depth == lone.depth + buffered.depth


# Memory


def test_memory_of_a_ring_buffer():
    held = memory(trace_step(filtered(), PARAMS["filter"], f32(*PIXELS)))
    assert held.params == BASIS * CELLS * 48
    assert held.param_bytes == 4 * held.params
    assert held.state_bytes == 4 * (LAGS * 48 + 1)
    # What one bin reads is the filter, not the basis and weights it was made from,
    # and the table of lags that the pointer is added to.
    assert held.weights_read == 4 * (WEIGHTS + LAGS)
    assert held.state_read == 4 * (LAGS * 48 + 1)
    assert held.state_written == 4 * (48 + 1)
    assert (held.inputs, held.outputs) == (4 * 48, 4 * CELLS)
    assert held.bytes_per_bin == 4 * (
        WEIGHTS + LAGS + LAGS * 48 + 1 + 48 + 1 + 48 + CELLS
    )


def test_memory_of_a_look_up_table_is_what_is_looked_up():
    def function(p, x):
        place = jnp.clip((x * 10.0).astype(jnp.int32), 0, 999)
        return p["table"].at[place].get(mode="promise_in_bounds")

    stage = memoryless(function, about=("table",))
    held = memory(trace_step(stage, {"table": jnp.zeros(1000)}, f32(6)))
    assert held.param_bytes == 4000
    assert held.weights_read == 4 * 6


def test_each_look_up_reads_words_of_its_own_and_no_more_than_there_are():
    def function(p, x):
        places = (x * 10.0).astype(jnp.int32), (x * 20.0).astype(jnp.int32)
        one, two = (p.at[at].get(mode="promise_in_bounds") for at in places)
        return one + two

    stage = memoryless(function, about=("table",))
    for entries, read in ((1000, 12), (9, 9)):
        held = memory(trace_step(stage, jnp.zeros(entries), f32(6)))
        assert held.weights_read == 4 * read


def test_a_loop_at_setup_reads_nothing_in_a_bin():
    def function(p, x):
        made, _ = lax.scan(lambda c, _: (c * p, None), p, length=3)
        return made * x

    held = memory(trace_step(memoryless(function, about=("made",)), f32(5), f32(5)))
    assert held.weights_read == 4 * 5  # what the loop made


def test_a_period_of_any_number_of_different_bins_costs_their_mean():
    def adding(times):
        return lambda p, s, x: (s, sum([1.0] * times, x))

    alike = memoryless(lambda p, x: x, about=("varied",))
    steps = ((adding(8), 1), (adding(4), 1), (adding(2), 2))
    model = Model("varied", Spec((1,), 1, 0.01), alike._replace(steps=steps))
    assert one_bin(model, {}).work.step.adds == (8 + 4 + 2 + 2) / 4


def test_memory_of_untouched_and_overwritten_state():
    def step(p, s, x):
        return {"same": s["same"], "new": x, "sum": s["sum"] + x}, s["sum"]

    stage = recurrent(
        step,
        start=lambda p, key=None: {
            "same": jnp.zeros(100), "new": jnp.zeros(3), "sum": jnp.zeros(3),
        },
        about=("state",),
    )  # fmt: skip
    held = memory(trace_step(stage, {}, f32(3)))
    assert held.state_bytes == 4 * 106
    assert held.state_read == 4 * 3
    assert held.state_written == 4 * 6


def test_memory_reads_a_weight_once_however_often_a_loop_uses_it():
    held = memory(trace_step(kinetic(), PARAMS["kinetic"], f32(CELLS)))
    # The rate and the scaled leak, both set up before.
    assert held.weights_read == 4 * 2 * CELLS
    assert held.state_read == held.state_written == 4 * CELLS


def test_memory_of_a_broadcast_weight_is_the_weight():
    stage = memoryless(
        lambda p, x: jnp.broadcast_to(p["gain"], (50,)) * x, about=("gain",)
    )
    held = memory(trace_step(stage, {"gain": jnp.zeros(())}, f32(50)))
    assert held.weights_read == 4


def test_memory_of_bytes_and_half_precision():
    stage = memoryless(lambda p, x: p["w"] @ x.astype(jnp.bfloat16), about=("half",))
    x = jax.ShapeDtypeStruct((8,), jnp.uint8)
    held = memory(trace_step(stage, {"w": jnp.zeros((3, 8), jnp.bfloat16)}, x))
    assert (held.param_bytes, held.weights_read) == (48, 48)
    assert (held.inputs, held.outputs) == (8, 6)
