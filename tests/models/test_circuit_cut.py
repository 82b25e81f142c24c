"""What is cut out of the circuit model is gone, and what cannot be is named."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from retina import build
from retina.costs.flops import count_step
from retina.errors import BadSetting, UnknownName
from retina.types import Clip, Spec


def _model(**settings):
    return build.model("circuit", Spec((), 3, 1 / 30), types=2, **settings)


def _flops(model) -> int:
    shapes = jax.eval_shape(model.stage.init, jax.random.key(0))
    return count_step(model, shapes)[1].flops


@pytest.mark.parametrize(
    "cut",
    [
        "amacrine->ganglion",
        "cone->on,horizontal->on",
        pytest.param("amacrine->on, amacrine->off", marks=pytest.mark.slow),
        pytest.param("off", marks=pytest.mark.slow),
        pytest.param("on->ganglion", marks=pytest.mark.slow),
        pytest.param("horizontal->on", marks=pytest.mark.slow),
    ],
)
def test_a_projection_or_population_is_cut_by_its_name(cut: str):
    """It is gone, costs nothing any more, and a fit has a start all the same."""
    whole, less = _model(), _model(cut=cut)
    names = [p.name for p in less.circuit.projections]
    for name in cut.split(","):
        assert not any(name.strip() in (p, *p.split("->")) for p in names)
    assert _flops(less) < _flops(whole)
    generator = np.random.default_rng(0)
    stimulus = generator.standard_normal(200).astype("f4")
    counts = generator.poisson(0.3, (1, 200, 3)).astype("f4")
    clip = Clip("train", stimulus, counts)
    assert less.warm_start is not None
    params = less.warm_start(less.stage.init(jax.random.key(0)), (clip,))
    assert jax.tree.structure(params) == jax.tree.structure(less.stage.parameters)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("cut", "error", "match"),
    [
        ("amacrine", BadSetting, "cut 'amacrine': write amacrine=None"),
        ("amacrin->on", UnknownName, "cut 'amacrin->on'; known: cone, .*amacrine->on,"),
        ("cone", BadSetting, "'cone' is the circuit's input or output"),
        (
            "amacrine->on,amacrine->off,amacrine->ganglion",
            BadSetting,
            "'amacrine' cannot reach the output",
        ),
    ],
)
def test_what_cannot_be_cut(cut: str, error: type[Exception], match: str):
    with pytest.raises(error, match=match):
        _model(cut=cut)
