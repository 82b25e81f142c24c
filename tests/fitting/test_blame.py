"""A fit that stops being finite says at which step, bin, part and parameter."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from retina import build
from retina.circuit.circuit import circuit
from retina.circuit.declaration import Circuit, Projection
from retina.circuit.kernels import dense
from retina.circuit.population import Population
from retina.errors import Diverged
from retina.fitting.blame import blame, origin
from retina.fitting.clips import tabulate
from retina.fitting.fit import fit
from retina.fitting.loop import Loop
from retina.parameter import Parameter
from retina.recipe import Recipe
from retina.stage import Model, Stage, chain, memoryless, recurrent
from retina.types import Clip, Spec
from tests.fitting import synthetic

BIN_S = 0.05
SPEC = Spec((), 2, BIN_S)
NULL = np.full(2, 0.5)


def runaway(spec: Spec, fast: float = 0.5, step=None) -> Model:
    """Explicit Euler of ds/dt = k (x - s): above 2 per bin it swings without end.

    Soon far above, and no slope warns of it: a fit would turn back.
    """

    def euler(params, state, x):
        k = params["k_fast"]
        k = k + lax.stop_gradient(30 * jnp.maximum(k - 2, 0))
        state = state + (x[None] - state) * k
        return state, state

    bound = recurrent(
        step or euler,
        start=lambda params, key=None: jnp.zeros(spec.cells, jnp.float32),
        init=lambda key: {
            "k_fast": jnp.full(spec.cells, fast, jnp.float32),
        },
        parameters={"k_fast": Parameter(fast, "1/bin", axes=("cell",))},
        about=("runaway",),
        burn_in_s=0.5,
    )
    rate = memoryless(
        lambda params, x: jax.nn.softplus(x + params["bias"]),
        init=lambda key: {"bias": jnp.full(spec.cells, 2.0, jnp.float32)},
        parameters={"bias": Parameter(axes=("cell",))},
        about=("rate",),
    )
    return Model("runaway", spec, chain(bound, rate))


def _found(model: Model, clips: tuple[Clip, ...], bins: int = 400, step: int = 7):
    table = tabulate(model, clips, bins)
    params = model.stage.init(jax.random.key(0))
    return blame(model, table, clips, NULL, params, table.first, step)


def _blocks(trials: int = 1) -> tuple[Clip, ...]:
    true = synthetic.truth()
    return tuple(
        synthetic.clip(true, 600, seed, trials=trials, skip=0, name=f"b{seed}")
        for seed in range(2)
    )


def test_a_row_of_a_table_is_found_in_its_block_and_trial():
    clips = _blocks(trials=3)
    table = tabulate(runaway(SPEC), clips, 77)
    stimulus, counts = np.asarray(table.stimulus), np.asarray(table.counts)
    for row in table.first:
        name, trial, begin = origin(clips, row)
        block = clips[int(name[1:])]
        size = table.lead + table.bins
        shown = stimulus[row[0] : row[0] + size]
        assert np.array_equal(shown, block.stimulus[begin : begin + size])
        heard = counts[row[1] + 1 : row[1] + 1 + size]
        assert np.array_equal(heard, block.response[trial, begin : begin + size])


def test_the_bin_is_where_the_equation_leaves_the_numbers():
    """Swings grow as |1 - k|^t, k being 2.1 + 3: 1e18 after ln 1e18 / ln 4.1 = 29."""
    found = _found(runaway(SPEC, fast=2.1), _blocks())
    assert (found.block, found.trial, found.part) == ("b0", 0, "runaway")
    assert 25 < found.bin < 36
    assert found.parameter == "runaway.k_fast" and found.unit == "1/bin"
    assert found.value == pytest.approx(2.1)
    said = str(found)
    assert "after 7 steps, in bin" in said and "'runaway' gave " in said
    assert "runaway.k_fast, then 2.1 1/bin" in said


def test_of_a_circuit_the_cells_that_ran_away_are_blamed():
    """Not the first of all whose slope is lost with them, a synapse onto them."""

    def swinging(cells: int, dt_s: float) -> Stage:
        return recurrent(
            lambda params, v, x: (v + (x - v) * params["k"],) * 2,
            start=lambda params, key=None: jnp.zeros(cells),
            init=lambda key: {"k": jnp.full(cells, 5.0)},
            parameters={"k": Parameter(5.0, "1/bin", axes=("cell",))},
            about=("swinging",),
        )

    calm, wild = Population("calm", (1,)), Population("wild", (2,), swinging)
    made = circuit(Circuit((calm, wild), (Projection("calm", "wild", dense()),)), BIN_S)
    _, rate = runaway(SPEC).stage.parts[-1]
    found = _found(Model("made", SPEC, chain(made, rate)), _blocks())
    assert (found.part, found.parameter, found.value) == (
        "circuit",
        "circuit.wild.k",
        5,
    )
    assert 25 < found.bin < 36


def test_a_bin_in_a_later_block_and_clip_is_counted_from_its_block():
    blocks = _blocks()
    stimulus = blocks[1].stimulus.copy()
    stimulus[321] = np.float32(3e38)
    spoilt = (blocks[0], dataclasses.replace(blocks[1], stimulus=stimulus))
    found = _found(runaway(SPEC, fast=1.5), spoilt, bins=50)
    assert (found.block, found.bin, found.part) == ("b1", 321, "runaway")


def test_a_slope_alone_that_is_not_finite_is_found_backwards():
    """sqrt has a finite value and an infinite slope at 0: bin 300 alone is there."""

    def step(params, state, x):
        y = jnp.sqrt(jnp.abs(params["k_fast"] * x[None]))
        return state, y

    blocks = _blocks()
    stimulus = blocks[0].stimulus.copy()
    stimulus[300] = 0.0
    spoilt = (dataclasses.replace(blocks[0], stimulus=stimulus), blocks[1])
    found = _found(runaway(SPEC, step=step), spoilt)
    assert (found.block, found.bin, found.part) == ("b0", 300, "runaway")
    assert "has a slope of" in found.did and found.parameter == "runaway.k_fast"


def test_what_is_sound_blames_the_rest_of_the_loss():
    found = _found(runaway(SPEC), _blocks())
    assert found.part == "" and "its penalty or its training pass" in str(found)


def test_a_penalty_is_blamed_on_its_parameter():
    """sqrt of what is 0 at the start: a number, and its slope is none."""
    model = runaway(SPEC)._replace(
        penalty=lambda params: jnp.sum(jnp.sqrt(params["rate"]["bias"] - 2))
    )
    found = _found(model, _blocks())
    assert (found.part, found.parameter, found.value) == ("", "rate.bias", 2.0)
    assert "its training pass is not, and the slope of rate.bias, then 2," in str(found)


class Spoiling:
    """A walker whose second round ends on numbers that are none, its loss still one."""

    walk, last, every, settled = 0, np.zeros(1), 1, False
    judged = fixed = {"a": jnp.ones(1)}

    @property
    def sound(self) -> np.ndarray:
        return np.array([self.walk < 2])

    def advance(self, step: int, rate: np.ndarray) -> tuple[np.ndarray, int]:
        self.walk += 1
        return np.array([1.0 if self.walk < 3 else np.nan]), 1

    def rate(self, step: int, rate: np.ndarray) -> float:
        return 1.0


def test_the_round_is_retraced_whose_last_step_spoilt_the_numbers():
    """Not the next one, whose loss is the first to be lost: it begins on nothing."""
    asked = []

    def blamed(before, step, rate, lane):
        asked.append((before, step))

    def bits(params):
        return np.ones(1), np.ones(1)

    loop = Loop(Spoiling(), {"a": Parameter()}, bits, Recipe(), 0.0, blame=blamed)
    with pytest.raises(Diverged, match="between steps 2 and 3"):
        loop.run(runaway(SPEC), {}, None, None)
    assert asked == [(1, 1)]


@pytest.fixture(scope="module")
def split():
    return synthetic.split(synthetic.truth(), train=600, held_out=300)


def _climbing(split) -> Model:
    """A penalty drives the rate constant up, through the bound of explicit Euler."""
    model = runaway(split.spec)
    return model._replace(
        penalty=lambda params: -1e2 * jnp.mean(params["runaway"]["k_fast"])
    )


def test_a_fit_that_diverges_tells_and_records_where(split):
    made = fit(
        _climbing(split),
        split,
        key=jax.random.key(0),
        seeds=2,
        schedule="linear",  # rises by 0.0012 a step: what comes first goes well
        learning_rate=2.4,
        clip_bins=200,
        max_steps=100_000,
    )
    training, told = made.training, made.training["diverged"]
    assert told["part"] == "runaway" and told["parameter"] == "runaway.k_fast"
    assert told["block"] in ("clip0", "clip1") and 0 <= told["bin"] < 600
    assert told["value"] > 2
    assert f"in bin {told['bin']} of block {told['block']!r}" in training["stopped"]
    assert 40 <= told["step"] < training["steps"] + 40
    kept = np.asarray(made.params["runaway"]["k_fast"])
    assert np.all(np.isfinite(kept)) and np.all(kept < told["value"])


def test_a_fit_that_diverges_at_once_says_where_as_well(split):
    with pytest.raises(Diverged, match=r"'runaway' gave .*k_fast, then 5 1/bin"):
        fit(runaway(split.spec, 5.0), split, key=jax.random.key(0), max_steps=40)


def test_lbfgs_says_where_as_well(split):
    model = build.model("ln", split.spec, lags=4, rank=None, output_kind="exp")

    def spoilt(params, clips):
        own = params["space_time"]
        lost = own | {"filters": own["filters"].at[1].set(jnp.nan)}
        return params | {"space_time": lost}

    with pytest.raises(Diverged, match="'space_time' gave nan"):
        fit(model._replace(warm_start=spoilt), split, key=jax.random.key(0))
