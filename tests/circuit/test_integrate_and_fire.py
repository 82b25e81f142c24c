"""Integrate-and-fire cells against their equations, and what renewal theory says."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from retina.circuit.integrate_and_fire import SAFE_S, integrate_and_fire
from retina.costs.flops import count_step
from retina.errors import BadSetting
from retina.fitting.simulate import simulate
from retina.stage import Model, chain, memoryless
from retina.types import Spec

BIN_S = 0.008


def _solved(p, drive, counts, adaptive: bool, hazard: str):
    """V and w at the ends of bins and the hazard's mean over them, by LSODA."""
    state, rows = [p["bias"], 0.0, 0.0], []
    for u, n in zip(drive, np.concatenate([[0.0], counts[:-1]]), strict=True):
        v, w, _ = state
        state = [p["reset"] if n > 0 else v, w + p.get("jump", 0.0) * n, 0.0]

        def slope(_, s, u=u):
            dv = (u + p["bias"] - s[1] - s[0]) / p["tau_s"]
            dw = -s[1] / p["tau_w_s"] if adaptive else 0.0
            rate = (
                np.exp(s[0]) if hazard == "exp" else p["gain"] * np.logaddexp(0, s[0])
            )
            return [dv, dw, rate]

        solved = solve_ivp(slope, (0, BIN_S), state, "LSODA", rtol=1e-9, atol=1e-11)
        state = list(solved.y[:, -1])
        rows.append([state[0], state[1], state[2] / BIN_S])
    return np.array(rows).T


