"""Fan-in, fan-out and wire, against grids that can be counted by hand."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import retina
from retina.circuit.declaration import Circuit, Projection, fan_in, synapses
from retina.circuit.kernels import dense, gaussian, in_place, one_to_one, pooled
from retina.circuit.learned import learned
from retina.circuit.listed import listed
from retina.circuit.population import Population
from retina.circuit.standard import FEEDBACK, standard
from retina.costs.flops import trace_step
from retina.costs.wiring import wire_um, wiring
from retina.stage import memoryless, recurrent
from retina.types import Spec


def f32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def wired(fn, params, x):
    return wiring(trace_step(memoryless(fn, about=("wired",)), params, x))


def test_a_product_of_signals_fans_both_of_them_out():
    found = wired(lambda p, x: x @ x.T, {}, f32(2, 5))
    assert found.fan_in == {5: 4}
    assert found.fan_out == {2: 20}  # either factor's ten values, in two sums each


def test_weights_alone_are_no_values_that_fan_out():
    found = wired(lambda p, x: (p @ p) @ x, f32(3, 3), f32(3))
    assert (found.fan_in, found.fan_out) == ({3: 3}, {3: 3})


def conv(strides, padding, **given):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lambda p, x: lax.conv_general_dilated(
        x, p, strides, padding, dimension_numbers=numbers, **given
    )


def test_at_the_edge_a_convolution_sums_less():
    found = wired(conv((1, 1), "SAME"), f32(3, 1, 2, 7), f32(1, 4, 1, 2))
    # Rows: 2, 3, 3, 2 taps meet a pixel, of two channels; seven features.
    assert found.fan_in == {4: 14, 6: 14}
    assert found.fan_out == {14: 4, 21: 4}


def test_strides_groups_and_holes():
    found = wired(conv((2, 1), "VALID"), f32(3, 1, 1, 1), f32(1, 5, 1, 1))
    assert (found.fan_in, found.fan_out) == ({3: 2}, {1: 4, 2: 1})
    grouped = wired(
        conv((1, 1), "VALID", feature_group_count=2), f32(1, 1, 2, 6), f32(1, 3, 1, 4)
    )
    assert (grouped.fan_in, grouped.fan_out) == ({2: 18}, {3: 12})
    holes = wired(
        conv((1, 1), "VALID", rhs_dilation=(2, 1)), f32(2, 1, 1, 1), f32(1, 4, 1, 1)
    )
    # The first and third pixel, the second and fourth.
    assert (holes.fan_in, holes.fan_out) == ({2: 2}, {1: 4})


def test_a_loop_is_wired_once():
    def step(p, s, x):
        s = lax.scan(lambda s, _: (p @ s + x, None), s, length=9)[0]
        return s, s

    stage = recurrent(step, start=lambda p, key=None: jnp.zeros(4), about=("loop",))
    step_ = trace_step(stage, f32(4, 4), f32(4))
    assert wiring(step_).fan_in == {4: 4}
    assert step_.work().step.macs == 9 * 16


@pytest.mark.parametrize("name", ["ln", "cnn", "core_readout", "tcn", "lstm"])
def test_every_multiply_add_of_a_model_without_loops_is_a_connection(name):
    """Products and sums make fan-in; a sum of n values is n - 1 adds."""
    model = retina.model(name, Spec((12, 11), 3, 0.02))
    shapes = jax.eval_shape(model.stage.init, jax.random.key(0))
    step = trace_step(model, shapes)
    work = step.work().step
    sums = work.by_primitive.get("reduce_sum")
    found = wiring(step)
    connections = sum(values * number for values, number in found.fan_in.items())
    added = 0 if sums is None else sums.adds
    assert work.macs <= connections - added <= work.macs + sum(found.fan_in.values())
    assert connections == sum(sums * n for sums, n in found.fan_out.items())


def row(name, n, **given):
    return Population(name, (1, n), spacing_um=10.0, **given)


def test_wire_of_kernels_that_can_be_measured_by_hand():
    def length(source, target, kernel):
        joined = Circuit((source, target), (Projection("a", "b", kernel),))
        return wire_um(joined)

    a = row("a", 4)
    # From -15, -5, 5, 15 um to both cells in the middle.
    assert length(a, Population("b", (2,)), dense()) == pytest.approx(2 * 40)
    # A Gaussian of 4 um is over after 12.1 um: neighbours, each from both sides.
    assert length(a, row("b", 4), gaussian(4.0)) == pytest.approx(6 * 10)
    assert length(a, row("b", 4), one_to_one()) == 0
    assert length(a, row("b", 4), in_place()) == 0
    assert length(a, Population("b", (1,)), pooled(2.0)) == pytest.approx(10)
    # A patch of five: 30 + 40 um for a target at the end and one beside it, twice.
    assert length(a, row("b", 4), learned(10.0)) == pytest.approx(2 * 70)
    to = listed([[0, 1], [2, 2], [2, 0]])
    # Of places at -15, -5, 5, 15 um by cells at -10, 0 and 10 um.
    assert length(a, row("b", 3), to) == pytest.approx(5 + 5 + 5 + 5 + 5 + 25)
    assert length(Population("a", (2,)), Population("b", (2,)), dense()) is None


def test_a_circuit_has_its_wire_in_its_cost():
    flat = retina.model("circuit", Spec((), 2, 0.02))
    shapes = jax.eval_shape(flat.stage.init, jax.random.key(0))
    assert retina.cost(flat, shapes).wire_um is None
    # Two cones at 25 um from the middle, where all other cells are: 2 on and 2 off
    # cells hear both, one horizontal cell hears both, and feeds back on both.
    for horizontal, ends in ((False, 4), (True, 5), (FEEDBACK, 6)):
        settings = {"horizontal": horizontal, "amacrine": None}
        row = retina.model("circuit", Spec((1, 2), 2, 0.02), **settings)
        shapes = jax.eval_shape(row.stage.init, jax.random.key(0))
        assert retina.cost(row, shapes).wire_um == pytest.approx(ends * 2 * 25)


def test_feedback_has_the_wires_that_feed_forward_has_and_those_back():
    """Cones every 50 um on 4 x 2, horizontal cells every 100 um on 2 x 1."""

    def image(horizontal):
        return standard(
            (4, 2), 2, 0.01, horizontal=horizontal, amacrine=None, surround_um=24.0
        )

    ahead, back = (image(kind) for kind in (True, FEEDBACK))
    # A Gaussian of 24 um is over after 72.8 um. Each of two horizontal cells stands at
    # 35.4 um of the four cones about it; the next are at 79.1 um.
    each = math.hypot(25, 25)
    none, there, both = (wire_um(one) or 0.0 for one in (image(False), ahead, back))
    assert both - there == pytest.approx(8 * each, rel=1e-6)
    assert there - none == pytest.approx(8 * each, rel=1e-6)
    one = fan_in(back)
    assert one["cone->horizontal"] == fan_in(ahead)["cone->horizontal"]
    assert "horizontal->cone" in one and "cone->pedicle" not in one


def test_feedback_has_no_fewer_synapses_than_feed_forward():
    def count(horizontal):
        circuit = standard((12, 12), 3, 0.01, horizontal=horizontal)
        each = fan_in(circuit)
        return sum(each[n] * t.cells for n, (_, t, _) in synapses(circuit).items())

    assert count(FEEDBACK) >= count(True) > count(False)
