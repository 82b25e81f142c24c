"""L-BFGS on problems side by side: each its own steps, its own end."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.fitting import quasi_newton, whitening
from retina.fitting.cells import losses_and_slopes
from retina.fitting.fit import fit
from retina.fitting.quasi_newton import Walk
from retina.fitting.whitening import Whitening, inverse, whitened
from retina.types import Clip, Spec, Split
from tests.fitting import synthetic

KEY = jax.random.key(0)
SIZES = np.array([1e-2, 1.0, 1e3], np.float32)  # of the curvature of each problem
LEAST = np.array([1.0, 2.0, 3.0], np.float32)


def _bowls(numbers: int = 12, condition: float = 1e4):
    """Quadratics, ill conditioned along no axis: loss, curvature, least place."""
    draw = np.random.default_rng(0)
    matrices = []
    for size in SIZES:
        turn, _ = np.linalg.qr(draw.standard_normal((numbers, numbers)))
        matrices.append(size * (turn * np.geomspace(1, condition, numbers)) @ turn.T)
    curvature = jnp.asarray(np.array(matrices), jnp.float32)
    least = jnp.asarray(draw.standard_normal((3, numbers)), jnp.float32)

    def losses(x):
        away = x - least
        bent = jnp.einsum("cp,cpq,cq->c", away, curvature, away)
        return jnp.asarray(LEAST) + bent / (SIZES * condition)

    return losses, curvature * 2 / (SIZES * condition)[:, None, None], least


def _plain(x) -> Whitening:
    return Whitening(jnp.ones_like(x), None)


def _solved(losses, x, white: Whitening, steps: int, settle: float = 0.0) -> Walk:
    walk = quasi_newton.begin(x)
    scale = jnp.full(len(x), 1e-3)
    return quasi_newton.advance(
        walk, losses_and_slopes(losses), white, steps + 1, settle, scale
    )


def test_the_whitening_is_the_inverse_of_the_curvature():
    _, curvature, _ = _bowls(condition=100)
    found = whitened(inverse(curvature, 0.0), jnp.ones((3, 12)))
    wanted = np.linalg.solve(np.asarray(curvature), np.ones((3, 12, 1)))[..., 0]
    np.testing.assert_allclose(found, wanted, rtol=2e-3)


def test_a_known_curvature_solves_an_ill_conditioned_problem_in_few_steps():
    losses, curvature, least = _bowls()
    start = jnp.zeros_like(least)
    known = _solved(losses, start, inverse(curvature, 1e-6), 4)
    np.testing.assert_allclose(known.value, LEAST, rtol=1e-5)
    unknown = _solved(losses, start, _plain(start), 4)
    assert np.all(np.asarray(unknown.value) > LEAST + 1e-2)
    # And in more of them where it is not.
    later = _solved(losses, start, _plain(start), 150)
    np.testing.assert_allclose(later.value, LEAST, rtol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, -1.0])
def test_a_curvature_that_is_none_leaves_a_direction_downhill(bad):
    """Of one cell: the others keep theirs."""
    _, curvature, _ = _bowls(condition=10)
    spoilt = curvature.at[1].set(bad)
    slope = jnp.asarray(np.random.default_rng(1).standard_normal((3, 12)), jnp.float32)
    found = whitened(inverse(spoilt, 1e-3), slope)
    assert np.all(np.sum(np.asarray(found * slope), axis=1) > 0)
    whole = whitened(inverse(curvature, 1e-3), slope)
    np.testing.assert_array_equal(found[::2], whole[::2])


def test_a_problem_is_solved_as_if_it_were_alone():
    """Its steps and its end depend on no other's: one that is lost far away least."""
    losses, curvature, least = _bowls()
    start = jnp.zeros_like(least)
    alone = _solved(losses, start, inverse(curvature, 0.1), 9)
    beside = start.at[2].set(1e18)  # its loss overflows
    spoilt = _solved(losses, beside, inverse(curvature, 0.1), 9)
    np.testing.assert_array_equal(alone.at[:2], spoilt.at[:2])
    assert not np.isfinite(spoilt.value[2])


def test_one_that_has_ended_moves_no_more_while_the_others_go_on():
    losses, curvature, least = _bowls()
    start = least.at[1:].set(0.0)  # the first begins at its end
    walk = quasi_newton.begin(start)
    evaluate, scale = losses_and_slopes(losses), jnp.full(3, 1e-3)
    given = evaluate, inverse(curvature, 1.0)
    walk = quasi_newton.advance(walk, *given, 1, 0.0, scale)
    walk = quasi_newton.advance(walk, *given, 4, 1e-6, scale)
    assert walk.ended.tolist() == [True, False, False]
    go_on = jax.jit(lambda walk: quasi_newton.advance(walk, *given, 4, 1e-6, scale))
    after = go_on(walk)
    np.testing.assert_array_equal(after.at[0], walk.at[0])
    assert np.all(np.any(np.asarray(after.at != walk.at)[1:], axis=1))
    for _ in range(30):
        after = go_on(after)
    assert after.ended.all()
    np.testing.assert_allclose(after.value, LEAST, rtol=1e-4)


def test_a_step_over_an_edge_is_taken_back():
    """log(x) has no value beyond 0, where the first whole step leads."""

    def losses(x):
        return jnp.sum(x - jnp.log(x), axis=1)

    start = jnp.full((2, 1), 30.0)
    far = Whitening(jnp.full((2, 1), 10.0), None)
    done = _solved(losses, start, far, 30)
    np.testing.assert_allclose(done.at, 1.0, atol=1e-3)


def _split() -> Split:
    return synthetic.split(synthetic.truth((3,), 3, 0.8), train=600, held_out=400)


