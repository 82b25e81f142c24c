"""Walk a program: multiply loops out, take the dearest branch, add everything up."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from retina.costs.contraction import summed
from retina.costs.counts import Counts
from retina.costs.movement import CARRIED, VIEWS
from retina.costs.program import Op, Program, Value
from retina.costs.rules import count_op
from retina.costs.timing import Timing, timing


@dataclasses.dataclass(frozen=True)
class Work:
    """What a step does.

    setup:  work on parameters alone, done once.
    step:   work of every bin.
    depth:  primitives on the longest path through one bin; loops multiplied out.
    fan_in: most values that one sum of the step is made of.
    """

    setup: Counts = Counts()
    step: Counts = Counts()
    depth: int = 0
    fan_in: int = 0


def walk(
    program: Program, late: Iterable[Value] | None, spikes: Iterable[Value] = ()
) -> Work:
    """Count a program.

    program: from `trace`.
    late:    the inputs that are new with every bin: what depends on none of them is
             counted once, as setup. None: nothing is set up, all is `step`.
    spikes:  the inputs declared to be 0 or 1: their products count as `acs`.
    raises:  UncountedPrimitive.
    """
    found = timing(program, late)
    return _walk(program, found, 1, set(spikes))


def _walk(program: Program, found: Timing, times: int, spikes: set[Value]) -> Work:
    setup, step = Counts(), Counts()
    depth_at: dict[Value, int] = {}
    fan_in = 0
    for op in program.ops:
        tag = found.of(op)
        if op.name in ("scan", "while", "cond"):
            work = _WALKS[op.name](op, found, times, spikes)
        else:
            counts = _leaf(op, spikes).within(op.name, op.part)
            if tag is None:
                depth = 0 if op.name in VIEWS else 1
                work = Work(step=times * counts, depth=depth, fan_in=summed(op))
            else:
                work = Work(setup=math.prod(loop.trips for loop in tag) * counts)
        setup, step = setup + work.setup, step + work.step
        fan_in = max(fan_in, work.fan_in)
        here = work.depth + max((depth_at.get(v, 0) for v in op.ins), default=0)
        depth_at.update(dict.fromkeys(op.outs, here))
        if op.name in CARRIED and all(v in spikes or _index(op, v) for v in op.ins):
            spikes.update(op.outs)
    depth = max(depth_at.values(), default=0)
    return Work(setup, step, depth, fan_in)


def _leaf(op: Op, spikes: set[Value]) -> Counts:
    if op.name == "reduce":
        # A sum with a function of its own: the function once for each value folded in.
        once = _walk(op.bodies[0], timing(op.bodies[0], None), 1, set()).step.bare()
        return max(op.ins[0].size - op.outs[0].size, 0) * once
    counts = count_op(op)
    contracts = op.name in ("dot_general", "conv_general_dilated")
    if contracts and any(value in spikes for value in op.ins):
        return dataclasses.replace(counts, macs=0, acs=counts.macs)
    return counts


def _index(op: Op, value: Value) -> bool:
    return op.name in ("gather", "dynamic_slice") and value is not op.ins[0]


def _scan(op: Op, found: Timing, times: int, spikes: set[Value]) -> Work:
    (body,) = op.bodies
    length, carry = op.params["length"], op.params["num_carry"]
    consts = op.params["num_consts"]
    steady = [*range(consts), *range(consts + carry, len(op.ins))]
    inside = _passed(op.ins, body.inputs, spikes, steady)
    work = _walk(body, found, times * length, inside)
    return dataclasses.replace(work, depth=length * work.depth)


def _while(op: Op, found: Timing, times: int, spikes: set[Value]) -> Work:
    test, body = op.bodies
    tests, consts = op.params["cond_nconsts"], op.params["body_nconsts"]
    turns = found.loops[op].trips
    inside = _passed(op.ins[tests:], body.inputs, spikes, range(consts))
    tested = _walk(test, found, times * (turns + 1), set())
    work = _walk(body, found, times * turns, inside)
    return Work(
        tested.setup + work.setup,
        tested.step + work.step,
        (turns + 1) * tested.depth + turns * work.depth,
        max(tested.fan_in, work.fan_in),
    )


def _cond(op: Op, found: Timing, times: int, spikes: set[Value]) -> Work:
    """The dearest branch. Where the choice is late, every branch must be set up."""
    places = range(len(op.ins) - 1)
    works = [
        _walk(branch, found, times, _passed(op.ins[1:], branch.inputs, spikes, places))
        for branch in op.bodies
    ]
    dearest = max(works, key=lambda work: _price(work.step))
    setups = [work.setup for work in works]
    if found.tag(op.ins[0]) is None:
        setup = sum(setups, Counts())
    else:
        setup = max(setups, key=_price)
    return Work(
        setup,
        dearest.step,
        max(work.depth for work in works),
        dearest.fan_in,
    )


def _price(counts: Counts) -> tuple[int, int]:
    return counts.flops, counts.total_ops


def _passed(
    outer: Sequence[Value],
    inner: Sequence[Value],
    spikes: set[Value],
    places: Iterable[int],
) -> set[Value]:
    """The body's inputs that are spikes, of those in the given places."""
    return {inner[place] for place in places if outer[place] in spikes}


_WALKS = {"scan": _scan, "while": _while, "cond": _cond}
