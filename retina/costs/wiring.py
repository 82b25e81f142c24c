"""What a step is wired like: who sums how much, who is heard by how many, how far."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from retina.circuit.declaration import Circuit, synapses
from retina.circuit.kernels import REACH, Kernel
from retina.circuit.population import Population
from retina.costs.flops import TracedStep
from retina.costs.program import Op, Program, Value
from retina.costs.timing import Timing

Tally = Mapping[int, int]
_SUMS = ("dot_general", "conv_general_dilated", "reduce_sum")


@dataclasses.dataclass(frozen=True)
class Wiring:
    """The sums of one bin; a loop's body is wired once, however often it turns.

    fan_in:  {values that one sum is made of: how many such sums}. Sums are results of
             products, convolutions (padding is no value) and plain sums.
    fan_out: {sums that one value enters: how many such values}, of values that are new
             with every bin, sum by sum: one that two layers read counts in both.
    """

    fan_in: Tally
    fan_out: Tally


def wiring(step: TracedStep) -> Wiring:
    """Fan-in and fan-out of one streaming step, from its shapes.

    >>> import jax.numpy as jnp
    >>> from retina.costs.flops import trace_step
    >>> from retina.stage import memoryless
    >>> mix = memoryless(lambda p, x: p @ x, about=("mix",))
    >>> found = wiring(trace_step(mix, jnp.ones((3, 4)), jnp.ones(4)))
    >>> found.fan_in, found.fan_out
    ({4: 3}, {3: 4})
    """
    fan_in: Counter[int] = Counter()
    fan_out: Counter[int] = Counter()
    _add(step.program, step.timing(), fan_in, fan_out)
    return Wiring(_tidy(fan_in), _tidy(fan_out))


def wire_um(circuit: Circuit) -> float | None:
    """Length of all synapses' wires together, straight from source to target, um.

    circuit: of `Model.circuit`, whose populations have places; a Gaussian reaches as
             far as 1 % of its peak, as in its fan-in. Cells without a place lie in the
             middle; `pooled` windows are taken there too.
    returns: None where no population has a place.

    >>> from retina.circuit.declaration import Projection
    >>> from retina.circuit.kernels import gaussian
    >>> row = Population("a", (1, 3), spacing_um=10.0), Population("b", (1,))
    >>> wire_um(Circuit(row, (Projection("a", "b", gaussian(10.0)),)))
    20.0
    """
    placed = [p for p in circuit.populations if p.spacing_um is not None]
    if not placed:
        return None
    return sum(
        _length(source, target, kernel)
        for source, target, kernel in synapses(circuit).values()
    )


def _length(source: Population, target: Population, kernel: Kernel) -> float:
    if kernel.wire_um is not None:
        return kernel.wire_um(source, target)
    about = kernel.about
    if about[0] in ("one_to_one", "in_place"):
        return 0.0
    reach = REACH * about[1] if about[0] in ("gaussian", "pooled") else math.inf
    total = 0.0
    for at in target.positions_um:
        far = np.hypot(*(source.positions_um - at).T)
        total += float(far[far <= reach].sum())
    return total


def _add(program: Program, late: Timing, into: Counter[int], out: Counter[int]) -> None:
    for op in program.ops:
        if op.name == "reduce":
            continue
        for body in op.bodies:
            _add(body, late, into, out)
        if op.name not in _SUMS or late.of(op) is not None:
            continue
        heard = [value for value in op.ins if late.tag(value) is None]
        _WIRES[op.name](op, heard, into, out)


def _product(op: Op, heard: list[Value], into: Counter[int], out: Counter[int]) -> None:
    (left, _), _ = op.params["dimension_numbers"]
    summed = math.prod(op.ins[0].shape[axis] for axis in left)
    into[summed] += op.outs[0].size
    for value in heard:
        # Every element of a factor enters as many products as any other.
        out[op.outs[0].size * summed // max(value.size, 1)] += value.size


def _sum(op: Op, heard: list[Value], into: Counter[int], out: Counter[int]) -> None:
    into[op.ins[0].size // max(op.outs[0].size, 1)] += op.outs[0].size
    out[1] += op.ins[0].size


def _convolution(
    op: Op, heard: list[Value], into: Counter[int], out: Counter[int]
) -> None:
    left, right = op.ins
    dims, shape = op.params["dimension_numbers"], op.outs[0].shape
    axes = range(len(op.params["window_strides"]))
    pairs = [_pairs(op, axis) for axis in axes]
    batch, features = shape[dims.out_spec[0]], shape[dims.out_spec[1]]
    per_group = right.shape[dims.rhs_spec[1]]
    groups = op.params["feature_group_count"]
    places = [Counter(Counter(p for p, _ in along).values()) for along in pairs]
    samples = [Counter(Counter(s for _, s in along).values()) for along in pairs]
    for values, number in _together(places).items():
        into[values * per_group] += number * batch * features
    if left in heard:
        for sums, number in _together(samples).items():
            channels = left.shape[dims.lhs_spec[1]]
            out[sums * features // groups] += number * batch * channels


def _pairs(op: Op, axis: int) -> list[tuple[int, int]]:
    """(output place, input sample) along one axis, wherever a tap meets a sample."""
    dims, given = op.params["dimension_numbers"], op.params
    samples = op.ins[0].shape[dims.lhs_spec[axis + 2]]
    taps = op.ins[1].shape[dims.rhs_spec[axis + 2]]
    low, _ = given["padding"][axis]
    gap, hole = given["lhs_dilation"][axis], given["rhs_dilation"][axis]
    met = []
    for place in range(op.outs[0].shape[dims.out_spec[axis + 2]]):
        for tap in range(taps):
            at = place * given["window_strides"][axis] - low + tap * hole
            if at % gap == 0 and 0 <= at // gap < samples:
                met.append((place, at // gap))
    return met


def _together(axes: Iterable[Counter[int]]) -> Counter[int]:
    """Of tallies along each axis, the tally of their products over the grid."""
    whole: Counter[int] = Counter()
    for chosen in itertools.product(*(axis.items() for axis in axes)):
        whole[math.prod(v for v, _ in chosen)] += math.prod(n for _, n in chosen)
    return whole


def _tidy(tally: Counter[int]) -> dict[int, int]:
    return {value: tally[value] for value in sorted(tally) if value and tally[value]}


_WIRES = {
    "dot_general": _product,
    "conv_general_dilated": _convolution,
    "reduce_sum": _sum,
}
