"""When each value of a step is known: once and for all, or anew with every bin.

A value that depends on parameters alone is early, even inside a loop; one that depends
on the state or the input is late. Early work is done once, before the first bin.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from retina.costs.program import Op, Program, Value
from retina.errors import UncountedPrimitive


@dataclasses.dataclass(eq=False)
class Loop:
    """A loop of known length, with the one of its test where it is a `while`."""

    trips: int
    tests: Loop | None = None


# Late values have no tag; an early one has the loops from turn to turn of which it
# differs, and is made once for each of their turns.
Tag = frozenset[Loop] | None
EARLY: Tag = frozenset()


@dataclasses.dataclass
class Timing:
    """Tags of every value, also of those in bodies, and the loop of each operation."""

    tags: dict[Value, Tag]
    loops: dict[Op, Loop]
    all_late: bool = False

    def tag(self, value: Value) -> Tag:
        return None if self.all_late else self.tags.get(value, EARLY)

    def of(self, op: Op) -> Tag:
        return None if self.all_late else joined(self.tag(v) for v in op.ins)


def joined(tags: Iterable[Tag]) -> Tag:
    """Late if any is late; else the loops of all."""
    loops: frozenset[Loop] = frozenset()
    for tag in tags:
        if tag is None:
            return None
        loops |= tag
    return loops


def timing(program: Program, late: Iterable[Value] | None) -> Timing:
    """Follow the late inputs through the program.

    program: from `trace`.
    late:    the inputs that are new with every bin; None: everything is late.
    raises:  UncountedPrimitive for a loop whose length cannot be told.
    """
    found = Timing(dict.fromkeys(late or (), None), {}, all_late=late is None)
    _follow(program, found)
    return found


def _follow(program: Program, found: Timing) -> None:
    for op in program.ops:
        if op.name == "scan":
            results = _scan(op, found)
        elif op.name == "while":
            results = _while(op, found)
        elif op.name == "cond":
            results = _cond(op, found)
        else:
            results = [found.of(op)] * len(op.outs)
        found.tags.update(zip(op.outs, results, strict=True))


def _scan(op: Op, found: Timing) -> list[Tag]:
    body = op.bodies[0]
    consts, carry = op.params["num_consts"], op.params["num_carry"]
    loop = found.loops.setdefault(op, Loop(op.params["length"]))
    tags = [found.tag(value) for value in op.ins]
    fixed, moving = tags[:consts], [_varying(tag, loop) for tag in tags[consts:]]
    while True:
        found.tags.update(zip(body.inputs, fixed + moving, strict=True))
        _follow(body, found)
        results = [found.tag(value) for value in body.outs]
        grown = [joined(pair) for pair in zip(moving[:carry], results, strict=False)]
        if grown == moving[:carry]:
            return [_after(tag, loop) for tag in results]
        moving[:carry] = grown


def _while(op: Op, found: Timing) -> list[Tag]:
    test, body = op.bodies
    tests, consts = op.params["cond_nconsts"], op.params["body_nconsts"]
    if op not in found.loops:
        turns = trips(op)
        found.loops[op] = Loop(turns, Loop(turns + 1))
    loop = found.loops[op]
    tags = [found.tag(value) for value in op.ins]
    moving = [_varying(tag, loop) for tag in tags[tests + consts :]]
    while True:
        found.tags.update(
            zip(body.inputs, tags[tests : tests + consts] + moving, strict=True)
        )
        _follow(body, found)
        results = [found.tag(value) for value in body.outs]
        grown = [joined(pair) for pair in zip(moving, results, strict=True)]
        if grown == moving:
            break
        moving = grown
    assert loop.tests is not None
    tested = [_varying(_after(tag, loop), loop.tests) for tag in moving]
    found.tags.update(zip(test.inputs, tags[:tests] + tested, strict=True))
    _follow(test, found)
    return [_after(tag, loop) for tag in moving]


def _cond(op: Op, found: Timing) -> list[Tag]:
    tags = [found.tag(value) for value in op.ins]
    results: list[Tag] = [tags[0]] * len(op.outs)
    for branch in op.bodies:
        found.tags.update(zip(branch.inputs, tags[1:], strict=True))
        _follow(branch, found)
        outs = [found.tag(value) for value in branch.outs]
        results = [joined(pair) for pair in zip(results, outs, strict=True)]
    return results


def _varying(tag: Tag, loop: Loop) -> Tag:
    return None if tag is None else tag | {loop}


def _after(tag: Tag, loop: Loop) -> Tag:
    return None if tag is None else tag - {loop}


def trips(op: Op) -> int:
    """Turns of a `while` that counts from one literal to another.

    raises: UncountedPrimitive where start, end or stride is not a literal integer.
    """
    test, body = op.bodies
    tests, consts = op.params["cond_nconsts"], op.params["body_nconsts"]
    before = op.ins[:tests] + op.ins[tests + consts :]
    start = dict(zip(test.inputs, before, strict=True))
    moving = dict(zip(test.inputs[tests:], range(len(body.outs)), strict=True))

    def fixed(value: Value) -> int | None:
        """The number of a value that the loop never changes."""
        if value.known is not None or value not in start:
            return value.known
        place = moving.get(value)
        if place is not None and body.outs[place] is not body.inputs[consts + place]:
            return None
        return start[value].known

    def stride(value: Value) -> int | None:
        """By how much each turn changes a counter."""
        place = moving.get(value)
        if place is None:
            return None
        counter = body.inputs[consts + place]
        for op in body.ops:
            if op.outs[0] is body.outs[place] and op.name in ("add", "sub"):
                left, right = op.ins
                if left is counter and right.known is not None:
                    return right.known if op.name == "add" else -right.known
                if right is counter and op.name == "add":
                    return left.known
        return None

    if len(test.ops) == 1 and test.ops[0].outs[0] is test.outs[0]:
        name, (left, right) = test.ops[0].name, test.ops[0].ins
        mirrored = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
        for counter, end, order in (
            (left, right, name),
            (right, left, mirrored.get(name)),
        ):
            by, last = stride(counter), fixed(end)
            first = start[counter].known if counter in start else None
            if by is None or last is None or first is None:
                continue
            if order in ("lt", "le") and by > 0:
                return max(-((first - last - (order == "le")) // by), 0)
            if order in ("gt", "ge") and by < 0:
                return max(-((last - first - (order == "ge")) // -by), 0)
    raise UncountedPrimitive(
        f"a 'while' loop{' in ' + op.part if op.part else ''} has no length that can "
        "be told before it runs: use lax.scan, or lax.fori_loop with Python integers"
    )
