"""The ladder's hand counts against the walker, rung by rung.

The counts on the left of each row were made by hand before the code, for one synapse,
as (add, mul, div, transcendental). Where the walker finds another number, the row says
which of the two is right and why. One rule explains most: the page lets S1 and S2 add
their output to the target's other currents (1 add a step) and S3 and S3b not. Here no
rung does: the sum belongs to the target and is paid once for all its synapses.
"""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from retina.circuit.bipolar import bipolar
from retina.circuit.synapses.alpha import alpha
from retina.circuit.synapses.conductance import conductance
from retina.circuit.synapses.delta import delta
from retina.circuit.synapses.double_exponential import double_exponential
from retina.circuit.synapses.exponential import exponential
from retina.circuit.synapses.kinetic import kinetic
from retina.circuit.synapses.markov import markov
from retina.circuit.synapses.nmda import nmda
from retina.circuit.synapses.price import Price, price
from retina.circuit.synapses.ribbon_cycle import ribbon_cycle
from retina.circuit.synapses.ribbon_quanta import ribbon_quanta
from retina.circuit.synapses.state_machine import state_machine
from retina.circuit.synapses.tsodyks_markram import tsodyks_markram
from retina.costs.counts import Counts
from retina.costs.flops import count, count_step
from tests.circuit.truth import transitions

DT = 0.001


def _kinds(counts: Counts) -> tuple[int, int, int, int]:
    """(add, mul, div, transcendental), nothing left out."""
    assert not counts.macs and not counts.acs
    return counts.adds, counts.multiplies, counts.divides, counts.transcendentals


NOTHING = (0, 0, 0, 0)
EXPONENTIAL = exponential(1, DT)
CONDUCTING = conductance(EXPONENTIAL)
PAIR = conductance(double_exponential(1, DT))
GATED = conductance(nmda(double_exponential(1, DT, "nmda")))
PLASTIC = tsodyks_markram(delta(1, DT))

# Rung, synapse, on the page: per event, per step; counted: per event, per step.
EXACT = [
    ("S0 delta", delta(1, DT), (1, 0, 0, 0), NOTHING),
    ("S3 alpha current", alpha(1, DT), (1, 0, 0, 0), (1, 2, 0, 0)),
    ("S3 alpha conductance", conductance(alpha(1, DT)), (1, 0, 0, 0), (2, 3, 0, 0)),
    ("S3b double exponential", PAIR, (2, 0, 0, 0), (2, 3, 0, 0)),
    ("S4 Tsodyks-Markram", PLASTIC, (5, 7, 0, 2), NOTHING),
]


@pytest.mark.parametrize(
    ("synapse", "event", "step"), [row[1:] for row in EXACT], ids=[r[0] for r in EXACT]
)
def test_counts_that_agree_exactly(synapse, event, step):
    found = price(synapse)
    assert _kinds(found.event) == event
    assert _kinds(found.step) == step


# Published per step; what is published too much, and why; what is counted.
DIFFER = [
    # The add is the target's sum over its inputs: see above.
    ("S1 exponential", EXPONENTIAL, (1, 1, 0, 0), (1, 0, 0, 0)),
    ("S2 conductance", CONDUCTING, (2, 2, 0, 0), (1, 0, 0, 0)),
    # "5 + 8": the gate's 8 hold the driving force (1 add) and its product (1 mul) that
    # the 5 have already, and a product of g and 1/(1 + x) that is one division here.
    ("S5 NMDA gate", GATED, (2 + 2, 3 + 4, 1, 1), (1, 2, 0, 0)),
    # 4 of the 11 multiplies are by dt: folded into the rates, they are setup.
    ("S6 kinetic", kinetic(1, DT), (12, 11, 0, 0), (0, 4, 0, 0)),
    # dt and the pools' sizes fold into the rates (6 mul); the sigmoid is one
    # transcendental, as everywhere in this project, not exp, add and divide.
    ("S7 ribbon", ribbon_cycle(1, 0.0004), (12, 14, 1, 1), (1, 6, 1, 0)),
]


@pytest.mark.parametrize(
    ("synapse", "page", "less"), [row[1:] for row in DIFFER], ids=[r[0] for r in DIFFER]
)
def test_counts_that_contradict_the_page(synapse, page, less):
    counted = _kinds(price(synapse).step)
    assert counted == tuple(a - b for a, b in zip(page, less, strict=True))