def _train(bins: int = 60):
    generator = np.random.default_rng(0)
    drive = np.repeat(generator.normal(1.0, 2.0, bins // 4), 4)
    return drive, generator.poisson(0.3, bins).astype(float)


@pytest.mark.parametrize("hazard", ["softplus", "exp"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_between_spikes_it_is_its_equation(adaptive: bool, hazard: str):
    """V and w to float64; the hazard at middles of stretches to their second order."""
    drive, counts = _train()
    heard = np.concatenate([[0.0], counts[:-1]])
    errors = []
    with jax.enable_x64(True):
        for dt_s in (SAFE_S, SAFE_S / 2):
            stage = integrate_and_fire(
                1, BIN_S, adaptive=adaptive, hazard=hazard, dt_s=dt_s
            )
            params = {
                n: jnp.asarray(v, "f8")
                for n, v in stage.init(jax.random.key(0)).items()
            }
            params["reset"] -= 7  # by ten softnesses
            params["tau_s"] = jnp.full(1, stage.parameters["tau_s"].low)
            params["bias"] -= 1
            exact = _solved(
                {n: float(v[0]) for n, v in params.items()},
                drive,
                counts,
                adaptive,
                hazard,
            )

            def one(state, now, stage=stage, params=params):
                state, rate = stage.step(params, state, now)
                return state, (state["V"], state.get("w", state["V"]), rate)

            signal = tuple(jnp.asarray(a[:, None], "f8") for a in (drive, heard))
            _, (v, w, rate) = jax.lax.scan(one, stage.start(params), signal)
            np.testing.assert_allclose(v[:, 0], exact[0], atol=1e-6)
            if adaptive:
                np.testing.assert_allclose(w[:, 0], exact[1], atol=1e-6)
            errors.append(np.abs(rate[:, 0] / exact[2] - 1).max())
    assert errors[0] < 0.05
    assert 3.5 < errors[0] / errors[1] < 4.5


def test_without_spikes_it_settles_at_the_output_without_memory():
    stage = integrate_and_fire(2, 0.005)
    params = stage.init(jax.random.key(0)) | {"bias": jnp.array([-1.0, 0.5])}
    x = jnp.full((40, 2), 0.7)
    _, rate = stage.apply(params, stage.start(params), (x, jnp.zeros((40, 2))))
    expected = 0.5 * np.logaddexp(0, 0.7 + np.array([-1.0, 0.5]))
    np.testing.assert_allclose(rate[-1], expected, rtol=1e-4)


def _silent_after_a_spike(stage, params, drive: float, bins: int) -> np.ndarray:
    x = jnp.full((bins, 1), drive)
    counts = jnp.zeros((bins, 1)).at[0].set(1)
    return np.asarray(stage.apply(params, stage.start(params), (x, counts))[1])[:, 0]


def test_an_adaptation_current_outlasts_the_reset():
    """What is missing 60 ms after a spike: of the reset e^-6 is left, of w e^-0.6."""
    lasting = {}
    for adaptive in (False, True):
        stage = integrate_and_fire(1, 0.002, adaptive=adaptive)
        rate = _silent_after_a_spike(stage, stage.init(jax.random.key(0)), 1.0, 400)
        lasting[adaptive] = 1 - rate[30] / rate[-1]
        assert rate[0] < 0.3 * rate[-1]
    assert lasting[False] < 0.02 < 0.1 < lasting[True]


def test_running_freely_it_fires_as_a_renewal_process():
    """A cell that forgets all at a spike: its mean count is that of survival S,
    sum S_k r_k / sum S_k, r_k expected in the k-th bin after a spike."""
    stage = integrate_and_fire(200, 0.002)
    alone = integrate_and_fire(1, 0.002)
    params = alone.init(jax.random.key(0))
    hazard = _silent_after_a_spike(alone, params, -1.0, 400)
    survival = np.exp(-np.concatenate([[0.0], np.cumsum(hazard)[:-1]]))
    # Counts are Poisson within a bin: more than one are one reset.
    expected = (survival * hazard).sum() / survival.sum()
    whole = chain(
        memoryless(lambda params, x: jnp.broadcast_to(x, 200), about=("same",)), stage
    )
    model = Model("cells", Spec((), 200, 0.002), whole)
    many = {"same": {}, stage.name: {n: jnp.tile(v, 200) for n, v in params.items()}}
    x = np.full(600, -1.0, np.float32)
    counts = simulate(model, many, x, key=jax.random.key(1))[0, 100:]
    error = counts.mean(0).std() / np.sqrt(200)
    assert abs(counts.mean() - expected) < 4 * error
    # And not that of a cell which hears no spikes.
    assert abs(counts.mean() - hazard[-1]) > 20 * error


def test_gradients_stay_finite_at_the_ends():
    stage = integrate_and_fire(2, 0.02, adaptive=True)
    params = stage.init(jax.random.key(0))
    x = jnp.asarray(np.tile([[80.0, -80.0], [-80.0, 80.0]], (20, 1)), jnp.float32)
    counts = jnp.asarray(np.tile([[0.0, 30.0], [5.0, 0.0]], (20, 1)), jnp.float32)

    def total(params):
        return jnp.sum(stage.apply(params, stage.start(params), (x, counts))[1])

    slopes = jax.jit(jax.grad(total))(params)
    for name, slope in slopes.items():
        assert np.all(np.isfinite(slope)) and np.any(slope != 0), name


def test_its_price_is_its_readings():
    """A reading: 2 for V, 10 for e^V, 1 for the sum; softplus 24 in place of the 10.
    Beside them, the bias, V above it and at the bin's end, and the mean: 5."""

    def counted(bin_s: float, **settings):
        stage = integrate_and_fire(1, bin_s, **settings)
        params = stage.init(jax.random.key(0))
        signal = jnp.zeros(1), jnp.zeros(1)
        return count_step(stage, params, signal)[1]

    for hazard, each in (("exp", 13), ("softplus", 27)):
        flops = [counted(bin_s, hazard=hazard).flops for bin_s in (0.002, 0.004, 0.032)]
        assert flops[1] - flops[0] == each and flops[2] - flops[0] == 15 * each
    assert counted(0.002, hazard="exp").flops == 13 + 5
    # w: what a spike adds 2, its part of V 2 a reading, at the end 3.
    more = counted(0.002, hazard="exp", adaptive=True).flops
    assert more == 13 + 5 + 2 + 2 + 3
    with pytest.raises(BadSetting, match="dt_s 0.01 s is not safe; give 0.002 s"):
        counted(0.02, dt_s=0.01)
    with pytest.raises(BadSetting, match="hazard 'softplu': did you mean 'softplus'"):
        counted(0.02, hazard="softplu")
