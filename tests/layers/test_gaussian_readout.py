"""Masks and points against their definition, and what a step reads of the map."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from retina.costs.flops import count_step
from retina.layers.gaussian_readout import gaussian_mask, place_at, point

SHAPE, CELLS = (7, 9, 3), 4
CENTRES = np.array([[2.0, 3.0], [4.3, 1.6], [0.2, 7.7], [5.8, 4.5]])


def _case(readout):
    stage = readout(SHAPE, CELLS)
    params = stage.init(jax.random.key(0)) | {"place": place_at(CENTRES, SHAPE[:2])}
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    return stage, params, x


def test_a_mask_is_a_gaussian_that_sums_to_one():
    stage, params, x = _case(gaussian_mask)
    params["log_variance"] = jnp.asarray([0.0, 1.0, -1.0, 2.0], jnp.float32)
    rows, columns = np.mgrid[:7, :9]
    wanted = []
    for n, (r, c) in enumerate(CENTRES):
        variance = np.exp(float(params["log_variance"][n]))
        mask = np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / (2 * variance))
        seen = np.einsum("hw,hwf->f", mask / mask.sum(), x)
        wanted.append(seen @ np.asarray(params["features"][n]))
    wanted = np.array(wanted) * 4 * np.sqrt(np.pi) / np.sqrt(3)
    y = stage.step(params, (), jnp.asarray(x))[1]
    np.testing.assert_allclose(y, wanted, atol=1e-5)
    assert np.std(wanted) > 1e-2


def test_a_point_is_scipys_bilinear_interpolation():
    stage, params, x = _case(point)
    seen = [map_coordinates(x[..., f], CENTRES.T, order=1) for f in range(3)]
    wanted = np.einsum("fn,nf->n", seen, np.asarray(params["features"])) / np.sqrt(3)
    y = stage.step(params, (), jnp.asarray(x))[1]
    np.testing.assert_allclose(y, wanted, atol=1e-5)
    assert np.std(wanted) > 1e-2


@pytest.mark.parametrize("place", [(0.0, 0.0), (1.0, 1.0), (0.5, 1.0)])
def test_at_the_edge_and_on_a_pixel_both_views_read_that_pixel(place):
    stage, params, x = _case(point)
    params["place"] = jnp.tile(jnp.asarray([place], jnp.float32), (CELLS, 1))
    at = x[round(place[0] * 6), round(place[1] * 8)]
    wanted = np.asarray(params["features"]) @ at / np.sqrt(3)
    one = stage.step(params, (), jnp.asarray(x))[1]
    clip = stage.apply(params, (), jnp.asarray(x)[None])[1][0]
    np.testing.assert_allclose(one, wanted, atol=1e-6)
    np.testing.assert_allclose(clip, wanted, atol=1e-6)


def test_a_point_reads_and_pays_for_four_places_whatever_the_map():
    for shape in ((7, 9, 3), (30, 30, 3)):
        stage = point(shape, CELLS)
        params = jax.eval_shape(stage.init, jax.random.key(0))
        frame = jax.ShapeDtypeStruct(shape, jnp.float32)
        _, step = count_step(stage, params, frame)
        assert step.macs == 4 * 3 * CELLS
        assert step.flops == 2 * step.macs
        assert step.words_read == 4 * 3 * CELLS


def test_a_mask_is_multiplied_out_once():
    stage = gaussian_mask(SHAPE, CELLS)
    params = jax.eval_shape(stage.init, jax.random.key(0))
    frame = jax.ShapeDtypeStruct(SHAPE, jnp.float32)
    setup, step = count_step(stage, params, frame)
    assert step.flops == 2 * 7 * 9 * 3 * CELLS
    assert setup.transcendentals >= 7 * 9 * CELLS


def test_a_place_starts_at_the_receptive_field_but_not_at_the_very_edge():
    place = np.asarray(place_at(np.array([[0.0, 4.0], [3.0, 8.0]]), (7, 9)))
    np.testing.assert_allclose(place, [[0.02, 0.5], [0.5, 0.98]], atol=1e-6)
