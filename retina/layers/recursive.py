"""Temporal filters that remember a few numbers, no window: leaky integrators in a row.

Each integrator holds its input within a bin, tau dx/dt = u - x, which is exact as

    x_k[t] = a x_k[t-1] + x_{k-1}[t-1],   a = exp(-bin_s / tau),   x_0[t-1] = u[t]

up to a gain that the read-out takes in: two FLOPs per integrator and bin, however long
the filter. With n integrators of one tau the read-outs span the n discrete Laguerre
functions of pole a. These are orthonormal, so weights are stored for them; with a near
0 they are the last n bins. Source: Marmarelis 1993, Ann Biomed Eng 21:573, doi
10.1007/BF02368639 (kernels of neural systems from these functions).
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.parameter import Parameter
from retina.stage import Stage, recurrent

# Filters of ganglion cells end within about half a second; four integrators of 0.2 s
# reach three times as far. Any tau is stable, since a < 1; a short one is a delay.
TAU = Parameter(0.04, unit="s", low=0.001, high=0.2)
BLOCK = 32  # bins that the clip view takes in one product


def recursive(cells: int, rank: int, count: int, bin_s: float) -> Stage:
    """One temporal filter per cell and rank, summed: stage (cell, rank) -> (cell,).

    count:   integrators per filter; they share a time constant.
    returns: stage with the role of `receptive_field.temporal`, and no window.
    """
    scale = np.float32(1 / np.sqrt(count * rank))

    def init(key: jax.Array):
        what, when = jax.random.split(key)
        drawn = jax.random.normal(what, (count, cells, rank), jnp.float32)
        return {"weights": drawn * scale, "tau_s": _drawn_tau(when, (cells, rank))}

    def read(params) -> jax.Array:
        """Weights of the integrators as they are, (count, cell, rank)."""
        mix = laguerre_from_cascade(_pole(params, bin_s), count)
        return jnp.einsum("jknr,jnr->knr", mix, params["weights"])

    def step(params, state, x: jax.Array):
        state = _cascade(_pole(params, bin_s), state, x)
        return state, jnp.einsum("knr,knr->n", read(params), state)

    def apply(params, state, x: jax.Array):
        a = _pole(params, bin_s).reshape(-1)
        after, y = _over_clip(
            a,
            read(params).reshape(count, -1),
            state.reshape(count, -1),
            x.reshape(x.shape[0], -1),
        )
        return after.reshape(state.shape), y.reshape(-1, cells, rank).sum(-1)

    return recurrent(
        step,
        start=lambda params, key=None: jnp.zeros((count, cells, rank), jnp.float32),
        init=init,
        parameters={
            "weights": Parameter(axes=("course", "cell", "rank")),
            "tau_s": dataclasses.replace(TAU, axes=("cell", "rank")),
        },
        burn_in_s=_forgotten_s(count),
        about=("recursive", cells, rank, count, bin_s),
    )._replace(apply=apply)


def recursive_basis(shape: tuple[int, ...], count: int, bin_s: float) -> Stage:
    """Each input's past seen through the same Laguerre functions.

    count:   functions; one trained time constant belongs to them all.
    returns: stage (*shape) -> (*shape, count), of unit variance under white noise.

    The functions themselves come from a lattice of the integrators, three FLOPs each:
    what follows may mix them freely, so their scale matters and their order does not.
    """

    def step(params, state, x: jax.Array):
        state = _lattice(_pole(params, bin_s).reshape(1), state, x.reshape(-1))
        return state, state.T.reshape(*shape, count)

    size = math.prod(shape)
    return recurrent(
        step,
        start=lambda params, key=None: jnp.zeros((count, size), jnp.float32),
        init=lambda key: {"tau_s": _drawn_tau(key, ())},
        parameters={"tau_s": TAU},
        burn_in_s=_forgotten_s(count),
        about=("recursive_basis", shape, count, bin_s),
    )


def recursive_fir(shape: tuple[int, ...], count: int, bin_s: float) -> Stage:
    """Each channel filtered in time by its own recursive filter, as `fir` by a window.

    shape:   of one input; the last axis is the channel, earlier axes share its filter.
    count:   integrators per place and channel; those of a channel share one trained
             time constant.
    returns: stage (*shape) -> (*shape).
    """
    channels = shape[-1]
    scale = np.float32(1 / np.sqrt(count))  # unit spread: see `conv2d`

    def init(key: jax.Array):
        what, when = jax.random.split(key)
        drawn = jax.random.normal(what, (count, channels), jnp.float32)
        return {"weights": drawn, "tau_s": _drawn_tau(when, (channels,))}

    def read(params) -> jax.Array:
        """Weights of the integrators as they are, (count, channel)."""
        mix = laguerre_from_cascade(_pole(params, bin_s), count)
        return jnp.einsum("jkc,jc->kc", mix, params["weights"] * scale)

    def step(params, state, x: jax.Array):
        a = _pole(params, bin_s).reshape((1,) * (len(shape) - 1) + (channels,))
        state = _cascade(a, state, x)
        return state, jnp.einsum("k...c,kc->...c", state, read(params))

    over_places = jax.vmap(_over_clip, (None, None, 0, 0), (0, 1))

    def apply(params, state, x: jax.Array):
        states = jnp.moveaxis(state.reshape(count, -1, channels), 1, 0)
        places = jnp.moveaxis(x.reshape(x.shape[0], -1, channels), 1, 0)
        pole, weights = _pole(params, bin_s), read(params)
        after, y = over_places(pole, weights, states, places)
        return jnp.moveaxis(after, 0, 1).reshape(state.shape), y.reshape(x.shape)

    return recurrent(
        step,
        start=lambda params, key=None: jnp.zeros((count, *shape), jnp.float32),
        init=init,
        parameters={
            "weights": Parameter(axes=("course", "channel")),
            "tau_s": dataclasses.replace(TAU, axes=("channel",)),
        },
        burn_in_s=_forgotten_s(count),
        about=("recursive_fir", shape, count, bin_s),
    )._replace(apply=apply)


def laguerre(taps: int, count: int, a: float) -> np.ndarray:
    """(taps, count) float64: the functions of pole a at lags 0, 1, ...

    >>> laguerre(4, 2, 0.0).round(3).T.tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    """
    functions = np.zeros((taps, count))
    functions[:, 0] = np.sqrt(1 - a**2) * a ** np.arange(taps)
    for k in range(1, count):
        late = before = 0.0
        for t in range(taps):
            late = before + a * (late - functions[t, k - 1])
            functions[t, k], before = late, functions[t, k - 1]
    return functions


def best_tau(target: np.ndarray, count: int, bin_s: float) -> tuple[float, np.ndarray]:
    """The time constant whose Laguerre functions hold most of some time courses.

    target:  (taps, m), lag 0 first.
    returns: tau in seconds, one of 60 within the bounds, and (taps, count) functions.
    """
    best, found = -1.0, (0.0, np.zeros((0, 0)))
    # Poles near 0 or 1 hold nothing that a clip's few lags could show.
    for tau in np.geomspace(1.5 * TAU.low, 0.9 * TAU.high, 60):
        functions = laguerre(len(target), count, math.exp(-bin_s / tau))
        held = float(np.square(functions.T @ target).sum())
        if held > best:
            best, found = held, (float(tau), functions)
    return found


def laguerre_from_cascade(a: jax.Array, count: int) -> jax.Array:
    """(count, count, *a): function j as a sum of integrators k.

    With q = z^-1 / (1 - a z^-1) the integrators are q^k / (1 - a z^-1), and the
    functions sqrt(1 - a^2) ((1 - a^2) q - a)^j / (1 - a z^-1).
    """
    none = jnp.zeros_like(a)
    rest = 1 - a * a
    rows = []
    for j in range(count):
        row = [math.comb(j, k) * rest**k * (-a) ** (j - k) for k in range(j + 1)]
        rows.append(jnp.stack(row + [none] * (count - j - 1)))
    return jnp.stack(rows) * jnp.sqrt(rest)[None, None]


def _drawn_tau(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    spread = jax.random.uniform(key, shape, jnp.float32, 0.8, 1.25)
    return spread * np.float32(TAU.value or 0)


def _pole(params, bin_s: float) -> jax.Array:
    return jnp.exp(-bin_s / params["tau_s"])


def _forgotten_s(count: int) -> float:
    """Until a ten-thousandth of the last function's energy is left, at the longest tau.

    The line lies just above what the integral of the squared function gives.
    """
    return 2.5 * (count + 1) * TAU.high


def _cascade(a: jax.Array, state: jax.Array, x: jax.Array) -> jax.Array:
    """(count, ...), (...) -> (count, ...): each hears the one before a bin later."""
    return a[None] * state + jnp.concatenate([x[None], state[:-1]])


def _lattice(a: jax.Array, state: jax.Array, x: jax.Array) -> jax.Array:
    """The same span, orthonormal: sections after the first pass all frequencies."""
    new = [a * state[0] + jnp.sqrt(1 - a * a) * x]
    for k in range(1, state.shape[0]):
        new.append(state[k - 1] + a * (state[k] - new[k - 1]))
    return jnp.stack(new)


def _over_clip(
    a: jax.Array, read: jax.Array, state: jax.Array, x: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Integrators and their read-out over a clip, a block of bins in one product.

    a: (channel,). read, state: (count, channel). x: (time, channel).
    returns: state after the clip, (time, channel).

    Its gradient takes a quarter of the time that the scanned step's takes; over many
    pixels, as in `recursive_basis`, the scan is as fast.
    """
    time, (count, channels) = x.shape[0], state.shape
    block = min(BLOCK, time)
    blocks = -(-time // block)
    # What an impulse and what each unit of state leave behind, bin by bin.
    unit = jnp.eye(count, 1 + count, 1, dtype=x.dtype)[:, None]
    unit = jnp.broadcast_to(unit, (count, channels, 1 + count))
    impulse = jnp.zeros((channels, 1 + count), x.dtype).at[:, 0].set(1)
    silence = jnp.zeros_like(impulse)

    def wait(left, _):
        return _cascade(a[:, None], left, silence), left

    first = _cascade(a[:, None], unit, impulse)
    _, left = lax.scan(wait, first, None, length=block)
    push, carry = left[..., 0], left[..., 1:]  # (bin, count, channel[, count])
    heard = jnp.einsum("kc,tkc->tc", read, push)
    kept = jnp.einsum("kc,tkcj->tcj", read, carry)

    x = jnp.pad(x, ((0, blocks * block - time), (0, 0)))
    x = x.reshape(blocks, block, channels)
    lag = np.arange(block)[:, None] - np.arange(block)
    nothing = jnp.zeros_like(heard[:1])
    banded = jnp.concatenate([heard, nothing])[np.where(lag < 0, block, lag)]
    ends = jnp.einsum("skc,bsc->bkc", push[::-1], x)

    def hop(state, end):
        return jnp.einsum("kcj,jc->kc", carry[-1], state) + end, state

    _, begins = lax.scan(hop, state, ends)
    y = jnp.einsum("tsc,bsc->btc", banded, x)
    y = y + jnp.einsum("tcj,bjc->btc", kept, begins)
    rest = time - (blocks - 1) * block  # the last block may be padded
    after = jnp.einsum("kcj,jc->kc", carry[rest - 1], begins[-1])
    after = after + jnp.einsum("skc,sc->kc", push[:rest][::-1], x[-1, :rest])
    return after, y.reshape(blocks * block, channels)[:time]


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [
        (recursive(3, 2, 4, 0.03), (3, 2)),
        (recursive_basis((2, 2), 3, 0.03), (2, 2)),
        (recursive_fir((2, 3), 4, 0.03), (2, 3)),
    ]
