"""Bases, windows on the frame and time courses, on averages made by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.fitting.start import (
    field_centres,
    mean_counts,
    spike_triggered_average,
    time_courses,
)
from retina.layers import receptive_field as field
from retina.layers.basis import raised_cosines
from retina.types import Clip, Spec


@pytest.mark.parametrize(("taps", "count"), [(30, 12), (30, 1), (25, 6), (8, 7)])
def test_raised_cosines_are_orthonormal(taps, count):
    basis = raised_cosines(taps, count).astype(np.float64)
    assert basis.shape == (taps, count)
    np.testing.assert_allclose(basis.T @ basis, np.eye(count), atol=1e-6)


def test_as_many_cosines_as_lags_leave_the_lags_free():
    for count in (5, 9):
        assert np.array_equal(raised_cosines(5, count), np.eye(5, dtype=np.float32))


def test_cosines_resolve_short_lags_more_finely():
    """How much of a single lag the basis can follow falls from lag 0 to lag 29."""
    basis = raised_cosines(30, 8)
    kept = np.sum(basis**2, axis=1)
    assert kept[0] > 0.5 > kept[20]
    assert np.all(kept <= 1 + 1e-5)


def _average(centres, image=(12, 15), taps=6, noise=0.0) -> np.ndarray:
    """A Gaussian spot per cell with a biphasic time course."""
    rows, columns = np.mgrid[: image[0], : image[1]]
    course = np.sin(np.linspace(0, 2 * np.pi, taps))
    spots = [np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / 2.0) for r, c in centres]
    average = course[:, None, None, None] * np.stack(spots)[None]
    generator = np.random.default_rng(0)
    return average + noise * generator.standard_normal(average.shape)


def test_a_window_is_centred_on_the_receptive_field():
    centres = [(5, 7), (8, 4)]
    corner = field.place(_average(centres, noise=0.03), 5)
    assert corner.dtype == np.int32
    assert corner.tolist() == [[r - 2, c - 2] for r, c in centres]


def test_a_window_at_the_edge_stays_on_the_frame():
    corner = field.place(_average([(0, 14), (11, 0)]), 5)
    assert corner.tolist() == [[0, 10], [7, 0]]


def test_a_window_wider_than_the_frame_is_the_frame():
    average = _average([(1, 7)], image=(3, 15))
    assert field.window_size((3, 15), 5) == (3, 5)
    assert field.place(average, 5).tolist() == [[0, 5]]
    assert field.place(average, 99).tolist() == [[0, 0]]


def test_a_bright_pixel_of_noise_does_not_move_the_window():
    average = _average([(5, 7)])
    average[1, 0, 0, 0] = 1.5 * average[:, 0].max()
    assert field.place(average, 5).tolist() == [[3, 5]]


def test_what_is_cut_is_what_lies_in_the_window():
    average = _average([(5, 7), (8, 4)], noise=1.0)
    corner = np.array([[2, 3], [6, 0]], np.int32)
    seen = field.cut_windows(average, corner, 4)
    assert seen.shape == (6, 2, 4, 4)
    assert np.array_equal(seen[:, 0], average[:, 0, 2:6, 3:7])
    assert np.array_equal(seen[:, 1], average[:, 1, 6:10, 0:4])


def test_a_spatial_filter_sees_its_window_alone():
    """In both views, with each cell's filter at its own corner."""
    stage = field.spatial((6, 7), 2, 1, 3)
    filters = jnp.arange(18, dtype=jnp.float32).reshape(2, 1, 3, 3)
    params = {"filters": filters, "corner": jnp.asarray([[0, 4], [3, 1]], jnp.int32)}
    x = jax.random.normal(jax.random.key(0), (4, 6, 7))
    wanted = np.stack(
        [
            np.einsum("thw,hw->t", x[:, :3, 4:], filters[0, 0]),
            np.einsum("thw,hw->t", x[:, 3:, 1:4], filters[1, 0]),
        ],
        axis=1,
    )
    clip = stage.apply(params, (), x)[1][..., 0]
    np.testing.assert_allclose(clip, wanted, rtol=1e-4, atol=1e-4)
    bins = jax.vmap(lambda x_t: stage.step(params, (), x_t)[1])(x)[..., 0]
    np.testing.assert_allclose(bins, wanted, rtol=1e-4, atol=1e-4)


