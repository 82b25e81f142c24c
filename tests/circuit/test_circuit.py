"""A declared circuit does what its equations say, step by step, and no more."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

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
from retina.circuit.learned import learned
from retina.circuit.listed import listed
from retina.circuit.membrane import SAFE_S, membrane, potential
from retina.circuit.population import Population
from retina.circuit.synapses.alpha import alpha
from retina.circuit.synapses.conductance import CHLORIDE_MV, conductance
from retina.circuit.synapses.depletion import depletion
from retina.circuit.synapses.exponential import exponential
from retina.circuit.synapses.kinetic import kinetic
from retina.circuit.synapses.tsodyks_markram import tsodyks_markram
from retina.costs.flops import count_step
from retina.errors import BadSetting, ShapeMismatch, UnknownName

LEAKY = functools.partial(cascade, stages=1, tau_s=0.03)
BIN_S = 0.02


def _loop(effect: str = "add", delay: int = 2, safe_s: float = 0.005) -> Circuit:
    a = Population("a", (3,), LEAKY, safe_s=safe_s)
    b = Population("b", (2,), LEAKY, safe_s=safe_s)
    sign = -1 if effect == "add" else 1
    back = Projection("b", "a", dense(), sign=sign, delay=delay, effect=effect)
    return Circuit((a, b), (Projection("a", "b", dense()), back))


def _run(stage, x, params=None):
    params = stage.init(jax.random.key(0)) if params is None else params
    x = jnp.asarray(x, jnp.float32)
    return np.asarray(jax.jit(stage.apply)(params, stage.start(params), x)[1])


def _input(bins: int, cells: int) -> np.ndarray:
    return np.abs(np.random.default_rng(0).standard_normal((bins, cells)))


@pytest.mark.parametrize("effect", ["add", "divide"])
@pytest.mark.parametrize("delay", [1, 3])
def test_a_loop_is_its_equations_written_out(effect: str, delay: int):
    """Float32 against float64 over 100 steps: rounding, 1e-5 of values near 1."""
    stage = circuit(_loop(effect, delay), BIN_S)
    params = stage.init(jax.random.key(0))
    x = _input(25, 3)
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
    np.testing.assert_allclose(_run(stage, x, params), expected, rtol=1e-5, atol=1e-5)


def test_a_delay_is_so_many_steps():
    """Without memory of their own, cells pass on what was there three steps before."""
    a, b = Population("a", (2,), safe_s=BIN_S), Population("b", (2,), safe_s=BIN_S)
    back = Projection("a", "b", one_to_one(), delay=3)
    x = _input(12, 2)
    out = _run(circuit(Circuit((a, b), (back,)), BIN_S), x)
    np.testing.assert_allclose(out[3:], x[:-3], rtol=1e-6)
    assert not out[:3].any()


def test_halving_the_step_halves_the_error():
    """The loop hears itself a step late, and that is all that is wrong: first order."""
    x = _input(40, 3)
    outs = []
    for parts in (4, 8, 64):
        declared = _loop("add", delay=1)
        outs.append(_run(circuit(declared, BIN_S, dt_s=BIN_S / parts), x)[-1])
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


def test_a_rung_may_be_changed_and_is_the_ladders_own():
    """Kinetics sit at the terminal, once for both targets; a decay at the target."""
    a = Population("a", (2,), safe_s=0.005)
    b, c = Population("b", (2,), safe_s=0.005), Population("c", (2,), clock="bin")

    def made(rung):
        edges = (
            Projection("a", "b", one_to_one(), rung),
            Projection("a", "c", one_to_one(), rung),
            Projection("b", "c", one_to_one(0.0, trained=False)),
        )
        return circuit(Circuit((a, b, c), edges), BIN_S)

    x = np.clip(_input(20, 2), 0, 1)
    stage = made(kinetic)
    params = stage.init(jax.random.key(0))
    assert [n for n in params if "~" in n] == ["a~kinetic"]
    synapse = kinetic(2, 0.005)
    state, expected = synapse.start(params["a~kinetic"]), []
    for x_t in jnp.asarray(x, jnp.float32):
        outs = []
        for _ in range(4):
            state, y = synapse.step(params["a~kinetic"], state, x_t, 0.0)
            outs.append(y)
        expected.append(sum(outs) / 4)
    np.testing.assert_allclose(_run(stage, x, params), expected, rtol=1e-5)
    stage = made(exponential)
    params = stage.init(jax.random.key(0))
    assert [n for n in params if "~" in n] == ["b~exponential", "c~exponential"]
    # Into c once per bin: g goes from g_0 to x tau; its mean over the bin.
    tau, g, expected = float(params["c~exponential"]["tau_s"]), 0.0, []
    keep = np.exp(-BIN_S / tau)
    for x_t in x:
        expected.append(x_t * tau + (g - x_t * tau) * (1 - keep) * tau / BIN_S)
        g = x_t * tau + (g - x_t * tau) * keep
    np.testing.assert_allclose(_run(stage, x, params), expected, rtol=1e-5)


def test_a_gaussian_is_its_matrix_and_no_matrix_is_made():
    cones = Population("cone", (6, 5), spacing_um=10.0)
    cells = Population("on", (2, 3, 3), spacing_um=20.0)
    join = gaussian(12.0).join(cones, cells)
    params = join.init(jax.random.key(0))
    x = np.random.default_rng(0).standard_normal((4, 30)).astype("f4")
    from_, to = cones.positions_um, cells.positions_um[:9]
    far = np.square(to[:, None] - from_[None]).sum(-1)
    matrix = np.exp(-far / (2 * 12.0**2))
    matrix /= matrix.sum(1, keepdims=True)
    weight = np.asarray(params["weight"])[0]
    expected = np.concatenate([(x @ matrix.T) * w for w in weight], 1)
    found = join.weigh(join.prepare(params), jnp.asarray(x))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    largest = max(
        getattr(v.aval, "size", 0)
        for eqn in jax.make_jaxpr(lambda p: join.prepare(p))(params).eqns
        for v in eqn.outvars
    )
    assert largest <= 6 * 3  # rows by rows


def test_a_learned_patch_is_its_matrix():
    """Of rows that stand between cones and columns that stand on them; of one bin and
    of a clip. At the start all that an inner cell hears comes to its gain."""
    cones = Population("cone", (6, 5), spacing_um=10.0)
    cells = Population("on", (2, 3, 3), spacing_um=20.0)
    join = learned(12.0, gain=2.0).join(cones, cells)
    params = join.init(jax.random.key(0))
    assert params["weight"].shape == (4, 5, 1, 2)
    ready = np.asarray(join.prepare(params))
    assert ready.sum((0, 1, 2)) == pytest.approx(2.0, rel=0.2)
    far = cones.positions_um[None] - cells.positions_um[:9, None]
    row, column = np.moveaxis((far / 10 + [1.5, 2.0]).round().astype(int), 2, 0)
    inside = (row >= 0) & (row < 4) & (column >= 0) & (column < 5)
    at = ready[row.clip(0, 3), column.clip(0, 4), 0] * inside[..., None]
    x = np.random.default_rng(0).standard_normal((4, 30)).astype("f4")
    expected = np.einsum("cst,bs->btc", at, x).reshape(4, 18)
    for clip in (x, x[:1]):
        found = join.weigh(join.prepare(params), jnp.asarray(clip))
        np.testing.assert_allclose(found, expected[: len(clip)], rtol=1e-5, atol=1e-6)
    assert join.fan_in == pytest.approx(inside.sum(1).mean())
    with pytest.raises(ShapeMismatch, match="10 um to one of 15 um; give the target a"):
        learned(12.0).join(cones, Population("on", (3, 3), spacing_um=15.0))


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
    x, u, v, expected = _input(10, 2), 0.0, 0.0, []
    for x_t in x:
        u = x_t + np.exp(-BIN_S / 0.03) * (u - x_t)
        steps = []
        for _ in range(4):
            v = u + np.exp(-0.005 / 0.03) * (v - u)
            steps.append(v)
        expected.append(np.mean(steps, 0))
    np.testing.assert_allclose(_run(stage, x), expected, rtol=1e-5)
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
        x = jnp.asarray(_input(bins, 3), jnp.float32)

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


def _conducting(voltage, dt_s: float):
    """A rate through a glutamate and a chloride conductance onto one membrane."""

    def open_(count: int, dt_s: float):
        return conductance(exponential(count, dt_s))

    def shut(count: int, dt_s: float):
        return conductance(alpha(count, dt_s), CHLORIDE_MV)

    source = Population("source", (1,), safe_s=SAFE_S)
    other = Population("other", (1,), safe_s=SAFE_S)
    cell = Population("cell", (1,), membrane, safe_s=SAFE_S, voltage=voltage)
    forth = one_to_one(2.0, trained=False)
    edges = (
        Projection("source", "other", one_to_one(trained=False)),
        Projection("source", "cell", forth, open_),
        Projection("other", "cell", forth, shut),
    )
    return circuit(Circuit((source, other, cell), edges), 0.01, dt_s=dt_s)


def test_a_conductance_follows_its_target():
    """Against LSODA, over bins of 10 ms: of first order, since what is heard of the
    target is a step old. Up to 18 nS on a leak of 1; clamped, the same synapses would
    never reach their reversals."""
    rates = np.repeat([100.0, 800.0, 0.0, 400.0], 5)
    tau, level, peak = 0.003, 2.0, np.e
    state, expected = np.array([0.0, 0.0, 0.0, -60.0, 0.0]), []
    for rate in rates:

        def slope(_, y, rate=rate):
            g, h, k, v, _ = y
            current = g * (0 - v) + k * (CHLORIDE_MV - v)
            dv = (-60 - v + current) / 0.01
            out = 2 * np.logaddexp(0, (v + 45) / 2)
            dh = level * peak * rate - h / tau
            return [level * rate - g / tau, dh, (h - k) / tau, dv, out]

        state[4] = 0
        solved = solve_ivp(slope, (0, 0.01), state, "LSODA", rtol=1e-8, atol=1e-10)
        state = solved.y[:, -1]
        expected.append(state[4] / 0.01)
    expected = np.array(expected)
    x, errors = rates[:, None], []
    for dt_s in (5e-4, 2.5e-4, 1.25e-4):
        found = _run(_conducting(potential, dt_s), x)[:, 0]
        errors.append(np.abs(found - expected).max() / np.ptp(expected))
    assert errors[0] < 0.1
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert 1.7 < coarse / fine < 2.4, errors
    clamped = _run(_conducting(None, 5e-4), x)[:, 0]
    assert clamped.max() > 3 * expected.max()


def test_synapses_of_a_minus_take_away_what_they_would_add():
    """Also below 0: each sign has a state of its own, which hears 0 or more."""
    a, b, c = (Population(name, (2,)) for name in "abc")

    def out(*edges: Projection) -> np.ndarray:
        populations = (a, c, b) if len(edges) > 1 else (a, b)
        return _run(circuit(Circuit(populations, edges), BIN_S), _input(10, 2))

    def onto_b(source: str, sign: int, weight: float) -> Projection:
        kernel = one_to_one(weight, trained=False)
        return Projection(source, "b", kernel, exponential, sign)

    plus = out(onto_b("a", 1, 1.0))
    assert plus.min() > 0
    np.testing.assert_array_equal(out(onto_b("a", -1, 1.0)), -plus)
    passed = Projection("a", "c", one_to_one(trained=False))
    both = out(passed, onto_b("a", 1, 1.0), onto_b("c", -1, 3.0))
    np.testing.assert_allclose(both, -2 * plus, rtol=1e-5)


def test_a_conductance_that_would_push_from_its_reversal_is_refused():
    def open_(count: int, dt_s: float):
        return conductance(exponential(count, dt_s))

    a = Population("a", (1,), safe_s=SAFE_S)
    cell = Population("cell", (1,), membrane, safe_s=SAFE_S, voltage=potential)
    edge = Projection("a", "cell", one_to_one(), open_, sign=-1)
    with pytest.raises(BadSetting, match="a->cell: its conductance .* give sign=1"):
        circuit(Circuit((a, cell), (edge,)), 0.01)


def test_a_step_that_nothing_takes_is_refused():
    a, b = (Population(name, (1,), LEAKY, clock="bin") for name in "ab")
    with pytest.raises(BadSetting, match="dt_s 0.001 s would do nothing: each popul"):
        circuit(Circuit((a, b), (Projection("a", "b"),)), BIN_S, dt_s=0.001)


@pytest.mark.parametrize(
    ("rung", "wild", "tame"),
    [
        (kinetic, [5.0, -3.0, 0.5], [1.0, 0.0, 0.5]),
        (depletion, [-90, 3, -9], [0, 3, 0]),
    ],
)
def test_a_rung_hears_no_more_than_its_equations_hold(rung, wild, tame):
    """Of a source that may give anything; one that says what it gives is not cut."""

    def made(x, **given):
        cells = Population("a", (1,), safe_s=0.005, **given), Population("b", (1,))
        edge = Projection("a", "b", one_to_one(trained=False), rung)
        stage = circuit(Circuit(cells, (edge,)), 0.01)
        compared = count_step(stage, stage.init(jax.random.key(0)), jnp.zeros(1))
        return _run(stage, np.reshape(x, (-1, 1))), compared[1].comparisons

    (found, more), (wanted, less) = made(wild), made(tame, gives=(0.0, 1.0))
    np.testing.assert_array_equal(found, wanted)
    assert more > less


def test_what_divides_is_at_least_0():
    a, b, c = (Population(name, (1,)) for name in "abc")
    one = one_to_one(trained=False)
    edges = [Projection("a", "b", one), Projection("a", "c", one)]
    edges.append(Projection("b", "c", one, effect="divide"))
    x = np.array([[-1.0], [-2.0], [1.0]])
    out = _run(circuit(Circuit((a, b, c), tuple(edges)), BIN_S), x)
    np.testing.assert_allclose(out, [[-1.0], [-2.0], [0.5]])


def test_a_current_that_is_negative_divides_by_1():
    """Of a shunt at -65 mV whose target is held at -60 mV: no sign is turned by it."""

    def inward(count: int, dt_s: float):
        return conductance(exponential(count, dt_s), CHLORIDE_MV)

    a, b, c = (Population(name, (1,)) for name in "abc")
    one = one_to_one(trained=False)
    edges = [Projection("a", "b", one), Projection("a", "c", one)]
    edges.append(Projection("b", "c", one, inward, effect="divide"))
    stage = circuit(Circuit((a, b, c), tuple(edges)), BIN_S)
    x = np.full((20, 1), 1000.0)
    np.testing.assert_allclose(_run(stage, x), x)
    assert stage.about[-1][0] == "floor"


def test_a_rung_of_single_spikes_is_refused():
    def plastic(count, dt_s):
        return tsodyks_markram(exponential(count, dt_s))

    a, b = Population("a", (1,)), Population("b", (1,))
    with pytest.raises(BadSetting, match="state moves with each spike"):
        circuit(Circuit((a, b), (Projection("a", "b", rung=plastic),)), 0.01)


def test_two_rungs_that_only_differ_in_value_are_told():
    def slow(count, dt_s):
        made = exponential(count, dt_s)
        return made._replace(init=lambda key: {"tau_s": jnp.float32(0.1)})

    cells = tuple(Population(name, (1,)) for name in "abc")
    edges = (
        Projection("a", "b"),
        Projection("a", "c", rung=exponential),
        Projection("b", "c", rung=slow),
    )
    with pytest.raises(BadSetting, match="both exponential but of other values"):
        circuit(Circuit(cells, edges), 0.01)


def test_cells_that_a_list_joins():
    """As the same weights in a full matrix, of a bin and of a clip; slopes as well."""
    draw = np.random.default_rng(3)
    sources, weights = draw.integers(0, 5, (4, 3)), draw.uniform(0, 1, (4, 3))
    a, b = Population("a", (5,)), Population("b", (4,))
    join = listed(sources, weights).join(a, b)
    full = np.zeros((5, 4))
    np.add.at(full, (sources, np.arange(4)[:, None]), weights)
    params, x = join.init(jax.random.key(0)), jnp.asarray(_input(6, 5), jnp.float32)

    def through(params, x):
        return join.weigh(join.prepare(params), x)

    for clip in (x, x[:1]):
        np.testing.assert_allclose(through(params, clip), clip @ full, rtol=1e-5)
    slope = jax.grad(lambda p: jnp.sum(through(p, x)))(params)["weight"]
    np.testing.assert_allclose(slope, np.asarray(x).sum(0)[sources], rtol=1e-5)
    assert listed(sources, weights).about != listed(sources[::-1], weights).about


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (([0, 1],), r"listed: sources of shape \(2,\), int64; give whole numbers"),
        (([[0.5]],), "float64; give whole numbers"),
        (([[0, 1]], -1.0), "from -1 to -1; give finite ones"),
        (([[0, 1]], np.inf), "from inf to inf; give finite ones"),
        (([[0, 1]], []), r"weights of shape \(0,\); give one, or \(1, 2\)"),
        (([[0, 1]], [1.0]), r"weights of shape \(1,\)"),
    ],
)
def test_lists_that_cannot_join_are_refused(given, said: str):
    with pytest.raises(BadSetting, match=said):
        listed(*given)


def test_a_list_of_other_cells_is_refused():
    one, two = Population("a", (2,)), Population("b", (1,))
    with pytest.raises(ShapeMismatch, match="listed names cells 0 to 2 for 1 target"):
        Circuit((one, two), (Projection("a", "b", listed([[0, 2]])),))
