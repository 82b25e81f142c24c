"""Chains whose gradient keeps states here and there alone: see `retina.recomputed`."""

from __future__ import annotations

import jax

from retina import recomputed
from retina.stage import Params, Signal, Stage, State


def in_chunks(stage: Stage, first: str = "") -> Stage:
    """A chain of which a long clip's gradient keeps states here and there alone.

    stage:  a chain of parts that do not hear the response.
    first:  the part from which on all is computed again; "": all parts.
    raises: ValueError where no part has that name, or one hears the response.

    >>> import jax.numpy as jnp
    >>> from retina.stage import chain, recurrent
    >>> leak = recurrent(
    ...     lambda p, s, x: (0.5 * s + x, 0.5 * s + x),
    ...     start=lambda params, key=None: jnp.float32(0),
    ...     about=("leak",),
    ... )
    >>> whole, state = in_chunks(chain(leak)), {"leak": jnp.float32(0)}
    >>> whole.apply({"leak": {}}, state, jnp.ones(2, jnp.float32))[1].tolist()
    [1.0, 1.5]
    """
    if stage.uses_response:
        raise ValueError("a chain that hears the response is not computed in chunks")
    names = [name for name, _ in stage.parts]
    at = names.index(first) if first else 0
    kept, again = dict(stage.parts[:at]), dict(stage.parts[at:])

    def through(parts: dict[str, Stage], params: Params, state: State, x: Signal):
        after = {}
        for n, part in parts.items():
            with jax.named_scope(n):
                after[n], x = part.apply(params[n], state[n], x)
        return after, x

    def apply(params: Params, state: State, x: Signal) -> tuple[State, Signal]:
        before, x = through(kept, params, state, x)
        after, y = recomputed.clip(
            lambda s, x: through(again, params, s, x), {n: state[n] for n in again}, x
        )
        return before | after, y

    return stage._replace(apply=apply)
