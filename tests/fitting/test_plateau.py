"""When the learning rate falls, when a seed ends, and which parameters are kept."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from retina.fitting.plateau import CUT, CUTS, GAIN, Plateau


def _params(*values: float):
    return {"w": jnp.asarray(values, jnp.float32), "deep": {"b": jnp.ones((2, 3))}}


def _judged(scores, patience: int = 2, rate: float = 0.1) -> Plateau:
    """One seed, one evaluation per score; the parameter is the evaluation's number."""
    plateau = Plateau.begin(1, rate, {"w": jnp.zeros(1)})
    for step, score in enumerate(scores):
        now = {"w": jnp.asarray([float(step)])}
        plateau.judge(step, np.array([score]), now, patience)
    return plateau


def test_the_best_is_kept_and_not_the_last():
    plateau = _judged([0.1, 0.5, 0.3, 0.2])
    assert plateau.bits[0] == 0.5
    assert plateau.step[0] == 1
    assert plateau.best["w"][0] == 1.0


def test_a_gain_too_small_to_matter_is_kept_but_is_no_progress():
    plateau = _judged([0.1, 0.1 + GAIN / 2, 0.1 + 0.9 * GAIN])
    assert plateau.step[0] == 2  # the best so far all the same
    assert plateau.cuts[0] == 1 and np.isclose(plateau.rate[0], 0.1 * CUT)


def test_many_small_gains_add_up_to_progress():
    """The mark moves when the sum of small gains is a gain."""
    scores = 0.1 + np.arange(12) * GAIN * 0.6
    assert _judged(scores, patience=3).cuts[0] == 0


def test_patience_is_counted_from_the_last_progress_and_from_each_cut():
    plateau = _judged([0.5, 0.1, 0.6, 0.1], patience=2)
    assert plateau.cuts[0] == 0 and plateau.stale[0] == 1
    plateau.judge(9, np.array([0.1]), {"w": jnp.zeros(1)}, 2)
    assert plateau.cuts[0] == 1 and plateau.stale[0] == 0
    plateau.judge(10, np.array([0.1]), {"w": jnp.zeros(1)}, 2)
    assert plateau.cuts[0] == 1


def test_a_seed_ends_after_its_last_cut_and_is_then_left_alone():
    plateau = _judged([0.5] + [0.1] * (2 * (CUTS + 1)))
    assert plateau.done.tolist() == [True]
    plateau.judge(99, np.array([0.9]), {"w": jnp.asarray([7.0])}, 2)
    assert plateau.bits[0] == 0.5 and plateau.best["w"][0] == 0.0


def test_a_score_that_is_not_a_number_is_never_the_best():
    plateau = _judged([0.2, np.nan, -np.inf])
    assert plateau.bits[0] == 0.2 and plateau.step[0] == 0


def test_seeds_are_judged_one_by_one():
    plateau = Plateau.begin(2, 0.1, _params(0, 0))
    for step, bits in enumerate([(0.1, 0.9), (0.2, 0.1), (0.3, 0.1)]):
        plateau.judge(step, np.array(bits), _params(step, 10 + step), 2)
    assert plateau.step.tolist() == [2, 0]
    assert plateau.best["w"].tolist() == [2.0, 10.0]
    assert plateau.cuts.tolist() == [0, 1]
    assert np.allclose(plateau.rate, [0.1, 0.1 * CUT])


def test_what_is_kept_is_a_copy():
    """A view of what a walker goes on to change would be garbage."""
    start = {"w": np.zeros(1, np.float32)}
    plateau = Plateau.begin(1, 0.1, start)
    now = {"w": np.ones(1, np.float32)}
    plateau.judge(1, np.array([0.1]), now, 2)
    start["w"][0] = now["w"][0] = 99.0
    assert plateau.best["w"][0] == 1.0


def test_it_survives_a_checkpoint():
    plateau = _judged([0.1, 0.5, 0.3])
    again = Plateau(**plateau.tree())
    for one in (plateau, again):
        one.judge(3, np.array([0.2]), {"w": jnp.asarray([3.0])}, 2)
    assert again.cuts[0] == plateau.cuts[0] == 1
    assert again.best["w"][0] == 1.0
