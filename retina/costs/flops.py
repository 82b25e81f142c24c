"""Count what a JAX function, or one streaming step of a model, does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from retina.costs.counts import Counts
from retina.costs.program import Program, Value, trace
from retina.costs.timing import Timing, timing
from retina.costs.walk import Work, walk
from retina.errors import ShapeMismatch
from retina.stage import Model, Stage

Tree = Any


def count(fn: Callable[..., Any], *args: Any, spikes: tuple[int, ...] = ()) -> Counts:
    """Exact counts of any JAX function: nothing is run, loops are multiplied out.

    fn:      a JAX function; dead code is not counted, common code is counted twice.
    args:    arrays, or trees of arrays or `jax.ShapeDtypeStruct`.
    spikes:  positions of the arguments declared to hold only 0 and 1: products with
             them are accumulates (`acs`), not multiply-adds.
    raises:  UncountedPrimitive for an operation or loop without an exact cost.

    >>> x, w = jax.ShapeDtypeStruct((64, 128), "f4"), jnp.zeros((128, 256))
    >>> count(jnp.matmul, x, w).flops
    4194304
    """
    program = trace(fn, *args)
    leaves = [jax.tree.leaves(arg) for arg in args]
    inputs = iter(program.inputs)
    by_argument = [[next(inputs) for _ in leaf] for leaf in leaves]
    declared = [value for place in spikes for value in by_argument[place]]
    return walk(program, None, declared).step


def depth(fn: Callable[..., Any], *args: Any) -> int:
    """Primitives on the longest path through a function: what cannot run at once.

    >>> depth(lambda x: jnp.tanh(x * 2.0) + x, jnp.float32(0))
    3
    """
    return walk(trace(fn, *args), None).depth


@dataclasses.dataclass(frozen=True, eq=False)
class TracedStep:
    """One streaming step as a program; its inputs and results by what they are.

    params, state, x:  the inputs, leaf by leaf.
    after, y:          the results.
    """

    program: Program
    params: tuple[Value, ...]
    state: tuple[Value, ...]
    x: tuple[Value, ...]
    after: tuple[Value, ...]
    y: tuple[Value, ...]

    def timing(self) -> Timing:
        return timing(self.program, (*self.state, *self.x))

    def work(self) -> Work:
        return walk(self.program, (*self.state, *self.x))


def trace_step(
    stage: Stage | Model, params: Tree, x: Tree | None = None, *, dtype: Any = None
) -> TracedStep:
    """Trace `step` on shapes alone.

    stage:  a Model, whose input is known from its spec; or a Stage, with `x`.
    params: its parameters, or their shapes.
    x:      one input, or its shape: for a Stage that uses the response, a pair.
    dtype:  of the stimulus as it is stored; float32 unless told.
    """
    if isinstance(stage, Model):
        if x is None:
            x = _input(stage, dtype)
        stage = stage.stage
    if x is None:
        raise ShapeMismatch(
            f"the stage {stage.name!r} does not say what one input looks like: give "
            "x=jax.ShapeDtypeStruct(shape, dtype)"
        )
    shapes = jax.tree.map(_shape, params)
    state = jax.eval_shape(lambda p: stage.start(p), shapes)
    x = jax.tree.map(_shape, x)
    program = trace(stage.step, shapes, state, x, part=stage.name)
    inputs, outs = iter(program.inputs), program.outs
    taken = [
        tuple(next(inputs) for _ in jax.tree.leaves(tree))
        for tree in (shapes, state, x)
    ]
    kept = len(taken[1])
    return TracedStep(
        program,
        params=taken[0],
        state=taken[1],
        x=taken[2],
        after=tuple(outs[:kept]),
        y=tuple(outs[kept:]),
    )


def _input(model: Model, dtype: Any) -> Tree:
    stored = jax.dtypes.canonicalize_dtype(jnp.float32 if dtype is None else dtype)
    frame = jax.ShapeDtypeStruct(model.spec.frame, stored)
    if not model.stage.uses_response:
        return frame
    return frame, jax.ShapeDtypeStruct((model.spec.cells,), jnp.float32)


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf
    leaf = jnp.asarray(leaf)
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def count_step(
    stage: Stage | Model, params: Tree, x: Tree | None = None, *, dtype: Any = None
) -> tuple[Counts, Counts]:
    """What one bin costs, and what is done once before the first bin.

    stage, params, x, dtype: as for `trace_step`.
    returns: (setup, step). Whatever depends on parameters alone, inside a loop or not,
             is setup: a filter put together from its basis, exp of a log rate.
    raises:  UncountedPrimitive.

    >>> from retina.stage import memoryless
    >>> gain = memoryless(lambda p, x: jnp.exp(p["log_gain"]) * x, about=("gain",))
    >>> setup, step = count_step(gain, {"log_gain": jnp.zeros(())}, jnp.zeros(3))
    >>> setup.transcendentals, step.multiplies
    (1, 3)
    """
    work = trace_step(stage, params, x, dtype=dtype).work()
    return work.setup, work.step
