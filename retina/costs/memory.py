"""How much a step holds, and how many bytes it has to move for one bin."""

from __future__ import annotations

import dataclasses

from retina.costs.flops import TracedStep
from retina.costs.movement import VIEWS
from retina.costs.program import Op, Program, Value
from retina.costs.timing import Timing


@dataclasses.dataclass(frozen=True)
class Memory:
    """Numbers held and bytes moved.

    params, param_bytes: every leaf of the parameters, trained or not.
    state_bytes:         all that is carried from bin to bin.
    weights_read:        bytes of parameters, and of what is set up from them, that one
                         bin reads, each once; only what it looks up of a table.
    state_read, state_written: bytes of state that one bin really touches: of a ring
                         buffer, the words read and the row overwritten.
    inputs, outputs:     bytes of one input and one output.
    """

    params: int
    param_bytes: int
    state_bytes: int
    weights_read: int
    state_read: int
    state_written: int
    inputs: int
    outputs: int

    @property
    def bytes_per_bin(self) -> int:
        state = self.state_read + self.state_written
        return self.weights_read + state + self.inputs + self.outputs


def memory(step: TracedStep) -> Memory:
    """What a step holds and moves, from its shapes.

    >>> import jax.numpy as jnp
    >>> from retina.costs.flops import trace_step
    >>> from retina.stage import windowed
    >>> mean = windowed(lambda p, h: h.mean(0), 5, shape=(3,), about=("mean",))
    >>> moved = memory(trace_step(mean, {}, jnp.zeros(3)))
    >>> moved.state_bytes, moved.state_read, moved.state_written
    (64, 64, 16)
    """
    touched = _Touched(step.timing(), set(step.state))
    _follow(step.program, touched, 1)
    read = {
        root: min(root.size, sum(seen.values())) for root, seen in touched.read.items()
    }
    state = set(step.state)
    return Memory(
        params=sum(value.size for value in step.params),
        param_bytes=_bytes(step.params),
        state_bytes=_bytes(step.state),
        weights_read=sum(_of(n, v) for v, n in read.items() if v not in state),
        state_read=sum(_of(n, v) for v, n in read.items() if v in state),
        state_written=sum(
            _of(touched.written_to(before, after), before)
            for before, after in zip(step.state, step.after, strict=True)
        ),
        inputs=_bytes(step.x),
        outputs=_bytes(step.y),
    )


def _bytes(values: tuple[Value, ...]) -> int:
    return sum(value.bytes for value in values)


def _of(words: int, value: Value) -> int:
    return words * value.bytes // max(value.size, 1)


@dataclasses.dataclass
class _Touched:
    """What late operations have read of each root, and stored into each state.

    root:    for a view, the array that lies in memory and how much of it is seen.
    read:    per root, the words read through each distinct view, or by each look-up.
    written: words stored so far into the array that a value is the newest form of.
    """

    timing: Timing
    state: set[Value]
    root: dict[Value, tuple[Value, int]] = dataclasses.field(default_factory=dict)
    read: dict[Value, dict[Value, int]] = dataclasses.field(default_factory=dict)
    written: dict[Value, int] = dataclasses.field(default_factory=dict)

    def seen(self, value: Value) -> tuple[Value, int]:
        return self.root.get(value, (value, value.size))

    def in_memory(self, root: Value) -> bool:
        """True for weights and state: what was there before the bin began."""
        early = self.timing.tag(root) is not None and not root.literal
        return early or root in self.state

    def note(self, value: Value) -> None:
        root, visible = self.seen(value)
        if self.in_memory(root):
            self.read.setdefault(root, {})[value] = visible

    def note_part(self, value: Value, found: Value, words: int) -> None:
        """Of an array a part: another look-up, with another result, reads others."""
        root, _ = self.seen(value)
        if self.in_memory(root):
            self.read.setdefault(root, {})[found] = words

    def written_to(self, before: Value, after: Value) -> int:
        if after is before:
            return 0
        same_array = self.seen(after)[0] is before
        return self.written.get(after, before.size) if same_array else before.size


def _follow(program: Program, touched: _Touched, times: int) -> None:
    for op in program.ops:
        if op.name in VIEWS:
            _view(op, touched)
        elif touched.timing.of(op) is None:
            loops = op.bodies and op.name != "reduce"
            (_loop if loops else _late)(op, touched, times)
        elif all(touched.seen(value)[0].literal for value in op.ins):
            # Made of numbers that stand in the program: nothing lies in memory.
            for out in op.outs:
                touched.root[out] = (Value((), out.dtype, literal=True), 0)


def _view(op: Op, touched: _Touched) -> None:
    root, words = touched.seen(op.ins[0])
    for out in op.outs:
        touched.root[out] = (root, min(words, out.size))
        if op.ins[0] in touched.written:
            touched.written[out] = touched.written[op.ins[0]]


def _late(op: Op, touched: _Touched, times: int) -> None:
    operand = op.ins[0] if op.ins else None
    rest = op.ins[1:]
    if operand is not None and op.name in ("gather", "dynamic_slice"):
        touched.note_part(operand, op.outs[0], times * op.outs[0].size)
    elif (
        operand is not None
        and op.name.startswith(("dynamic_update_slice", "scatter"))
        and touched.seen(operand)[0] in touched.state
    ):
        update = op.ins[1] if op.name == "dynamic_update_slice" else op.ins[2]
        touched.root[op.outs[0]] = touched.seen(operand)
        before = touched.written.get(operand, 0)
        touched.written[op.outs[0]] = before + times * update.size
        if op.name not in ("dynamic_update_slice", "scatter"):
            touched.note_part(operand, op.outs[0], times * update.size)
    else:
        rest = op.ins
    for value in rest:
        touched.note(value)


def _loop(op: Op, touched: _Touched, times: int) -> None:
    turns = touched.timing.loops[op].trips if op in touched.timing.loops else 1
    if op.name == "scan":
        passed = [(op.bodies[0], op.ins)]
    elif op.name == "while":
        tests, consts = op.params["cond_nconsts"], op.params["body_nconsts"]
        start = op.ins[tests + consts :]
        passed = [
            (op.bodies[0], op.ins[:tests] + start),
            (op.bodies[1], op.ins[tests : tests + consts] + start),
        ]
    else:
        passed = [(branch, op.ins[1:]) for branch in op.bodies]
        touched.note(op.ins[0])
    for body, arguments in passed:
        for outer, inner in zip(arguments, body.inputs, strict=True):
            touched.root[inner] = touched.seen(outer)
        _follow(body, touched, times * turns)
        # What a body hands on untouched is read by whatever uses the result.
        for value in body.outs:
            touched.note(value)
