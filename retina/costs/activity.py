"""What a step's products really met: each run bin by bin and looked at for zeros.

The step is traced once, dead code removed as where it is counted, and run as it is,
with a tally beside every product of a value that is new with the bin; of a branch, in
the bins that take it. What cannot be looked into (a loop of unknown length) is left
out, and so counts as full wherever these tallies are taken off.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.interpreters import partial_eval

from retina.clocks import period
from retina.costs.movement import CARRIED
from retina.costs.product import (
    LATE,
    PRODUCTS,
    QUANTAL,
    SPIKE,
    Product,
    arrivals,
    declared,
    tally,
)
from retina.costs.program import CALLS, scan_sizes
from retina.quanta import QUANTA
from retina.stage import Model, Tree
from retina.types import Clip


@dataclasses.dataclass(frozen=True)
class Activity:
    """What a step met on `bins` bins.

    products: in the order of the program.
    quanta:   vesicles released in all those bins, in the mean, by all that declare it.
    """

    products: list[Product]
    bins: int
    quanta: float


def activity(
    model: Model, params: Tree, clips: Sequence[Clip], *, spikes: bool = False
) -> Activity:
    """Every product of the streaming step on the scored bins of some clips.

    Where bins differ, of as many scored bins of each clip as make whole periods.

    params: numbers, not shapes.
    clips:  a model with history hears the recorded counts of the first trial.
    spikes: the counts that it hears are declared to be 0 and 1.
    """
    stage = model.stage
    known: list[tuple[bool, bool, int]] = []
    held = _held(model, params, clips, spikes)

    @jax.jit
    def run(params, stimulus, heard):
        def step(state, x_t):
            seen = _Seen()
            state, _ = _step(stage, params, state, x_t, held, spikes, seen)
            known[:] = seen.known
            return state, seen.stacked()

        signal = (stimulus, heard) if stage.uses_response else stimulus
        return lax.scan(step, stage.start(params), signal)[1]

    bins, total = 0, np.zeros((0, 5), np.int64)
    arrived, quanta = np.zeros(0), 0.0
    for clip in clips:
        heard = np.zeros((len(clip.stimulus), model.spec.cells), np.float32)
        heard[1:] = clip.response[0, :-1]
        found = run(params, jnp.asarray(clip.stimulus), jnp.asarray(heard))
        rows = len(clip.stimulus) - clip.skip
        rows = rows // period(stage) * period(stage) or rows
        scored = slice(clip.skip, clip.skip + rows)
        told, events, released = (np.asarray(a)[scored] for a in found)
        told = told.astype(np.int64)
        bins += len(told)
        quanta += float(released.sum(dtype=np.float64))
        reached = events.sum(0, dtype=np.float64)
        arrived = reached if not len(arrived) else arrived + reached
        each = told.sum(0)
        # Weights do not change: they are told once, in the bins that meet them.
        each[:, 0] = told[:, :, 0].max(0)
        if len(total):
            each[:, 1:] += total[:, 1:]
            each[:, 0] = np.maximum(each[:, 0], total[:, 0])
        total = each
    products = [
        Product(
            spiking,
            weights,
            *map(int, row),
            quantal=quantal,
            arrivals=float(reached),
        )
        for (spiking, quantal, weights), row, reached in zip(
            known, total, arrived, strict=True
        )
    ]
    return Activity(products, bins, quanta)


def _input_flags(hears: bool, spikes: bool) -> list[int]:
    return [LATE, LATE | (SPIKE if spikes else 0)] if hears else [LATE]


def _held(model: Model, params: Tree, clips: Sequence[Clip], spikes: bool) -> list[int]:
    """What each array of the state was declared to be: spikes, where it holds those.

    That is where it starts with 0 and 1 alone, and nothing but spikes ever comes in: a
    buffer of the counts that were heard.
    """
    stage, state = model.stage, model.stage.start(params)
    leaves = jax.tree.leaves(state)
    if not (spikes and stage.uses_response and clips):
        return [LATE] * len(leaves)
    x_t = clips[0].stimulus[0], np.zeros(model.spec.cells, np.float32)
    flags = [LATE | (SPIKE if _only_0_and_1(leaf) else 0) for leaf in leaves]
    while True:
        told: list[int] = []

        def step(params, state, x_t, flags=flags, told=told):
            after, marks = _step(stage, params, state, x_t, flags, spikes, _Seen())
            told[:] = marks
            return after

        jax.eval_shape(step, params, state, x_t)
        kept = [
            flag & (LATE | mark & SPIKE) for flag, mark in zip(flags, told, strict=True)
        ]
        if kept == flags:
            return flags
        flags = kept


def _only_0_and_1(leaf: jax.Array) -> bool:
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        return False
    return bool(jnp.all((leaf == 0) | (leaf == 1)))


def _step(
    stage: Any,
    params: Tree,
    state: Tree,
    x_t: Any,
    held: list[int],
    spikes: bool,
    seen: _Seen,
) -> tuple[Tree, list[int]]:
    """The state after one bin, and what each of its arrays then is."""
    flags = [
        *(0 for _ in jax.tree.leaves(params)),
        *held,
        *_input_flags(stage.uses_response, spikes),
    ]
    closed, out = jax.make_jaxpr(stage.step, return_shape=True)(params, state, x_t)
    every = [True] * len(closed.jaxpr.outvars)
    live, _ = partial_eval.dce_jaxpr(closed.jaxpr, every, instantiate=True)
    given = jax.tree.leaves((params, state, x_t))
    outs, marks = _run(live, closed.consts, given, flags, seen)
    after, _ = jax.tree.unflatten(jax.tree.structure(out), outs)
    return after, marks[: len(held)]


@dataclasses.dataclass
class _Seen:
    """Tallies as they are met.

    known: (spiking, quantal, weights) of each product; tallies: the five numbers of
    `Product`; arrivals: the last of them; released: quanta where they are declared.
    """

    known: list[tuple[bool, bool, int]] = dataclasses.field(default_factory=list)
    tallies: list[jax.Array] = dataclasses.field(default_factory=list)
    arrivals: list[jax.Array] = dataclasses.field(default_factory=list)
    released: list[jax.Array] = dataclasses.field(default_factory=list)

    def stacked(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        none = jnp.zeros((0, 5), jnp.int32), jnp.zeros(0, jnp.float32)
        return (
            jnp.stack(self.tallies) if self.tallies else none[0],
            jnp.stack(self.arrivals) if self.arrivals else none[1],
            sum(self.released, jnp.float32(0)),
        )


def _run(
    jaxpr: Any, consts: Sequence[Any], given: Sequence[Any], flags: list[int], seen
) -> tuple[list[Any], list[int]]:
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, given, strict=True))
    marks: dict[Any, int] = dict(zip(jaxpr.invars, flags, strict=True))

    def read(atom: Any) -> tuple[Any, int]:
        return (atom.val, 0) if hasattr(atom, "val") else (values[atom], mark(atom))

    def mark(atom: Any) -> int:
        return 0 if hasattr(atom, "val") else marks.get(atom, 0)

    for eqn in jaxpr.eqns:
        ins, ours = [read(a)[0] for a in eqn.invars], [mark(a) for a in eqn.invars]
        name, late = eqn.primitive.name, max((m & LATE for m in ours), default=0)
        body = next((eqn.params[c] for c in _body_names(name) if c in eqn.params), None)
        if body is not None:
            inner = getattr(body, "jaxpr", body)
            outs, after = _run(inner, getattr(body, "consts", ()), ins, ours, seen)
        elif name == "scan" and late:
            outs, after = _scan(eqn, ins, ours, seen)
        elif name == "cond" and late:
            outs, after = _cond(eqn, ins, ours, seen)
        else:
            found = eqn.primitive.bind(*ins, **eqn.params)
            outs = list(found) if eqn.primitive.multiple_results else [found]
            if name in PRODUCTS and late:
                seen.known.append(declared(ins, ours))
                seen.tallies.append(tally(eqn, ins, ours))
                seen.arrivals.append(arrivals(eqn, ins, ours))
            kept = _carried(name, ours)
            if name == "name" and eqn.params["name"] == QUANTA:
                seen.released.append(jnp.sum(outs[0]))
                kept = QUANTAL
            after = [late | kept] * len(outs)
        values.update(zip(eqn.outvars, outs, strict=True))
        marks.update(zip(eqn.outvars, after, strict=True))
    told = [read(atom) for atom in jaxpr.outvars]
    return [value for value, _ in told], [flag for _, flag in told]


def _carried(name: str, marks: list[int]) -> int:
    """What is only moved about, and with its like, stays what it was declared to be."""
    if name in ("gather", "dynamic_slice"):
        marks = marks[:1]  # the others say where
    elif name == "dynamic_update_slice":
        marks = marks[:2]
    elif name not in CARRIED:
        return 0
    return functools.reduce(operator.and_, marks, SPIKE | QUANTAL)


def _body_names(name: str) -> tuple[str, ...]:
    return (CALLS[name], "call_jaxpr") if name in CALLS else ()


def _scan(eqn: Any, ins: list, flags: list[int], seen: _Seen):
    given = eqn.params
    body = given["jaxpr"]
    consts, carry = scan_sizes(given)
    # A carry is what changes from turn to turn, so it never is a weight.
    inner = [*flags[:consts], *[LATE] * carry, *flags[consts + carry :]]
    held: dict[str, Any] = {}

    def turn(state, x):
        own = _Seen()
        outs, after = _run(
            body.jaxpr, body.consts, [*ins[:consts], *state, *x], inner, own
        )
        held.update(known=own.known, after=after)
        return outs[:carry], (outs[carry:], own.stacked())

    state, (outs, (tallies, arrivals, released)) = lax.scan(
        turn,
        ins[consts : consts + carry],
        ins[consts + carry :],
        length=given["length"],
        reverse=given["reverse"],
    )
    summed = tallies.sum(0, dtype=jnp.int32)
    # Weights are the same in every turn that meets them, or as many.
    summed = summed.at[:, 0].set(tallies[..., 0].max(0, initial=0))
    seen.known += held["known"]
    seen.tallies += list(summed)
    seen.arrivals += list(arrivals.sum(0))
    seen.released.append(released.sum())
    return [*state, *outs], [flag & LATE for flag in held["after"]]


def _cond(eqn: Any, ins: list, flags: list[int], seen: _Seen):
    """The branch that is taken is tallied; the products of the others met nothing."""
    index, *given = ins
    made: list[tuple[list, list[int]]] = []

    def branch(body: Any, place: int | None = None):
        def run(*given):
            own = _Seen()
            outs, after = _run(body.jaxpr, body.consts, given, flags[1:], own)
            if place is None:
                made.append((own.known, after))
                return outs, own.stacked()
            known = [len(known) for known, _ in made]
            around = sum(known[:place]), sum(known[place + 1 :])
            tallies, arrivals, released = own.stacked()
            return outs, (
                jnp.pad(tallies, (around, (0, 0))),
                jnp.pad(arrivals, (around,)),
                released,
            )

        return run

    bodies = eqn.params["branches"]
    for body in bodies:  # what there is to tally must be known before any is
        jax.eval_shape(branch(body), *given)
    outs, (tallies, arrivals, released) = lax.switch(
        index, [branch(body, place) for place, body in enumerate(bodies)], *given
    )
    seen.known += [one for known, _ in made for one in known]
    seen.tallies += list(tallies)
    seen.arrivals += list(arrivals)
    seen.released.append(released)
    chosen = flags[0] & LATE
    after = [
        chosen
        | max(flag & LATE for flag in each)
        | functools.reduce(operator.and_, each) & (SPIKE | QUANTAL)
        for each in zip(*(after for _, after in made), strict=True)
    ]
    return outs, after
