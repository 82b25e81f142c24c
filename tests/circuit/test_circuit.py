"""A declared circuit does what its equations say, step by step, and no more."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import recomputed
from retina.circuit.cascade import cascade
from retina.circuit.circuit import circuit
from retina.circuit.declaration import (
    Circuit,
    Projection,
    events_per_s,
    fan_in,
    without,
)
from retina.circuit.kernels import dense, gaussian, in_place, one_to_one, uniform
from retina.circuit.membrane import membrane, potential
from retina.circuit.population import Population
from retina.costs.flops import count_step
from retina.errors import BadSetting, ShapeMismatch, UnknownName

from .driven import BIN_S, LEAKY, drawn, run


def _loop(effect: str = "add", delay: int = 2, safe_s: float = 0.005) -> Circuit:
    a = Population("a", (3,), LEAKY, safe_s=safe_s)
    b = Population("b", (2,), LEAKY, safe_s=safe_s)
    sign = -1 if effect == "add" else 1
    back = Projection("b", "a", dense(), sign=sign, delay=delay, effect=effect)
    return Circuit((a, b), (Projection("a", "b", dense()), back))


@pytest.mark.parametrize("effect", ["add", "divide"])
@pytest.mark.parametrize("delay", [1, 3])
def test_a_loop_is_its_equations_written_out(effect: str, delay: int):
    """Float32 against float64 over 100 steps: rounding, 1e-5 of values near 1."""
    stage = circuit(_loop(effect, delay), BIN_S)
    params = stage.init(jax.random.key(0))
    x = drawn(25, 3)
    forth = np.asarray(params["a->b"]["weight"], np.float64) / 3
    back = np.asarray(params["b->a"]["weight"], np.float64) / 2
    keep = np.exp(-0.005 / 0.03)
    a, b, heard = np.zeros(3), np.zeros(2), [np.zeros(2)] * delay
    expected = []
    for x_t in x:
        total = 0.0
        for _ in range(4):
            inhibition = heard[-delay] @ back
            drive = x_t - inhibition if effect == "add" else x_t / (1 + inhibition)
            a = drive + keep * (a - drive)
            drive = a @ forth
            b = drive + keep * (b - drive)
            heard.append(b)
            total = total + b
        expected.append(total / 4)
    np.testing.assert_allclose(run(stage, x, params), expected, rtol=1e-5, atol=1e-5)


def test_a_delay_is_so_many_steps():
    """Without memory of their own, cells pass on what was there three steps before."""
    a, b = Population("a", (2,), safe_s=BIN_S), Population("b", (2,), safe_s=BIN_S)
    back = Projection("a", "b", one_to_one(), delay=3)
    x = drawn(12, 2)
    out = run(circuit(Circuit((a, b), (back,)), BIN_S), x)
    np.testing.assert_allclose(out[3:], x[:-3], rtol=1e-6)
    assert not out[:3].any()


def test_halving_the_step_halves_the_error():
    """The loop hears itself a step late, and that is all that is wrong: first order."""
    x = drawn(40, 3)
    outs = []
    for parts in (4, 8, 64):
        declared = _loop("add", delay=1)
        outs.append(run(circuit(declared, BIN_S, dt_s=BIN_S / parts), x)[-1])
    first, second = (np.abs(out - outs[-1]).max() for out in outs[:2])
    # From the finest, which is itself 1/64 off: (1/4 - 1/64) / (1/8 - 1/64) = 2.14.
    assert 1.9 < first / second < 2.4
    assert first < 0.05 * np.abs(outs[-1]).max()


def test_an_ablation_is_the_circuit_declared_without():
    a, b = (Population(n, (2,), LEAKY, safe_s=0.005) for n in "ab")
    out = Population("out", (2,), clock="bin")
    forth, read = Projection("a", "b"), Projection("a", "out")
    also, back = Projection("b", "out"), Projection("b", "a", sign=-1, delay=1)
    whole = Circuit((a, b, out), (forth, read, also, back))
    assert without(whole, "b") == Circuit((a, out), (read,))
    assert without(whole, "b->a") == Circuit((a, b, out), (forth, read, also))

    def flops(declared: Circuit) -> int:
        stage = circuit(declared, BIN_S)
        params = stage.init(jax.random.key(0))
        return count_step(stage, params, jnp.zeros(2))[1].flops

    assert flops(without(whole, "b")) < flops(without(whole, "b->a")) < flops(whole)


def test_synapses_and_events_are_counted_from_the_declaration():
    """A cell hears 4 of a 2 x 2 grid times 2 types; 100 events/s each, 3 targets."""
    grid = Population("on", (2, 2, 2), spacing_um=10.0)
    wide, out = Population("wide", (3,)), Population("out", (3,))
    declared = Circuit(
        (grid, wide, out),
        (Projection("on", "wide", uniform()), Projection("wide", "out", in_place())),
    )
    assert fan_in(declared) == {"on->wide": 8.0, "wide->out": 3.0}
    assert events_per_s(declared, {"on": 100.0}) == {"on->wide": 8 * 3 * 100.0}
    # A Gaussian of 3 places' reach, 5 x 5 in the open and a disc of it.
    plane = Population("a", (101, 101), spacing_um=1.0)
    wide_fan = gaussian(10.0).join(plane, plane).fan_in
    assert 0.5 * np.pi * 30**2 < wide_fan < np.pi * 30.4**2
    with pytest.raises(UnknownName, match="rates_hz: no population 'no': did|known"):
        events_per_s(declared, {"no": 1.0})


def test_bins_come_first_and_last():
    """Exact parts once per bin; ganglion cells hear the mean over the steps."""
    head = Population("head", (2,), LEAKY, clock="bin")
    cell = Population("cell", (2,), LEAKY, safe_s=0.005)
    tail = Population("tail", (2,), clock="bin")
    edges = (Projection("head", "cell"), Projection("cell", "tail"))
    stage = circuit(Circuit((head, cell, tail), edges), BIN_S)
    x, u, v, expected = drawn(10, 2), 0.0, 0.0, []
    for x_t in x:
        u = x_t + np.exp(-BIN_S / 0.03) * (u - x_t)
        steps = []
        for _ in range(4):
            v = u + np.exp(-0.005 / 0.03) * (v - u)
            steps.append(v)
        expected.append(np.mean(steps, 0))
    np.testing.assert_allclose(run(stage, x), expected, rtol=1e-5)
    between = Circuit(
        (cell, head, tail),
        (Projection("cell", "head"),) + edges[1:] + (Projection("head", "tail"),),
    )
    assert circuit(between, BIN_S).about[0] == "circuit"  # head comes after: allowed
    again = Population("again", (2,), LEAKY, safe_s=0.005)
    held = (cell, head, again, tail)
    edges = tuple(
        Projection(a.name, b.name) for a, b in zip(held, held[1:], strict=False)
    )
    with pytest.raises(BadSetting, match="'head' is stepped once per bin but both"):
        circuit(Circuit(held, edges), BIN_S)


A, B, C = (Population(n, (2,)) for n in ("cone", "bipolar", "ganglion"))
FORTH = (Projection("cone", "bipolar"), Projection("bipolar", "ganglion"))


def _declared(*more: Projection, populations=(A, B, C)) -> Circuit:
    return Circuit(populations, FORTH + more)


@pytest.mark.parametrize(
    ("error", "match", "make"),
    [
        (
            BadSetting,
            "circuit: dt_s 0.01 s is not safe; give 0.005 s or less",
            lambda: circuit(_loop(), BIN_S, dt_s=0.01),
        ),
        (
            BadSetting,
            r"a loop without delay: bipolar -> ganglion -> bipolar; give one of its "
            "projections delay=1 or more",
            lambda: _declared(Projection("ganglion", "bipolar")),
        ),
        (
            BadSetting,
            "'amacrine' cannot reach the output 'ganglion': leave out, or add",
            lambda: Circuit(
                (A, B, Population("amacrine", (2,)), C),
                FORTH + (Projection("bipolar", "amacrine"),),
            ),
        ),
        (
            UnknownName,
            "cone->ganglio: no population 'ganglio': did you mean 'ganglion'",
            lambda: _declared(Projection("cone", "ganglio")),
        ),
        (
            BadSetting,
            "two populations are named 'cone'",
            lambda: _declared(populations=(A, A, B, C)),
        ),
        (
            BadSetting,
            "two projections cone->bipolar: make one of them",
            lambda: _declared(Projection("cone", "bipolar")),
        ),
        (
            ShapeMismatch,
            r"wide: one_to_one cannot join \(2,\) to \(3,\); give both the same",
            lambda: Circuit(
                (A, Population("wide", (3,))), (Projection("cone", "wide"),)
            ),
        ),
        (
            ShapeMismatch,
            "population 'cone': its 2 x 2 grid has no positions; give it spacing_um",
            lambda: Circuit(
                (Population("cone", (2, 2)), C),
                (Projection("cone", "ganglion", gaussian(1.0)),),
            ),
        ),
        (
            BadSetting,
            "effect 'ad': did you mean 'add'",
            lambda: _declared(Projection("cone", "ganglion", effect="ad")),
        ),
        (
            BadSetting,
            "it divides, which has no sign; give sign=1",
            lambda: _declared(Projection("cone", "ganglion", effect="divide", sign=-1)),
        ),
        (
            UnknownName,
            "without: no population 'bipola': did you mean 'bipolar'",
            lambda: without(_declared(), "bipola"),
        ),
        (
            BadSetting,
            "'cell' has a voltage, .*: not every step is stable; give safe_s, 0.0005 s",
            lambda: Population("cell", (2,), membrane, voltage=potential),
        ),
        (
            BadSetting,
            "population 'cone': clock 'bins': did you mean 'bin'",
            lambda: Population("cone", (2,), clock="bins"),
        ),
        (
            BadSetting,
            "'cone' is stepped once per bin of 0.02 s; give bins of 0.005 s or less",
            lambda: circuit(
                Circuit((Population("cone", (2,), None, 0.005, "bin"),), ()), BIN_S
            ),
        ),
        (
            BadSetting,
            "'horizontal' cannot hear the input 'cone'",
            lambda: Circuit(
                (A, Population("horizontal", (3,)), C),
                (
                    Projection("cone", "ganglion", dense()),
                    Projection("horizontal", "ganglion", dense()),
                ),
            ),
        ),
        (
            BadSetting,
            "population 'a~b': give a word",
            lambda: Population("a~b", (2,)),
        ),
        (ShapeMismatch, "shape 4; give", lambda: Population("a", 4)),  # type: ignore
        (
            BadSetting,
            r"'a': gives \(1.0, 0.0\); the least first",
            lambda: Population("a", (1,), gives=(1.0, 0.0)),
        ),
        (
            BadSetting,
            "call one of retina.circuit.kernels",
            lambda: _declared(Projection("cone", "ganglion", gaussian)),  # type: ignore
        ),
        (
            BadSetting,
            "delay 1.5; give 0 steps or more",
            lambda: _declared(Projection("cone", "ganglion", delay=1.5)),  # type: ignore
        ),
    ],
)
def test_what_cannot_be_is_one_clear_line(error, match: str, make):
    with pytest.raises(error, match=match) as told:
        make()
    assert "\n" not in str(told.value)


def test_memory_adds_up_along_a_path():
    """Six leaky populations in a row forget six times as late as one."""
    slow = functools.partial(cascade, stages=1, tau_s=0.5)
    row = [Population(name, (1,), slow, clock="bin") for name in "abcdef"]
    edges = [Projection(a, b) for a, b in zip("abcde", "bcdef", strict=True)]
    stage = circuit(Circuit(tuple(row), tuple(edges)), 0.05)
    one = circuit(Circuit((row[0],), ()), 0.05)
    assert stage.burn_in_s == pytest.approx(6 * one.burn_in_s)


def test_the_gradient_keeps_few_of_the_sub_steps(monkeypatch):
    """Memory of the compiled gradient: a third at most of what a plain scan keeps, and
    eight times the bins take no more than half of eight times as much."""
    declared = _loop(safe_s=BIN_S / 8)

    def compiled(bins: int):
        stage = circuit(declared, BIN_S)
        params = stage.init(jax.random.key(0))
        x = jnp.asarray(drawn(bins, 3), jnp.float32)

        def total(params):
            return jnp.sum(stage.apply(params, stage.start(params), x)[1])

        made = jax.jit(jax.grad(total)).lower(params).compile()
        needed = made.memory_analysis()
        assert needed is not None
        return needed.temp_size_in_bytes, made(params)

    monkeypatch.setattr(recomputed, "SMALL", 0)
    short, _ = compiled(64)
    long, slope = compiled(512)
    monkeypatch.setattr(recomputed, "SMALL", math.inf)
    plain, same = compiled(512)
    assert long < plain / 3 and long < 4 * short, (short, long, plain)
    for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(same), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)


def test_a_step_that_nothing_takes_is_refused():
    a, b = (Population(name, (1,), LEAKY, clock="bin") for name in "ab")
    with pytest.raises(BadSetting, match="dt_s 0.001 s would do nothing: each popul"):
        circuit(Circuit((a, b), (Projection("a", "b"),)), BIN_S, dt_s=0.001)


def test_what_divides_is_at_least_0():
    a, b, c = (Population(name, (1,)) for name in "abc")
    one = one_to_one(trained=False)
    edges = [Projection("a", "b", one), Projection("a", "c", one)]
    edges.append(Projection("b", "c", one, effect="divide"))
    x = np.array([[-1.0], [-2.0], [1.0]])
    out = run(circuit(Circuit((a, b, c), tuple(edges)), BIN_S), x)
    np.testing.assert_allclose(out, [[-1.0], [-2.0], [0.5]])
