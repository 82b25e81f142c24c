"""Nodes that hear each other, as one Stage: cells, terminals and compartments alike.

Nodes stand in sections, one after the other: what is stepped once per bin before the
rest, what is stepped many times, what hears the mean over the bin after it. Between
sections signals cross once per bin; within the middle one feedback closes over delays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from retina import recomputed
from retina.circuit.delay_line import delayed, pushed, silence, through_clip
from retina.circuit.hoist import hoist
from retina.circuit.kernels import Join
from retina.parameter import Parameter
from retina.stage import Stage

Tree = Any
LOOP_S = 1.0  # to forget its start, of a loop of parts that have no memory themselves


class Link(NamedTuple):
    """What a node hears of another.

    name:    of the delay line; of the params, where `join` has some.
    source:  a node.
    join:    None where cell hears cell as it is.
    divides: the sum is divided by 1 + this.
    floor:   what divides may be below 0, and is then taken for 0.
    """

    name: str
    source: str
    join: Join | None = None
    sign: int = 1
    delay: int = 0
    divides: bool = False
    floor: bool = False


class Node(NamedTuple):
    """A stage (cells,) -> (cells,) and all that drives it.

    post, volts: a node, and from its state the potential that this one hears beside its
                 drive, as the step finds it.
    """

    name: str
    cells: int
    stage: Stage
    links: tuple[Link, ...] = ()
    stimulus: bool = False
    post: str = ""
    volts: Callable[[Any], jax.Array] | None = None


class Section(NamedTuple):
    """Nodes, each after those that it hears without delay; steps in a bin."""

    nodes: tuple[Node, ...]
    ticks: int


def network(sections: tuple[Section, ...], output: str, about: tuple) -> Stage:
    """Stage: stimulus, of any shape, to the output node's cells, its mean over the bin.

    Params and state are dicts keyed by node and link.
    """
    sections = tuple(section for section in sections if section.nodes)
    nodes = {node.name: node for section in sections for node in section.nodes}
    links = [link for node in nodes.values() for link in node.links]
    joins = {link.name: link.join for link in links if link.join is not None}
    home = {n.name: i for i, section in enumerate(sections) for n in section.nodes}
    inside = {
        link.name: home[link.source] == home[node.name]
        for node in nodes.values()
        for link in node.links
    }
    kept = {link.source for link in links if not inside[link.name]} | {output}
    loops = any(link.delay for link in links if inside[link.name])
    loops = loops or any(node.post for node in nodes.values())

    def init(key: jax.Array):
        parts: dict[str, Any] = {n: node.stage for n, node in nodes.items()} | joins
        keys = jax.random.split(key, len(parts))
        return {n: p.init(k) for (n, p), k in zip(parts.items(), keys, strict=True)}

    def start(params, key: jax.Array | None = None):
        keys = [None] * len(nodes) if key is None else jax.random.split(key, len(nodes))
        state = {
            n: node.stage.start(params[n], k)
            for (n, node), k in zip(nodes.items(), keys, strict=True)
        }
        leaves = [a.dtype for a in jax.tree.leaves(params)]
        kind = jnp.result_type(*leaves) if leaves else jnp.float32
        return state | {
            link.name: silence(link.delay, nodes[link.source].cells, kind)
            for link in links
            if link.delay
        }

    def tick(section: Section, params, ready, state, outside):
        """One step of a section; outside: node -> (added, divided by) or Nones."""
        after, heard = dict(state), {}
        for node in section.nodes:
            drive = outside[node.name]
            for link in node.links:
                if inside[link.name]:
                    if link.delay:
                        given = delayed(state[link.name], link.delay)
                    else:
                        given = heard[link.source]
                    drive = _joined(drive, link, ready, given[None], 0)
            x = _combined(drive, (node.cells,))
            if node.volts is not None:
                x = x, node.volts(state[node.post])
            with jax.named_scope(node.name):
                after[node.name], heard[node.name] = node.stage.step(
                    params[node.name], state[node.name], x
                )
        for node in section.nodes:
            for link in node.links:
                if link.delay and inside[link.name]:
                    line = state[link.name]
                    after[link.name] = pushed(line, link.delay, heard[link.source])
        return after, {n: heard[n] for n in heard if n in kept}

    def one_bin(section: Section, once, state, outside):
        if section.ticks == 1:
            return once(state, outside)

        def again(state, _):
            return once(state, outside)

        state, heard = lax.scan(again, state, None, length=section.ticks)
        per = 1 / section.ticks
        return state, jax.tree.map(lambda y: y.sum(0) * per, heard)

    def ticking(section: Section, params, ready, state, outside):
        """`tick` of these params, what hangs on them alone done once."""

        def whole(fixed, state, outside):
            params, ready = fixed
            return tick(section, params, ready, state, outside)

        return hoist(whole, (params, ready), state, outside)

    def clip(section: Section, params, ready, state, outside, bins: int):
        """All bins of a clip; outside has a leading time axis."""
        turns = any(
            n.post or any(k.delay and inside[k.name] for k in n.links)
            for n in section.nodes
        )
        if section.ticks > 1 or turns:
            first = jax.tree.map(lambda a: a[0], outside)
            once = ticking(section, params, ready, state, first)
            return recomputed.scan(
                lambda s, x: one_bin(section, once, s, x),
                state,
                outside,
                section.ticks,
            )
        after, heard = {}, {}
        for node in section.nodes:
            drive = outside[node.name]
            for link in node.links:
                if inside[link.name]:
                    drive = _joined(drive, link, ready, heard[link.source])
            x = _combined(drive, (bins, node.cells))
            after[node.name], heard[node.name] = node.stage.apply(
                params[node.name], state[node.name], x
            )
        return after, {n: heard[n] for n in heard if n in kept}

    def through(params, state, x: jax.Array, whole: bool):
        """x: (time, cells); one bin where not `whole`."""
        ready = {n: join.prepare(params[n]) for n, join in joins.items()}
        heard, after = {}, {}
        for section in sections:
            outside = {}
            for node in section.nodes:
                drive = (x if node.stimulus else None, None)
                for link in node.links:
                    if inside[link.name]:
                        continue
                    given = heard[link.source]
                    if link.delay:
                        line = state[link.name]
                        after[link.name], given = through_clip(line, link.delay, given)
                    drive = _joined(drive, link, ready, given)
                outside[node.name] = drive
            own = {n.name for n in section.nodes}
            own |= {
                k.name
                for n in section.nodes
                for k in n.links
                if k.delay and inside[k.name]
            }
            mine = {n: state[n] for n in own}
            if whole:
                mine, out = clip(section, params, ready, mine, outside, len(x))
            else:
                here = jax.tree.map(lambda a: a[0], outside)
                once = ticking(section, params, ready, mine, here)
                mine, out = one_bin(section, once, mine, here)
                out = jax.tree.map(lambda a: a[None], out)
            after |= mine
            heard |= out
        return after, heard[output]

    def step(params, state, x: jax.Array):
        state, y = through(params, state, x.reshape(1, -1), whole=False)
        return state, y[0]

    def apply(params, state, x: jax.Array):
        return through(params, state, x.reshape(x.shape[0], -1), whole=True)

    described: dict[str, dict[str, Parameter]] = {
        n: node.stage.parameters for n, node in nodes.items()
    }
    ticks = {n.name: section.ticks for section in sections for n in section.nodes}
    lags = sum(math.ceil(n.stage.lags / ticks[n.name]) for n in nodes.values())
    burn_in_s = _burn_in_s(nodes)
    return Stage(
        init=init,
        start=start,
        step=step,
        apply=apply,
        lags=lags + sum(link.delay for link in links),
        burn_in_s=max(burn_in_s, LOOP_S) if loops else burn_in_s,
        parameters=described | {n: join.parameters for n, join in joins.items()},
        about=about,
    )


def _burn_in_s(nodes: dict[str, Node]) -> float:
    """Of the longest path: who hears another forgets only after that one has."""
    until: dict[str, float] = {}
    for name, node in nodes.items():
        earlier = [until[k.source] for k in node.links if k.source in until]
        until[name] = max(earlier, default=0.0) + node.stage.burn_in_s
    return max(until.values())


def _joined(drive, link: Link, ready, given, axis: int | None = None):
    """The drive with what one link adds to it; given: (time, source cells).

    axis: 0 takes the only bin out again.
    """
    y = given if link.join is None else link.join.weigh(ready[link.name], given)
    y = y if axis is None else y[0]
    added, divided = drive
    if link.divides:
        y = jnp.maximum(y, 0) if link.floor else y
        return added, y if divided is None else divided + y
    if added is None:
        return y if link.sign > 0 else -y, divided
    return added + y if link.sign > 0 else added - y, divided


def _combined(drive, shape: tuple[int, ...]):
    added, divided = drive
    if added is None:
        return jnp.zeros(shape, jnp.float32)
    return added if divided is None else added / (1 + divided)


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    """Two populations that hear each other, the second two steps late."""
    from retina.circuit.cascade import cascade
    from retina.circuit.circuit import circuit
    from retina.circuit.declaration import Circuit, Projection
    from retina.circuit.kernels import dense
    from retina.circuit.population import Population

    def leaky(cells: int, dt_s: float) -> Stage:
        return cascade(cells, dt_s, stages=1)

    one, other = (Population(n, (2,), leaky, safe_s=0.02) for n in ("one", "other"))
    loop = (
        Projection("one", "other", dense()),
        Projection("other", "one", dense(), sign=-1, delay=2),
    )
    return [(circuit(Circuit((one, other), loop), 0.05), (2,))]