def test_time_courses_find_the_subspace_that_was_planted():
    """Two courses in several cells, at a few pixels, in noise."""
    generator = np.random.default_rng(1)
    taps, cells, pixels = 20, 10, 64
    planted, _ = np.linalg.qr(generator.standard_normal((taps, 2)))
    average = 0.02 * generator.standard_normal((taps, cells, pixels))
    for cell in range(cells):
        mixed = planted @ generator.standard_normal(2)
        average[:, cell, generator.integers(pixels)] += mixed
    found = time_courses(average.reshape(taps, cells, 8, 8), 2)
    assert found.shape == (taps, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found.T @ found, np.eye(2), atol=1e-5)
    # Cosines of the angles between the two planes: noise of 0.02 a lag turns a course
    # of about unit length by 0.02 sqrt(20), averaged over 10 cells: cosine above 0.99.
    angles = np.linalg.svd(planted.T @ found.astype(np.float64), compute_uv=False)
    assert angles.min() > 0.99


def test_more_time_courses_than_averages_are_still_orthonormal():
    """One cell and three pixels span three courses; a basis of four is complete."""
    average = 0.01 * np.random.default_rng(3).standard_normal((9, 1, 1, 3))
    average[[1, 4, 6], 0, 0, [0, 1, 2]] += 1  # every pixel votes
    found = time_courses(average, 4)
    np.testing.assert_allclose(found.T @ found, np.eye(4), atol=1e-5)
    # The first three are those that were there: together they hold every average.
    pixels, first = average.reshape(9, 3), found[:, :3]
    np.testing.assert_allclose(first @ (first.T @ pixels), pixels, atol=1e-5)


def test_the_average_before_a_spike_is_the_mean_frame_by_lag():
    """Against a loop over bins; `skip` triggers nothing but is seen."""
    generator = np.random.default_rng(2)
    clips = tuple(
        Clip(
            str(n),
            generator.integers(0, 5, (bins, 3, 4)).astype(np.uint8),
            generator.poisson(0.5, (trials, bins, 2)).astype(np.float32),
            skip=skip,
        )
        for n, (bins, trials, skip) in enumerate([(40, 1, 6), (30, 2, 6)])
    )
    spec = Spec((3, 4), 2, 0.05, stimulus_mean=2.0, stimulus_sd=1.4)
    found = spike_triggered_average(clips, 5, spec)
    sums, events = np.zeros((5, 2, 3, 4)), np.zeros(2)
    for clip in clips:
        x = (clip.stimulus.astype(np.float64) - 2.0) / 1.4
        y = clip.response.mean(0, dtype=np.float64)
        events += y[6:].sum(0)
        y = y - y[6:].mean(0)
        for t in range(6, len(x)):
            for lag in range(5):
                sums[lag] += y[t][:, None, None] * x[t - lag]
    wanted = sums / events[:, None, None]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    totals = sum(clip.response[:, 6:].sum((0, 1)) for clip in clips)
    np.testing.assert_allclose(mean_counts(clips), totals / (34 + 2 * 24))


def test_centres_on_the_grid_that_kernels_leave():
    """A kernel of 5 leaves a margin of 2; a stride of 2 halves the grid."""
    average = _average([(5, 7), (0, 0)])
    centres = field_centres(average, (12, 15), (8, 11))
    assert centres.tolist() == [[3, 5], [0, 0]]
    # Stride 2, kernel 4 on 12 x 16: places 0, 2, .. 8 and 0, 2, .. 12; a unit at place
    # p looks at pixels p .. p + 3, centre p + 1.5: pixel 5 is unit 1.75.
    average = _average([(5, 7)], image=(12, 16))
    centres = field_centres(average, (12, 16), (5, 7), 2)
    np.testing.assert_allclose(centres, [[1.75, 2.75]])
