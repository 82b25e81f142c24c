"""The order of clips, and many seeds in one dispatch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.fitting import descent
from retina.fitting.clips import Table, tabulate
from retina.fitting.start import mean_counts
from retina.parameter import to_free
from tests.fitting import synthetic


def _table(clips: int) -> Table:
    """A table of which only the rows matter: row n is (n, 10 n)."""
    rows = np.arange(clips, dtype=np.int32)
    first = np.stack([rows, 10 * rows], 1)
    nothing = jnp.zeros((1, 1))
    return Table(nothing, nothing, first, np.zeros(clips, np.int32), 0, 1)


def test_each_epoch_is_a_permutation():
    """Also where the epoch's end falls in the middle of a batch."""
    clips, batch, epochs = 7, 3, 6
    drawn = descent.shuffled(_table(clips), 5, 0, clips * epochs // batch, batch)
    assert drawn.shape == (clips * epochs // batch, batch, 2)
    assert np.array_equal(drawn[..., 1], 10 * drawn[..., 0])
    by_epoch = drawn[..., 0].reshape(epochs, clips)
    for epoch in by_epoch:
        assert sorted(epoch) == list(range(clips))
    assert len({tuple(epoch) for epoch in by_epoch}) > 1


def test_a_step_sees_what_it_would_have_seen_without_an_interruption():
    table = _table(11)
    whole = descent.shuffled(table, 3, 0, 20, 4)
    for step in (1, 7, 13):
        assert np.array_equal(descent.shuffled(table, 3, step, 5, 4), whole[step:][:5])
    assert not np.array_equal(descent.shuffled(table, 4, 0, 20, 4), whole)


def test_a_batch_larger_than_an_epoch_is_filled_from_the_next():
    drawn = descent.shuffled(_table(3), 0, 0, 2, 6)[..., 0]
    assert np.bincount(drawn.ravel(), minlength=3).tolist() == [4, 4, 4]


def _walked(model, table, null, params, order, rate):
    free = jax.vmap(lambda p: to_free(model.stage.parameters, p))(params)
    round_ = descent.make_round(model, table, null)
    seeds = len(order)
    return round_(
        descent.begin(free),
        (params, {}),
        jnp.asarray(order),
        jnp.full((seeds, len(order[0])), rate, jnp.float32),
        table.stimulus,
        table.counts,
    )


@pytest.mark.slow
def test_seeds_side_by_side_walk_as_they_would_alone():
    """Each with its own start and its own order of clips."""
    split = synthetic.split(synthetic.truth(), train=400)
    model = build.model("lnln", split.spec, lags=5, basis=3, subunits=2)
    null = mean_counts(split.train)
    table = tabulate(model, split.train, 64)
    params = jax.vmap(model.stage.init)(jax.random.split(jax.random.key(0), 2))
    order = np.stack([descent.shuffled(table, seed, 0, 20, 2) for seed in range(2)])
    together, losses = _walked(model, table, null, params, order, 1e-2)
    for seed in range(2):
        alone, loss = _walked(
            model,
            table,
            null,
            jax.tree.map(lambda a, s=seed: a[s : s + 1], params),
            order[seed : seed + 1],
            1e-2,
        )
        # Batched products round differently, and Adam, which divides by the slope's
        # size, carries that on for 20 steps of 1e-2: far less than one step is left.
        for a, b in zip(
            jax.tree.leaves(together.free), jax.tree.leaves(alone.free), strict=True
        ):
            np.testing.assert_allclose(a[seed], b[0], atol=5e-4)
        np.testing.assert_allclose(losses[seed], loss[0], rtol=1e-4)
    assert not np.allclose(losses[0], losses[1], rtol=1e-3)


def test_the_average_starts_at_the_start_and_follows():
    """What validation judges lies between the start and where the walk is."""
    split = synthetic.split(synthetic.truth(), train=400)
    model = build.model("ln", split.spec, lags=4, rank=None)
    table = tabulate(model, split.train, 64)
    params = jax.vmap(model.stage.init)(jax.random.split(jax.random.key(0), 1))
    order = descent.shuffled(table, 0, 0, 10, 2)[None]
    # At rate 0 nothing moves; the average of equal values is that value.
    still, _ = _walked(model, table, mean_counts(split.train), params, order, 0.0)
    for a, b in zip(
        jax.tree.leaves(still.average), jax.tree.leaves(still.free), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert still.steps.tolist() == [10]
