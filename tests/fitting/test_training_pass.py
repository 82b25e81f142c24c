"""A model whose fitted pass is its own: statistics that move, noise, and resuming."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.errors import BadSetting
from retina.fitting import descent
from retina.fitting.clips import tabulate
from retina.fitting.fit import fit
from retina.fitting.loss import validator
from retina.fitting.start import mean_counts
from retina.layers.batch_norm import batch_norm, training_pass
from retina.layers.door import door
from retina.layers.nonlinearity import pointwise
from retina.layers.readout import dense
from retina.parameter import to_free
from retina.stage import Model, Recipe, chain, memoryless
from retina.types import Split
from tests.fitting import synthetic

KEY = jax.random.key(0)
ADAM: dict[str, Any] = {"max_steps": 80, "clip_bins": 62, "batch": 16}


@pytest.fixture(scope="module")
def split() -> Split:
    """Two blocks of 496 bins after the skip: 16 clips of 62 bins, none overlapping."""
    return synthetic.split(synthetic.truth(), train=500, held_out=300)


def _model(split: Split, noise: float = 0.3) -> Model:
    """One bin's light, normalised, bent, weighed and normalised again."""
    cells = split.spec.cells
    units = (1, 1, 3)
    spread = np.array([1.0, -2.0, 0.5], np.float32)
    stages = (
        door(split.spec),
        memoryless(
            lambda p, x: x[..., None] * spread.reshape(1, 1, 3) + 2.0, about=("spread",)
        ),
        batch_norm(units),
        pointwise("relu"),
        dense(units, cells),
        batch_norm((cells,)),
        pointwise("softplus"),
    )
    stage = chain(*stages)
    return Model(
        "normed",
        split.spec,
        stage,
        recipe=Recipe("adam", learning_rate=1e-2),
        training=training_pass(stage, stages, noise=noise),
    )


def _bits(tree) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


class Interrupted(Exception):
    pass


def test_statistics_become_those_of_the_data(split):
    """A batch here is the whole of it, so they are met to rounding."""
    made = fit(_model(split), split, key=KEY, **ADAM)
    seen = np.concatenate([clip.stimulus[4:] for clip in split.train])
    x = seen[:, None] * np.array([1.0, -2.0, 0.5]) + 2.0
    found = made.params["batch_norm"]
    assert found["batches"] > 0
    np.testing.assert_allclose(found["mean"][0, 0], x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(found["variance"][0, 0], x.var(0), rtol=1e-4)


def test_what_is_judged_and_kept_has_the_statistics_of_that_moment(split):
    made = fit(_model(split), split, key=KEY, **ADAM)
    assert made.params["batch_norm2"]["batches"] == made.training["best_step"] > 0
    bits = validator(made.model, split.validation, made.null_rate)
    best = max(line["validation_bits"] for line in made.curve)
    assert float(np.mean(bits(made.params))) == pytest.approx(best, abs=1e-6)
    blank = made.model.stage.init(KEY)
    stale = {
        name: part | {k: blank[name][k] for k in ("mean", "variance") if k in part}
        for name, part in made.params.items()
    }
    assert float(np.mean(bits(stale))) < best - 0.01


def test_an_interrupted_fit_ends_at_the_same_bits(split, tmp_path):
    """Two seeds, with noise and batches that differ from step to step."""
    model, file = _model(split), tmp_path / "state"
    recipe: dict[str, Any] = ADAM | {"batch": 3, "max_steps": 120}
    whole = fit(model, split, key=KEY, seeds=2, **recipe)

    def interrupt(line) -> None:
        if line["step"] >= 40:
            raise Interrupted

    with pytest.raises(Interrupted):
        fit(
            model,
            split,
            key=KEY,
            seeds=2,
            checkpoint=file,
            progress=interrupt,
            **recipe,
        )
    again = fit(model, split, key=KEY, seeds=2, checkpoint=file, **recipe)
    assert _bits(whole.seeds) == _bits(again.seeds)
    assert whole.validation == again.validation
    assert [c["train_loss"] for c in whole.curve[1:]] == [
        c["train_loss"] for c in again.curve[1:]
    ]
    assert _bits(whole.seeds[0]) != _bits(whole.seeds[1])


def _walked(model, split, params, numbers, rate=1e-2, steps=20):
    table = tabulate(model, split.train, 62)
    free = jax.vmap(lambda p: to_free(model.stage.parameters, p))(params)
    order = np.stack([descent.shuffled(table, n, 0, steps, 2) for n in numbers])
    moving = descent.untrained(model, params), jnp.asarray(numbers, jnp.uint32)
    return descent.make_round(model, table, mean_counts(split.train))(
        descent.begin(free, moving),
        (params, {}),
        jnp.asarray(order),
        jnp.full((len(numbers), len(order[0])), rate, jnp.float32),
        table.stimulus,
        table.counts,
    )


def test_seeds_side_by_side_walk_as_they_would_alone(split):
    """Each with its own start, clips, noise and statistics."""
    model = _model(split)
    params = jax.vmap(model.stage.init)(jax.random.split(KEY, 2))
    together, losses = _walked(model, split, params, [5, 6])
    for seed in range(2):
        own = jax.tree.map(lambda a, s=seed: a[s : s + 1], params)
        alone, loss = _walked(model, split, own, [5 + seed])
        np.testing.assert_allclose(losses[seed], loss[0], rtol=1e-5)
        for name in ("free", "moving"):
            pairs = zip(
                jax.tree.leaves(getattr(together, name)),
                jax.tree.leaves(getattr(alone, name)),
                strict=True,
            )
            # Rounding in batched products, as in test_descent.
            for a, b in pairs:
                np.testing.assert_allclose(a[seed], b[0], atol=5e-4)
    assert not np.allclose(losses[0], losses[1], rtol=1e-3)


def test_noise_is_of_the_seed_and_of_the_step(split):
    """At rate 0, on a batch that never changes, the loss differs by the noise alone."""
    model = _model(split)
    params = jax.vmap(model.stage.init)(jax.random.split(KEY, 1))
    table = tabulate(model, split.train, 62)
    free = jax.vmap(lambda p: to_free(model.stage.parameters, p))(params)
    order = jnp.asarray(table.first[None, None, :2])  # one seed, one step
    round_ = descent.make_round(model, table, mean_counts(split.train))

    def losses(number: int) -> list[float]:
        moving = descent.untrained(model, params), jnp.array([number], jnp.uint32)
        walk, found = descent.begin(free, moving), []
        for _ in range(3):
            walk, loss = round_(
                walk,
                (params, {}),
                order,
                jnp.zeros((1, 1)),
                table.stimulus,
                table.counts,
            )
            found.append(float(loss[0, 0]))
        return found

    first = losses(1)
    assert len(set(first)) == 3
    assert losses(1) == first
    assert not set(losses(2)) & set(first)


def test_lbfgs_refuses_it_in_one_line(split):
    with pytest.raises(BadSetting) as told:
        fit(_model(split), split, key=KEY, optimiser="lbfgs")
    said = str(told.value)
    assert "\n" not in said and "'lbfgs'" in said and "normed" in said
    assert "optimiser=adam" in said
