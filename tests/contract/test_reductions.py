"""What every reduction promises, on each that the registry finds.

A new file of retina/reduction/ is picked up by its name, and tried on each of PARENTS,
with the keywords of SETTINGS where it needs some. It may refuse a model, in one line;
one at least it must reduce. The refit, which is not the method's, is tested in
tests/reduction.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
import pytest

from retina import registry, store
from retina.errors import BadSetting
from retina.fitting.predict import agree, streamed
from retina.reduction.steps import check_lower, claims, figures
from retina.settings import keywords
from tests.reduction import parents

SPLIT = parents.recording((9, 8))
SMALL_CNN = {"lags": 6, "basis": 3, "channels": 4, "sizes": (3, 3), "readout_rank": 2}
PARENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ln": ("ln", {"lags": 8, "rank": None, "window": 5}),
    "separable": ("ln", {"lags": 8, "rank": 2, "window": 5, "basis": 5}),
    "cnn": ("cnn", SMALL_CNN),
    "lnln": ("lnln", {"lags": 6, "subunits": 4, "size": 3}),
    "history": ("cnn_history", SMALL_CNN | {"history": 4, "history_basis": 3}),
    "stacked": (
        "bn_cnn",
        {"lags": 3, "channels": 2, "sizes": (5, 3), "stacked": True},
    ),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "factorise": {"rank": 1},
    "poles": {"stages": 3},  # as many as the cnn's time courses
    "crop": {"energy": 0.6},
    "merge": {"rank": 1},
    "delta": {"threshold": 1.0},
    "distil": {"settings": {"lags": 3, "window": 3, "rank": 1}, "steps": 10},
}
FIRST = {
    "channels": "cnn",
    "collapse": "stacked",
    "clock": "cnn",
    "delta": "cnn",
    "merge": "cnn",
    "separate": "cnn",
}  # else the first of PARENTS
# Refused by `reduce`: the products they save cost less than the thresholds do.
DEARER = {("delta", "separable"), ("delta", "stacked")}
NAMES = registry.names("reductions")
CASES = [
    pytest.param(
        (name, parent),
        id=f"{name}-{parent}",
        marks=() if parent == FIRST.get(name, "ln") else pytest.mark.slow,
    )
    for name in NAMES
    for parent in PARENTS
]


@functools.cache
def _parent(name: str):
    model, settings = PARENTS[name]
    return parents.drawn(model, SPLIT, **settings)


@functools.cache
def _cut(name: str, parent: str, seed: int = 1):
    """The smaller model and its parameters, or why there is none."""
    function = registry.find("reductions", name)
    settings = SETTINGS.get(name, {})
    try:
        return function(_parent(parent), SPLIT, jax.random.key(seed), **settings)
    except BadSetting as error:
        return str(error)


@functools.cache
def _before(parent: str, columns: tuple[str, ...]) -> dict[str, Any]:
    fit = _parent(parent)
    return figures(columns, fit.model, fit.params, SPLIT)


@pytest.mark.parametrize("case", CASES)
def test_a_cut_keeps_inputs_outputs_and_views_and_costs_less(case, tmp_path):
    name, parent = case
    fit, found = _parent(parent), _cut(*case)
    if isinstance(found, str):
        assert "\n" not in found and len(found) < 300
        assert parent != FIRST.get(name, "ln"), found
        pytest.skip(found)
    model, params = found
    assert model.spec == fit.model.spec
    shapes = jax.eval_shape(model.stage.init, jax.random.key(0))
    assert jax.tree.structure(shapes) == jax.tree.structure(params)
    for wanted, leaf in zip(
        jax.tree.leaves(shapes), jax.tree.leaves(params), strict=True
    ):
        assert (wanted.shape, wanted.dtype) == (leaf.shape, leaf.dtype)

    clip = SPLIT.train[0]
    x, heard = clip.stimulus[None, :40], clip.response[:1, :40]
    one = streamed(model, params, x, heard)
    assert one.shape == (1, 40, 3)
    assert np.all(np.isfinite(one)) and np.all(one >= 0)
    assert agree(model, params, x, one, heard) < 1e-4

    columns = claims(registry.find("reductions", name), name)
    before = _before(parent, columns)
    after = figures(columns, model, params, SPLIT)

    store.save(dataclasses.replace(fit, model=model, params=params), tmp_path / "run")
    back = store.load(tmp_path / "run")
    assert back.model.stage.about == model.stage.about
    for kept, leaf in zip(
        jax.tree.leaves(back.params), jax.tree.leaves(params), strict=True
    ):
        np.testing.assert_array_equal(kept, leaf)
    if parent == FIRST.get(name, "ln"):  # equal settings are equal programs: once
        again = streamed(back.model, back.params, x, heard)
        np.testing.assert_array_equal(again, one)

    if (name, parent) in DEARER:
        with pytest.raises(BadSetting, match="would raise what it is to lower"):
            check_lower(name, before, after)
    else:
        check_lower(name, before, after)


@pytest.mark.parametrize("name", NAMES)
def test_the_key_decides_all_randomness(name):
    parent = FIRST.get(name, "ln")
    first, _cached = _cut(name, parent), _cut.__wrapped__(name, parent)
    for a, b in zip(
        jax.tree.leaves(first[1]), jax.tree.leaves(_cached[1]), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_its_keywords_and_claims_are_told(name):
    function = registry.find("reductions", name)
    assert claims(function, name)
    doc = function.__doc__ or ""
    for word, one in keywords(function).items():
        assert f"{word}:" in doc, f"{word} is not described"
        assert one.default is not one.empty, f"{word} has no default"