def test_a_bin_of_a_ribbon_is_dearer_than_its_step():
    """At 1 ms the published rates blow up near 2 ms and are 7 % off: 3 sub-steps.

    The page prices S7 at 37 FLOPs per ms; a stable millisecond costs three loops of 16.
    """
    assert price(ribbon_cycle(1, DT)).step.flops == 13 + 3 * 16
    assert price(ribbon_cycle(1, 0.0004)).step.flops == 13 + 16


@pytest.mark.parametrize("states", [8, 12, 16, 32])
def test_occupancies_of_a_chain_cost_six_flops_an_edge(states: int):
    """6 (K - 1), exactly; reading the efficacy, K MAC and a product, comes on top."""
    step = price(markov(1, DT, states)).step
    assert step.macs == states and step.divides == step.transcendentals == 0
    assert step.adds + step.multiplies - 1 == 6 * (states - 1)
    rows = jax.ShapeDtypeStruct((1, states), "f4")
    matrix = transitions(np.ones(states - 1) / 4, np.ones(states - 1) / 4)
    dense = count(lambda p: p @ matrix.astype("f4"), rows)
    assert dense.flops == 2 * states**2


@pytest.mark.parametrize("states", [8, 16, 32])
def test_an_event_of_a_state_machine(states: int):
    """One draw, one look-up of the next state, one add: so the page, "about 1 - 2".

    It leaves out the look-up of the efficacy and its product with the weight; JAX's
    random keys cost a split (2 keys) a step, shared by all synapses side by side.
    """
    one = price(state_machine(delta(1, DT), states))
    assert one.event.flops == 2  # the product, and the add to the target
    assert one.event.randoms == 1 + 2
    assert one.step.flops == 0
    many = price(state_machine(delta(100, DT), states))
    assert many.event.randoms == 100 + 2
    # The efficacy, the next state; a table index is joined of two numbers.
    assert many.event.words_read == 2 * 100
    # No more for 32 states than for 8: dozens of states cost bits, not operations.
    assert one.event == price(state_machine(delta(1, DT), 4)).event


def test_a_stochastic_ribbon_draws_four_times():
    """The page estimates "about 3 draws"; it is a beta, two binomials and a Poisson."""
    step = price(ribbon_quanta(1, 0.01)).step
    # JAX runs both of its samplers for a binomial; and splits four keys from one.
    assert step.randoms == 1 + 2 * 2 + 1 + 4
    # In the mean it is the page's two pools with hard clamps (S7'), "about 20".
    mean = price(ribbon_quanta(1, 0.01, mean=True)).step
    assert _kinds(mean) == (7, 4, 0, 1) and mean.comparisons == 2


ONE = jax.ShapeDtypeStruct((1,), "f4")


def test_two_pools_with_soft_clamps():
    """S7', "15 add, 3 mul, 1 div, 5 T -> 69". No rung has soft clamps; of the equations
    it is 118. The page takes the softplus at either end of a pool for one T: it is an
    exponential and a logarithm, and 4 adds where it may not overflow. The sigmoid is
    one T here, without an add and a division.
    """

    def within(pool, most: float):
        return jax.nn.softplus(pool) - jax.nn.softplus(pool - most)

    def pools(docked, ribbon, x):
        released = jax.nn.sigmoid(15 * (x - 0.5)) * docked
        moved = 0.1 * ribbon
        docked, ribbon = docked - released + moved, ribbon + 0.1 - moved
        return released, within(docked, 10.0), within(ribbon, 50.0)

    found = count(pools, ONE, ONE, ONE)
    # Five adds and three products of the pools; a clamp is two softplus, two adds.
    assert _kinds(found) == (5 + 2 * (2 * 4 + 2), 3, 0, 1 + 2 * 2 * 2)
    assert found.flops == 118


def test_stepped_plasticity_is_dearer_than_that_of_events():
    """S4', an estimate of 6 a step and 4 an event. In S4's own variables, which decay
    to 0, a step is 2 products and an event 6: S4 without what it finds out of the time
    since the last one. 206 a spike at 10 Hz and 1 ms, for 32: there is no such rung."""

    def step(u, depleted, keep):
        return keep["u"] * u, keep["depleted"] * depleted

    def event(u, depleted, weight, use):
        u = use["U"] + use["1 - U"] * u
        released = u * (1 - depleted)
        return u, depleted + released, weight * released

    each = count(step, ONE, ONE, {"u": ONE, "depleted": ONE})
    on_event = count(event, ONE, ONE, ONE, {"U": ONE, "1 - U": ONE})
    assert _kinds(each) == (0, 2, 0, 0) and _kinds(on_event) == (3, 3, 0, 0)
    assert on_event.flops + 100 * each.flops == 206


