"""What every stage promises, checked on each one that a module offers.

A module of retina/layers or retina/circuit is picked up by defining

    def contract() -> list[tuple[Stage, input_shape]]

with one entry per kind of stage it makes; a stage that hears the response gives the
pair (shape of x, shape of the counts). The first ones here are built from
`retina.stage` alone.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.stage import Stage, chain, memoryless, recurrent, windowed

PACKAGES = ("retina.layers", "retina.circuit")
# Two halves of one length, so that one program serves both; odd, so that a period of
# two bins or three is cut in its middle.
TIME, CUT = 22, 11
# One bin and a clip do the same sums in another order: float32 rounding, a few hundred
# terms. A stage that is wrong is wrong by far more.
CLOSE = 2e-5


def _core() -> list[tuple[Stage, tuple[int, ...]]]:
    leak = recurrent(
        lambda p, s, x: (0.5 * s + x, 0.5 * s + x),
        start=lambda params, key=None: jnp.zeros(3, jnp.float32),
        about=("leak",),
        burn_in_s=1.0,
    )
    mean = windowed(lambda p, h: h.mean(0), 5, shape=(3,), about=("mean5",))
    half = memoryless(
        lambda p, x: x * p["scale"],
        init=lambda key: {"scale": jax.random.normal(key, (3,))},
        about=("scale",),
    )
    return [(one, (3,)) for one in (leak, mean, half, chain(half, mean, leak, half))]


def _offered() -> list[tuple[str, Stage, tuple[int, ...]]]:
    found = [("retina.stage", stage, shape) for stage, shape in _core()]
    for package in PACKAGES:
        folder = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(folder, package + "."):
            offer = getattr(importlib.import_module(module.name), "contract", None)
            if offer is not None:
                found += [(module.name, stage, shape) for stage, shape in offer()]
    return found


OFFERED = _offered()
STAGES = pytest.mark.parametrize(
    ("index", "stage", "shape"),
    [(index, stage, shape) for index, (_, stage, shape) in enumerate(OFFERED)],
    ids=[f"{module}-{stage.name}" for module, stage, _ in OFFERED],
)


def _signal(stage: Stage, shape, seed: int = 1):
    """A clip (time, *shape); for a stage that hears the response, the pair of both."""
    generator = np.random.default_rng(seed)
    if not stage.uses_response:
        return generator.standard_normal((TIME, *shape), np.float32)
    shape, heard = shape if shape and isinstance(shape[0], tuple) else (shape, shape)
    counts = generator.poisson(0.7, (TIME, *heard)).astype(np.float32)
    return generator.standard_normal((TIME, *shape), np.float32), counts


@functools.cache
def _begin(index: int):
    stage = OFFERED[index][1]
    params = stage.init(jax.random.key(0))
    return params, stage.start(params, jax.random.key(2))


# Compiled once per stage, for all tests: one bin, and clips of two lengths.
@functools.cache
def _views(index: int) -> dict[str, Callable[..., Any]]:
    stage = OFFERED[index][1]
    one = jax.jit(stage.step)

    def stepped(params, state, x):
        ys = []
        for t in range(len(jax.tree.leaves(x)[0])):
            state, y = one(params, state, jax.tree.map(lambda a, t=t: a[t], x))
            ys.append(y)
        return state, jax.tree.map(lambda *y: np.stack(y), *ys)

    views = {"step": stepped, "apply": jax.jit(stage.apply)}
    return views | ({"valid": jax.jit(stage.valid)} if stage.valid else {})


def _close(one, other) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=CLOSE, atol=CLOSE)


def _cut(signal, start: int, stop: int):
    return jax.tree.map(lambda x: x[start:stop], signal)


def _replaced(signal, other, start: int, stop: int):
    return jax.tree.map(
        lambda a, b: np.concatenate([a[:start], b[start:stop], a[stop:]]),
        signal,
        other,
    )


@STAGES
def test_steps_in_a_row_equal_the_clip(index: int, stage: Stage, shape):
    params, state = _begin(index)
    x = _signal(stage, shape)
    _close(
        _views(index)["step"](params, state, x)[1],
        _views(index)["apply"](params, state, x)[1],
    )


@STAGES
def test_what_has_its_history_equals_the_clip(index: int, stage: Stage, shape):
    """The view that is fitted where a stage offers it, of two clips side by side."""
    if "valid" not in _views(index):
        return
    params, state = _begin(index)
    clips = _signal(stage, shape), _signal(stage, shape, seed=8)
    signal = jax.tree.map(lambda a, b: np.stack([a, b]), *clips)
    if stage.uses_response:  # what it is given beside the counts has its history
        signal = signal[0][:, stage.lags :], signal[1]
    both = _views(index)["valid"](params, signal)
    for one, clip in zip(both, clips, strict=True):
        _close(one, _views(index)["apply"](params, state, clip)[1][stage.lags :])


@STAGES
@pytest.mark.parametrize("views", [("apply", "apply"), ("apply", "step")])
def test_a_clip_cut_in_two_equals_the_whole(index: int, stage: Stage, shape, views):
    """Also where the second half is stepped: both views carry the same state."""
    params, state = _begin(index)
    x = _signal(stage, shape)
    _, whole = _views(index)["apply"](params, state, x)
    between, first = _views(index)[views[0]](params, state, _cut(x, 0, CUT))
    _, second = _views(index)[views[1]](params, between, _cut(x, CUT, TIME))
    joined = jax.tree.map(lambda a, b: np.concatenate([a, b]), first, second)
    _close(joined, whole)


@STAGES
@pytest.mark.parametrize("view", ["step", "apply"])
def test_the_future_does_not_change_the_past(index: int, stage: Stage, shape, view):
    params, state = _begin(index)
    x, other = _signal(stage, shape), _signal(stage, shape, seed=8)
    changed = _replaced(x, other, CUT, TIME)
    one = _views(index)[view](params, state, x)[1]
    two = _views(index)[view](params, state, changed)[1]
    # A convolution by FFT mixes rounding errors over time; nothing more may leak.
    _close(_cut(one, 0, CUT), _cut(two, 0, CUT))
    # ... and the change is heard at all, so that the equality above says something.
    later = zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True)
    assert any(not np.allclose(a[CUT:], b[CUT:]) for a, b in later)


@STAGES
def test_history_beyond_the_lags_is_forgotten(index: int, stage: Stage, shape):
    """A stage that declares no slow state depends on its last `lags` bins alone.

    Lags are of the stimulus: before a block there are no counts, so none are missing.
    """
    if stage.burn_in_s > 0:
        assert np.isfinite(stage.burn_in_s)
        return
    params, state = _begin(index)
    x, other = _signal(stage, shape), _signal(stage, shape, seed=8)
    early = 3
    start = early + stage.lags
    assert start < TIME, "the contract's clip is shorter than the lags: offer fewer"
    _, one = _views(index)["apply"](params, state, x)
    if stage.uses_response:
        changed = (_replaced(x[0], other[0], 0, early), x[1])
    else:
        changed = _replaced(x, other, 0, early)
    _, two = _views(index)["apply"](params, state, changed)
    _close(_cut(one, start, TIME), _cut(two, start, TIME))


@STAGES
def test_the_steps_of_a_period_are_those_that_step_takes(index, stage: Stage, shape):
    """What is counted bin by bin is what runs."""
    if not stage.steps:
        return
    params, state = _begin(index)
    x = _signal(stage, shape)
    whole = _views(index)["step"](params, state, x)[1]
    turns = [jax.jit(step) for step, bins in stage.steps for _ in range(bins)]
    for t in range(CUT):
        x_t = jax.tree.map(lambda a, t=t: a[t], x)
        state, y = turns[t % len(turns)](params, state, x_t)
        _close(y, whole[t])


@STAGES
def test_parameters_are_described_one_by_one(index: int, stage: Stage, shape):
    from retina.parameter import Parameter

    params, _ = _begin(index)
    if not jax.tree.leaves(stage.parameters):
        return  # a stage made in this file
    assert jax.tree.structure(params) == jax.tree.structure(stage.parameters)
    rows = zip(jax.tree.leaves(stage.parameters), jax.tree.leaves(params), strict=True)
    for described, value in rows:
        assert isinstance(described, Parameter)
        assert described.unit and described.source
        assert np.all(np.asarray(value) >= described.low)
        assert np.all(np.asarray(value) <= described.high)


@STAGES
def test_the_name_and_settings_are_hashable(index: int, stage: Stage, shape):
    assert isinstance(hash(stage.about), int)
    assert stage.name == stage.about[0]


@STAGES
def test_the_state_keeps_its_shapes_and_dtypes(index: int, stage: Stage, shape):
    params, state = _begin(index)
    x = _signal(stage, shape)
    for view, signal in (("step", jax.tree.map(lambda a: a[0], x)), ("apply", x)):
        after, _ = jax.eval_shape(getattr(stage, view), params, state, signal)
        assert jax.tree.structure(after) == jax.tree.structure(state)
        for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True):
            assert (a.shape, a.dtype) == (jnp.shape(b), jnp.asarray(b).dtype)


def test_each_module_that_makes_stages_offers_them():
    """A file whose functions return a Stage must define contract()."""
    import ast
    from pathlib import Path

    for package in PACKAGES:
        folder = Path(importlib.import_module(package).__path__[0])
        for file in folder.rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
            makes = [
                f.name
                for f in functions
                if f.returns and ast.unparse(f.returns) == "Stage"
            ]
            public = [name for name in makes if not name.startswith("_")]
            if public:
                names = {f.name for f in functions}
                assert "contract" in names, f"{file.name} makes {public}, untested"
