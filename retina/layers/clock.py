"""A slower clock: what needs no memory runs every few bins, and its result is held."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from retina.layers.linear import linear
from retina.stage import Params, Signal, Stage, State, chain, recurrent, windowed


def every_few_bins(
    head: Stage, tail: Stage, period: int, said: jax.ShapeDtypeStruct
) -> Stage:
    """A stage whose end looks at what comes before it in one bin of `period`.

    head:    a chain that keeps track of every input; what it would say to an end that
             does not look is not computed either.
    tail:    a chain without memory, of other names.
    period:  bins; the first of each runs, and a cold start begins with a first one.
    said:    shape and dtype of the output, which is held until the next run.
    returns: the stage; what it says is up to period - 1 bins older than what `head`
             would say.

    >>> mix = linear(1, 1, bias=False)
    >>> slow = every_few_bins(chain(_leak(0.0)), chain(mix), 2, _said(1))
    >>> params = {"leak": {}, "linear": {"kernel": jnp.full((1, 1), 0.5**0.5)}}
    >>> x = jnp.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
    >>> slow.apply(params, slow.start(params), x)[1][:, 0].round().astype(int).tolist()
    [1, 1, 3, 3, 5]
    """

    def init(key: jax.Array) -> Params:
        first, second = jax.random.split(key)
        return head.init(first) | tail.init(second)

    def start(params: Params, key: jax.Array | None = None) -> State:
        clock = {"bin": jnp.int32(0), "held": jnp.zeros(said.shape, said.dtype)}
        return {"head": head.start(params, key), "clock": clock}

    def moved(state: State, before: State, held: jax.Array) -> tuple[State, Signal]:
        at = state["clock"]["bin"] + 1
        at = jnp.where(at >= period, 0, at)
        return {"head": before, "clock": {"bin": at, "held": held}}, held

    def run(params: Params, state: State, x: Signal) -> tuple[State, Signal]:
        before, x = head.step(params, state["head"], x)
        return moved(state, before, tail.step(params, tail.start(params), x)[1])

    def rest(params: Params, state: State, x: Signal) -> tuple[State, Signal]:
        before, _ = head.step(params, state["head"], x)
        return moved(state, before, state["clock"]["held"])

    def step(params: Params, state: State, x: Signal) -> tuple[State, Signal]:
        return lax.cond(state["clock"]["bin"] == 0, run, rest, params, state, x)

    def apply(params: Params, state: State, x: Signal) -> tuple[State, Signal]:
        bins, begun = x.shape[0], state["clock"]["bin"]
        before, x = head.apply(params, state["head"], x)
        first = jnp.where(begun == 0, 0, period - begun)
        # As many runs as there may be, wherever the first; those too late say nothing.
        runs = first + period * jnp.arange(-(-bins // period), dtype=jnp.int32)
        shown = x[jnp.minimum(runs, bins - 1)]
        _, fresh = tail.apply(params, tail.start(params), shown)
        said = jnp.concatenate([state["clock"]["held"][None], fresh])
        since = jnp.arange(bins, dtype=jnp.int32) - first
        held = said[jnp.where(since < 0, 0, since // period + 1)]
        clock = {"bin": (begun + bins) % period, "held": held[-1]}
        return {"head": before, "clock": clock}, held

    return Stage(
        init=init,
        start=start,
        step=step,
        apply=apply,
        lags=head.lags + period - 1,
        burn_in_s=head.burn_in_s,
        parameters={**head.parameters, **tail.parameters},
        about=("two_clocks", period, head.about, tail.about),
        steps=((run, 1), (rest, period - 1)),
    )


def _leak(kept: float) -> Stage:
    def step(params: Params, state: State, x: Signal) -> tuple[State, Signal]:
        state = kept * state + x
        return state, state

    return recurrent(
        step,
        start=lambda params, key=None: jnp.zeros(1),
        about=("leak", kept),
        burn_in_s=1.0,
    )


def _said(size: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((size,), jnp.float32)


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    mean = windowed(lambda params, past: past.mean(0), 4, shape=(1,), about=("mean4",))
    tail = chain(linear(1, 2))
    return [
        (every_few_bins(chain(head), tail, period, _said(2)), (1,))
        for head in (_leak(0.5), mean)
        for period in (1, 2, 3)
    ]