def test_the_cascade_of_an_on_bipolar_cell():
    """S9, "S7 + 11": Glu and its sign 4, following it 3, its conductance and pull 4.

    With them, the membrane's exponential step is 5 and one transcendental, and the soft
    rectifier of the release 7 and two.
    """
    stage = bipolar(1, 0.001, "on")
    params = stage.init(jax.random.key(0))
    _, step = count_step(stage, params, np.zeros(1, "f4"))
    assert step.flops == 11 + (5 + 10) + (7 + 20)
    # An OFF cell's receptor needs no square and no change of sign.
    off = bipolar(1, 0.001, "off")
    _, less = count_step(off, off.init(jax.random.key(0)), np.zeros(1, "f4"))
    assert less.flops == step.flops - 2


def _per_event(found: Price, sharing: int = 1, weight: int = 10) -> float:
    return found.per_event(10.0, DT, sharing, weight)


def _with_sum(found: Price) -> Price:
    """With the add to the target's sum that the page has in S1 and S2."""
    return Price(found.step + Counts(adds=1), found.event, found.state_bytes)


def test_flops_per_spike_through_a_synapse():
    """10 Hz, 1 ms: private, and shared by the 500 synapses of a compartment."""
    s1, s2 = _with_sum(price(EXPONENTIAL)), _with_sum(price(CONDUCTING))
    assert [_per_event(s1), _per_event(s1, 500)] == [201, pytest.approx(1.4)]
    assert [_per_event(s2), _per_event(s2, 500)] == [401, pytest.approx(1.8)]
    s3b = price(PAIR)
    assert [_per_event(s3b), _per_event(s3b, 500)] == [502, pytest.approx(3.0)]
    s4 = price(PLASTIC)
    assert [_per_event(s4, weight=1), _per_event(s4)] == [14, 32]
    # The page: 2202 and 6.4, with three FLOPs a step counted twice.
    s5 = price(GATED)
    assert [_per_event(s5), _per_event(s5, 500)] == [1902, pytest.approx(5.8)]
    # 2300 and, one state a terminal of 50 ribbons, 46: with the four products by dt.
    s6 = price(kinetic(1, DT))
    assert [_per_event(s6), _per_event(s6, 50)] == [1900, 38]
    # 3700 and 74 hold for sub-steps of a whole millisecond, which are not safe.
    s7 = price(ribbon_cycle(1, DT))
    assert [_per_event(s7), _per_event(s7, 50)] == [6100, 122]
    # 18,600 is the chain alone; its read-out adds 2 K + 1 a step.
    s10 = price(markov(1, DT, 32))
    assert _per_event(s10) == 18_600 + 100 * (2 * 32 + 1)


PRICED = {
    "`delta`": delta(1, DT),
    "`exponential`": EXPONENTIAL,
    "`conductance(exponential)`": CONDUCTING,
    "`conductance(alpha)`": conductance(alpha(1, DT)),
    "`conductance(double_exponential)`": PAIR,
    "`conductance(nmda(double_exponential))`": GATED,
    "`tsodyks_markram(delta)`": PLASTIC,
    "`kinetic`": kinetic(1, DT),
    "`ribbon_cycle`": ribbon_cycle(1, DT),
    "`markov`, 32 states": markov(1, DT, 32),
    "`state_machine(delta)`, 32 states": state_machine(delta(1, DT), 32),
}


def test_the_table_in_the_readme_is_counted():
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    lines = text.partition("| rung |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in rows] == list(PRICED)
    for name, event, step, own, shared in rows:
        found = price(PRICED[name])
        assert (int(event), int(step)) == (found.event.flops, found.step.flops), name
        assert int(own.replace(",", "")) == _per_event(found), name
        if shared != "-":
            value, sharing = shared.rstrip(")").split(" (by ")
            assert float(value) == pytest.approx(_per_event(found, int(sharing))), name


def test_linear_rungs_say_that_they_may_be_shared():
    linear = (delta(1, DT), EXPONENTIAL, alpha(1, DT), PAIR, GATED)
    assert all(synapse.linear for synapse in linear)
    own = (PLASTIC, kinetic(1, DT), markov(1, DT), state_machine(alpha(1, DT)))
    assert not any(synapse.linear for synapse in own)
