"""Stage: a causal map from signal to signal, as one streaming step and as a fast clip.

What one bin costs is counted on `step`; what is fitted runs `apply`; the two agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from retina import recomputed
from retina.recipe import Recipe
from retina.types import Clip, Spec

Tree = Any
Params = Any
State = Any
Signal = Any


class Stage(NamedTuple):
    """Pure functions over plain nested dicts of arrays.

    init:       key -> params.
    start:      (params, key=None) -> state, a cold start: no history.
    step:       (params, state, x_t) -> (state, y_t), one bin.
    apply:      (params, state, x) -> (state, y), a clip (time, *in) -> (time, *out).
    lags:       bins of history that a cold start lacks.
    burn_in_s:  seconds until the slowest state has forgotten its start.
    parameters: tree of Parameter, parallel to params.
    about:      hashable name and settings; ``about[0]`` is the name.
    uses_response: True if the input is a pair (x, counts of the previous bin).
    parts:      of a chain: (name, stage) in order, params and state keyed by the name.
    per_frame:  names of the parts that run once per frame: see `retina.clocks`.
    valid:      (params, x (clip, lags + time, *in)) -> (clip, time, *out), what `apply`
                gives after `lags` bins, and no more: a third view, for fitting, which
                computes no output that lacks history. None where a stage remembers
                more than its lags. Of one that hears the response, see `chain`.
    steps:      ((step, bins), ...), what the bins of a period take in turn where they
                are not alike; () where each takes all of `step`. The state then has a
                clock, {"bin": of the period, ...}.
    """

    init: Callable[..., Params]
    start: Callable[..., State]
    step: Callable[[Params, State, Signal], tuple[State, Signal]]
    apply: Callable[[Params, State, Signal], tuple[State, Signal]]
    lags: int
    burn_in_s: float
    parameters: Tree
    about: tuple
    uses_response: bool = False
    parts: tuple[tuple[str, Any], ...] = ()
    per_frame: tuple[str, ...] = ()
    valid: Callable[[Params, Signal], Signal] | None = None
    steps: tuple[tuple[Callable[..., tuple[State, Signal]], int], ...] = ()

    @property
    def name(self) -> str:
        return str(self.about[0])

    def seen(self, *, step: Callable, apply: Callable, **changes: Any) -> Stage:
        """The stage with other views: no third one is left that shows the old."""
        views = {"step": step, "apply": apply, "valid": None, "steps": ()}
        return self._replace(**views | changes)


def _no_parameters(key: jax.Array) -> Params:
    return {}


def _of_clips(
    of_one: Callable[[Params, jax.Array], jax.Array],
) -> Callable[[Params, jax.Array], jax.Array]:
    """The clips of `Stage.valid` side by side."""

    def valid(params: Params, x: jax.Array) -> jax.Array:
        if x.shape[0] == 1:  # no batch axis: fast paths of single products stay open
            return of_one(params, x[0])[None]
        return jax.vmap(of_one, in_axes=(None, 0))(params, x)

    return valid


def memoryless(
    function: Callable[[Params, jax.Array], jax.Array],
    *,
    about: tuple,
    init: Callable[..., Params] = _no_parameters,
    parameters: Tree | None = None,
    batch: Callable[[Params, jax.Array], jax.Array] | None = None,
) -> Stage:
    """A stage without state: each bin's output depends on that bin alone.

    function: (params, x_t) -> y_t.
    batch:    (params, x) -> y over a clip; by default `function` mapped over time.

    >>> double = memoryless(lambda p, x: 2 * x, about=("double",))
    >>> double.step({}, (), jnp.float32(3))[1].item()
    6.0
    """
    over_time = batch or jax.vmap(function, in_axes=(None, 0))
    return Stage(
        init=init,
        start=lambda params, key=None: (),
        step=lambda params, state, x_t: (state, function(params, x_t)),
        apply=lambda params, state, x: (state, over_time(params, x)),
        lags=0,
        burn_in_s=0.0,
        parameters={} if parameters is None else parameters,
        about=about,
        valid=_of_clips(over_time),
    )


def recurrent(
    step: Callable[[Params, State, Signal], tuple[State, Signal]],
    *,
    start: Callable[..., State],
    about: tuple,
    init: Callable[..., Params] = _no_parameters,
    parameters: Tree | None = None,
    burn_in_s: float = 0.0,
    lags: int = 0,
    uses_response: bool = False,
    substeps: int = 1,
) -> Stage:
    """A stage given by its step; `apply` scans it.

    substeps: turns of a loop inside the step. Of a long clip the gradient keeps a state
              here and there and computes the rest again: see `retina.recomputed`.

    >>> leak = recurrent(
    ...     lambda p, s, x: (0.5 * s + x, 0.5 * s + x),
    ...     start=lambda params, key=None: jnp.float32(0),
    ...     about=("leak",),
    ... )
    >>> leak.apply({}, leak.start({}), jnp.ones(3, jnp.float32))[1].tolist()
    [1.0, 1.5, 1.75]
    """

    def apply(params: Params, state: State, x: Signal) -> tuple[State, Signal]:
        def one(state: State, x_t: Signal) -> tuple[State, Signal]:
            return step(params, state, x_t)

        return recomputed.scan(one, state, x, substeps)

    return Stage(
        init=init,
        start=start,
        step=step,
        apply=apply,
        lags=lags,
        burn_in_s=burn_in_s,
        parameters={} if parameters is None else parameters,
        about=about,
        uses_response=uses_response,
    )


def windowed(
    window: Callable[[Params, jax.Array], jax.Array],
    taps: int,
    *,
    shape: tuple[int, ...],
    about: tuple,
    init: Callable[..., Params] = _no_parameters,
    parameters: Tree | None = None,
    batch: Callable[[Params, jax.Array], jax.Array] | None = None,
    dtype: Any = jnp.float32,
) -> Stage:
    """A stage given by what it does with its last `taps` inputs.

    window: (params, (taps, *shape) oldest first) -> one output.
    taps:   length of the window, the present bin included.
    shape:  shape of one input.
    batch:  (params, (time + taps - 1, *shape)) -> (time, *out), a faster form of the
            window slid over a clip; by default the window is mapped.

    The streaming step keeps a ring buffer: one row is written per bin, nothing shifts.

    >>> mean2 = windowed(lambda p, h: h.mean(0), 2, shape=(), about=("mean2",))
    >>> mean2.apply({}, mean2.start({}), jnp.array([2.0, 4.0, 6.0]))[1].tolist()
    [1.0, 3.0, 5.0]
    """
    order = jnp.arange(taps, dtype=jnp.int32)

    def start(params: Params, key: jax.Array | None = None) -> State:
        return {"past": jnp.zeros((taps, *shape), dtype), "at": jnp.int32(0)}

    def oldest_first(state: State) -> jax.Array:
        index = state["at"] + order
        index = jnp.where(index >= taps, index - taps, index)
        return state["past"].at[index].get(mode="promise_in_bounds")

    def step(params: Params, state: State, x_t: jax.Array) -> tuple[State, jax.Array]:
        past = lax.dynamic_update_index_in_dim(state["past"], x_t, state["at"], 0)
        at = state["at"] + 1
        state = {"past": past, "at": jnp.where(at >= taps, 0, at)}
        return state, window(params, oldest_first(state))

    def slide(params: Params, x: jax.Array) -> jax.Array:
        first = jnp.arange(x.shape[0] - taps + 1, dtype=jnp.int32)
        return lax.map(
            lambda t: window(params, lax.dynamic_slice_in_dim(x, t, taps, 0)), first
        )

    over_clip = batch or slide

    def apply(params: Params, state: State, x: jax.Array) -> tuple[State, jax.Array]:
        whole = jnp.concatenate([oldest_first(state), x], axis=0)
        after = {"past": whole[-taps:], "at": jnp.int32(0)}
        return after, over_clip(params, whole[1:])

    return Stage(
        init=init,
        start=start,
        step=step,
        apply=apply,
        lags=taps - 1,
        burn_in_s=0.0,
        parameters={} if parameters is None else parameters,
        about=about,
        valid=_of_clips(over_clip),
    )


def chain(*stages: Stage, about: tuple | None = None) -> Stage:
    """Stages one after the other; both views compose.

    Params and state are dicts keyed by the stage's name (a number is appended to a name
    that repeats). Only the last stage may use the response; the chain then takes the
    pair (x, counts of the previous bin) and hands the counts to that stage alone. Its
    `valid` takes the pair as well, and that stage's the counts alone with its history.

    >>> one = memoryless(lambda p, x: x + 1, about=("one",))
    >>> chain(one, one).step({"one": {}, "one2": {}}, {"one": (), "one2": ()},
    ...                      jnp.float32(0))[1].item()
    2.0
    """
    if any(stage.uses_response for stage in stages[:-1]):
        raise ValueError("only the last stage of a chain may use the response")
    named: dict[str, Stage] = {}
    for i, stage in enumerate(stages):
        earlier = sum(other.name == stage.name for other in stages[:i])
        named[stage.name + (str(earlier + 1) if earlier else "")] = stage
    if len(named) != len(stages):
        raise ValueError(f"stage names collide: {[s.name for s in stages]}")
    uses_response = stages[-1].uses_response

    def init(key: jax.Array) -> Params:
        keys = jax.random.split(key, len(named))
        return {n: s.init(k) for (n, s), k in zip(named.items(), keys, strict=True)}

    def start(params: Params, key: jax.Array | None = None) -> State:
        keys = [None] * len(named) if key is None else jax.random.split(key, len(named))
        return {
            n: s.start(params[n], k)
            for (n, s), k in zip(named.items(), keys, strict=True)
        }

    def through(view: str, params: Params, state: State, x: Signal):
        previous = None
        if uses_response:
            x, previous = x
        after = {}
        for n, stage in named.items():
            signal = (x, previous) if stage.uses_response else x
            with jax.named_scope(n):
                after[n], x = getattr(stage, view)(params[n], state[n], signal)
        return after, x

    *earlier, last = stages
    seen = sum(stage.lags for stage in earlier)
    # A stage that hears the response looks back over that, not over the stages before.
    lags = max(seen, last.lags) if uses_response else seen + last.lags

    def valid(params: Params, x: Signal) -> Signal:
        previous = None
        if uses_response:
            x, previous = x[0][:, lags - seen :], x[1][:, lags - last.lags :]
        for n, stage in named.items():
            assert stage.valid is not None
            signal = (x, previous) if stage.uses_response else x
            with jax.named_scope(n):
                x = stage.valid(params[n], signal)
        return x

    return Stage(
        init=init,
        start=start,
        step=lambda params, state, x_t: through("step", params, state, x_t),
        apply=lambda params, state, x: through("apply", params, state, x),
        lags=lags,
        burn_in_s=sum(stage.burn_in_s for stage in stages),
        parameters={n: s.parameters for n, s in named.items()},
        about=about or ("chain", *(stage.about for stage in stages)),
        uses_response=uses_response,
        parts=tuple(named.items()),
        valid=None if any(stage.valid is None for stage in stages) else valid,
    )


def before(stage: Stage, name: str) -> tuple[str, ...]:
    """Names of a chain's parts before one: the core, where that one is the readout.

    >>> one = memoryless(lambda p, x: x + 1, about=("one",))
    >>> before(chain(one, one, one), "one3")
    ('one', 'one2')
    """
    names = tuple(stage.parameters)
    return names[: names.index(name)]


class Model(NamedTuple):
    """What `retina.model(name, spec, ...)` returns.

    stage:      (time, *frame) -> (time, cell), expected counts per bin; where
                stage.uses_response its input is (stimulus, counts of the previous bin).
    settings:   every keyword with its value, in the order of the signature.
    warm_start: (params, train clips) -> params: a start computed from training data.
    penalty:    params -> scalar added to the loss; no batch enters it.
    training:   (params, x (clip, lags + time, *frame), key) -> (rate (clip, time,
                cell), params): the pass that is fitted where it differs from
                stage.apply (batch statistics in place of the frozen ones, noise); the
                params that come back differ only in leaves that are not trainable.
    core:       names of the chain's first parts, those whose parameters have nothing to
                do with which cells were recorded: another recording may share them.
    independent: True where a cell's rate depends on no other cell's parameters (on
                their counts it may). L-BFGS then solves for each cell on its own. Each
                trained leaf has an axis "cell", and the penalty is the mean over cells
                of what it says of one cell's parameters.
    circuit:    of a mechanistic model, its declaration (`retina.circuit.declaration`).
    columns:    (params, dtype of the stimulus) -> figures of Cost that a machine other
                than one that multiplies float32 by float32 has, by their name.
    drawn:      () -> a stage of the same params whose synapses release whole vesicles
                at random, for simulation; None where no synapse has such a form.
    contains:   (another model, its params) -> params with which this one gives the same
                rates, or None where it cannot: see `retina.fitting.inherited`.
    """

    name: str
    spec: Spec
    stage: Stage
    settings: tuple[tuple[str, Any], ...] = ()
    warm_start: Callable[[Tree, tuple[Clip, ...]], Tree] | None = None
    penalty: Callable[[Tree], Any] | None = None
    recipe: Recipe = Recipe()
    training: Callable[[Tree, Signal, jax.Array], tuple[jax.Array, Tree]] | None = None
    core: tuple[str, ...] = ()
    independent: bool = False
    circuit: Any = None
    columns: Callable[[Params, Any], Mapping[str, int]] | None = None
    drawn: Callable[[], Stage] | None = None
    contains: Callable[[Any, Tree], Tree | None] | None = None
