"""Kernels are the matrices that they stand for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.circuit.declaration import (
    Circuit,
    Projection,
)
from retina.circuit.kernels import gaussian
from retina.circuit.learned import learned
from retina.circuit.listed import listed
from retina.circuit.population import Population
from retina.errors import BadSetting, ShapeMismatch

from .driven import drawn


def test_a_gaussian_is_its_matrix_and_no_matrix_is_made():
    cones = Population("cone", (6, 5), spacing_um=10.0)
    cells = Population("on", (2, 3, 3), spacing_um=20.0)
    join = gaussian(12.0).join(cones, cells)
    params = join.init(jax.random.key(0))
    x = np.random.default_rng(0).standard_normal((4, 30)).astype("f4")
    from_, to = cones.positions_um, cells.positions_um[:9]
    far = np.square(to[:, None] - from_[None]).sum(-1)
    matrix = np.exp(-far / (2 * 12.0**2))
    matrix /= matrix.sum(1, keepdims=True)
    weight = np.asarray(params["weight"])[0]
    expected = np.concatenate([(x @ matrix.T) * w for w in weight], 1)
    found = join.weigh(join.prepare(params), jnp.asarray(x))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    largest = max(
        getattr(v.aval, "size", 0)
        for eqn in jax.make_jaxpr(lambda p: join.prepare(p))(params).eqns
        for v in eqn.outvars
    )
    assert largest <= 6 * 3  # rows by rows


def test_a_learned_patch_is_its_matrix():
    """Of rows that stand between cones and columns that stand on them; of one bin and
    of a clip. At the start all that an inner cell hears comes to its gain."""
    cones = Population("cone", (6, 5), spacing_um=10.0)
    cells = Population("on", (2, 3, 3), spacing_um=20.0)
    join = learned(12.0, gain=2.0).join(cones, cells)
    params = join.init(jax.random.key(0))
    assert params["weight"].shape == (4, 5, 1, 2)
    ready = np.asarray(join.prepare(params))
    assert ready.sum((0, 1, 2)) == pytest.approx(2.0, rel=0.2)
    far = cones.positions_um[None] - cells.positions_um[:9, None]
    row, column = np.moveaxis((far / 10 + [1.5, 2.0]).round().astype(int), 2, 0)
    inside = (row >= 0) & (row < 4) & (column >= 0) & (column < 5)
    at = ready[row.clip(0, 3), column.clip(0, 4), 0] * inside[..., None]
    x = np.random.default_rng(0).standard_normal((4, 30)).astype("f4")
    expected = np.einsum("cst,bs->btc", at, x).reshape(4, 18)
    for clip in (x, x[:1]):
        found = join.weigh(join.prepare(params), jnp.asarray(clip))
        np.testing.assert_allclose(found, expected[: len(clip)], rtol=1e-5, atol=1e-6)
    assert join.fan_in == pytest.approx(inside.sum(1).mean())
    with pytest.raises(ShapeMismatch, match="10 um to one of 15 um; give the target a"):
        learned(12.0).join(cones, Population("on", (3, 3), spacing_um=15.0))


def test_cells_that_a_list_joins():
    """As the same weights in a full matrix, of a bin and of a clip; slopes as well."""
    draw = np.random.default_rng(3)
    sources, weights = draw.integers(0, 5, (4, 3)), draw.uniform(0, 1, (4, 3))
    a, b = Population("a", (5,)), Population("b", (4,))
    join = listed(sources, weights).join(a, b)
    full = np.zeros((5, 4))
    np.add.at(full, (sources, np.arange(4)[:, None]), weights)
    params, x = join.init(jax.random.key(0)), jnp.asarray(drawn(6, 5), jnp.float32)

    def through(params, x):
        return join.weigh(join.prepare(params), x)

    for clip in (x, x[:1]):
        np.testing.assert_allclose(through(params, clip), clip @ full, rtol=1e-5)
    slope = jax.grad(lambda p: jnp.sum(through(p, x)))(params)["weight"]
    np.testing.assert_allclose(slope, np.asarray(x).sum(0)[sources], rtol=1e-5)
    assert listed(sources, weights).about != listed(sources[::-1], weights).about


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (([0, 1],), r"listed: sources of shape \(2,\), int64; give whole numbers"),
        (([[0.5]],), "float64; give whole numbers"),
        (([[0, 1]], -1.0), "from -1 to -1; give finite ones"),
        (([[0, 1]], np.inf), "from inf to inf; give finite ones"),
        (([[0, 1]], []), r"weights of shape \(0,\); give one, or \(1, 2\)"),
        (([[0, 1]], [1.0]), r"weights of shape \(1,\)"),
    ],
)
def test_lists_that_cannot_join_are_refused(given, said: str):
    with pytest.raises(BadSetting, match=said):
        listed(*given)


def test_a_list_of_other_cells_is_refused():
    one, two = Population("a", (2,)), Population("b", (1,))
    with pytest.raises(ShapeMismatch, match="listed names cells 0 to 2 for 1 target"):
        Circuit((one, two), (Projection("a", "b", listed([[0, 2]])),))