TIGHT: dict[str, Any] = {"settle": 1e-7, "patience": 100}
# With a gain of its own the best of these rates, which are exponential, is at infinity.
EACH = [
    ("ln", {"rank": None, "output_kind": "exp"}),
    ("ln", {"rank": 1, "output_kind": "exp"}),
    ("glm", {"rank": None, "output_kind": "exp", "history": 3, "coupling": True}),
]


@pytest.mark.parametrize(("name", "settings"), EACH, ids=lambda value: str(value))
@pytest.mark.slow
def test_cell_by_cell_ends_where_all_at_once_ends(name, settings):
    split = _split()
    model = build.model(name, split.spec, lags=4, **settings)
    assert model.independent
    apart = fit(model, split, key=KEY, **TIGHT)
    joint = fit(model._replace(independent=False), split, key=KEY, **TIGHT)
    lowest = min(line["train_loss"] for line in joint.curve[1:])
    assert apart.curve[-1]["train_loss"] == pytest.approx(lowest, abs=2e-5)
    assert apart.training["steps"] < joint.training["steps"]
    assert apart.training["converged"]


def test_cells_of_many_numbers_are_whitened_by_the_diagonal(monkeypatch):
    split = _split()
    model = build.model("ln", split.spec, lags=4, rank=None, output_kind="exp")
    whole = fit(model, split, key=KEY, **TIGHT)
    monkeypatch.setattr(whitening, "BLOCK", 11)  # each has 4 x 3 weights and a bias
    by_size = fit(model, split, key=KEY, **TIGHT)
    assert by_size.curve[-1]["train_loss"] == pytest.approx(
        whole.curve[-1]["train_loss"], abs=1e-5
    )


def test_penalties_that_are_asked_for_enter_each_cells_loss():
    split = _split()
    model = build.model("ln", split.spec, lags=4, rank=None)
    asked: dict[str, Any] = {"l2": 0.3, "smooth_time": 0.1, "activity": 0.2}
    apart = fit(model, split, key=KEY, **TIGHT, **asked)
    joint = fit(model._replace(independent=False), split, key=KEY, **TIGHT, **asked)
    lowest = min(line["train_loss"] for line in joint.curve[1:])
    assert apart.curve[-1]["train_loss"] == pytest.approx(lowest, abs=2e-5)


def _whitened_at(monkeypatch) -> list[bytes]:
    """Where cells stand when their curvature is taken, from now on."""
    make, places = whitening.make_whitening, []

    def making(*given):
        whiten = make(*given)

        def telling(x, *rest):
            places.append(np.asarray(x).tobytes())
            return whiten(x, *rest)

        return telling

    monkeypatch.setattr(whitening, "make_whitening", making)
    return places


@pytest.mark.parametrize(
    "first", [3, 8, *(pytest.param(one, marks=pytest.mark.slow) for one in (6, 12))]
)
def test_the_curvature_is_taken_again_wherever_the_rounds_begin(
    monkeypatch, tmp_path, first
):
    """A fit that ended between two rounds is given more steps."""
    split = _split()
    model = build.model("ln", split.spec, lags=4, rank=None)
    recipe: dict[str, Any] = {"settle": 1e-12, "patience": 100}
    recipe |= {"checkpoint": tmp_path / "checkpoint", "key": KEY}
    fit(model, split, **recipe, max_steps=first)
    places = _whitened_at(monkeypatch)
    fit(model, split, **recipe, max_steps=24)
    start, *rest = dict.fromkeys(places)
    assert len(rest) == 1, "and once only"
    places.clear()
    fit(model, split, **recipe, max_steps=40)
    assert list(dict.fromkeys(places)) == [start, *rest], "it is the same from there on"


@pytest.mark.parametrize("independent", [True, False])
@pytest.mark.parametrize("steps", [1, 13])
def test_lbfgs_takes_no_step_beyond_the_last(independent, steps):
    split = _split()
    model = build.model("ln", split.spec, lags=4, rank=None)
    model = model._replace(independent=independent)
    made = fit(model, split, key=KEY, max_steps=steps, settle=1e-12, patience=100)
    assert made.training["steps"] == steps == made.curve[-1]["step"]
    assert made.curve[-1]["train_loss"] < 3


@pytest.mark.slow
def test_correlated_features_do_not_slow_it_down():
    """Neighbours alike by 0.9: eigenvalues apart by 300, the optimum in 14 steps."""
    draw = np.random.default_rng(3)
    pixels, bins, cells = 24, 4000, 2
    x = draw.standard_normal((bins, pixels))
    for n in range(1, pixels):
        x[:, n] = 0.9 * x[:, n - 1] + np.sqrt(1 - 0.9**2) * x[:, n]
    weights = 0.1 * draw.standard_normal((pixels, cells))
    y = draw.poisson(np.exp(x @ weights - 1))[None].astype(np.float32)
    clip = Clip("all", x.astype(np.float32), y)
    split = Split(Spec((pixels,), cells, 0.01), (clip,), (clip,), ())
    settings: dict[str, Any] = {"window": pixels, "output_kind": "exp", "smooth": 0.0}
    model = build.model("ln", split.spec, lags=1, rank=None, **settings)

    def loss(model, steps: int) -> float:
        made = fit(model, split, key=KEY, settle=1e-9, patience=100, max_steps=steps)
        return made.curve[-1]["train_loss"]

    best = loss(model, 60)
    assert loss(model, 14) / best - 1 < 1e-5
    # As many steps do not do without each cell's own curvature.
    assert loss(model._replace(independent=False), 14) / best - 1 > 1e-4
