"""Products in bfloat16: what is rounded, what is not, and a fit with it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from retina import build
from retina.errors import BadSetting
from retina.exact import in_float32
from retina.fitting.fit import fit
from retina.fitting.precision import in_bfloat16
from tests.fitting import synthetic

ROUND = 2.0**-8  # half the distance of two neighbours of 1, in bfloat16


def _rounded(x) -> np.ndarray:
    return np.asarray(x.astype(jnp.bfloat16).astype(jnp.float32))


def _drawn(*shape: int, seed: int = 0) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape, jnp.float32)


def test_factors_are_rounded_and_sums_are_not():
    a, b = _drawn(5, 300), _drawn(300, 4, seed=1)
    found = np.asarray(in_bfloat16(lambda a, b: a @ b)(a, b))
    exact = _rounded(a).astype(np.float64) @ _rounded(b).astype(np.float64)
    # Sums in bfloat16 would be off by a thousand times this.
    np.testing.assert_allclose(found, exact, atol=1e-4)
    assert np.abs(found - np.asarray(a @ b)).max() > 1e-3
    assert found.dtype == np.float32


def test_what_is_no_product_keeps_its_bits():
    x = _drawn(7, 3)

    def function(x):
        return jnp.exp(x) * x + jnp.sum(x)

    assert np.array_equal(in_bfloat16(function)(x), function(x))


def test_products_inside_loops_branches_and_gradients_are_found():
    w, x = _drawn(4, 4), _drawn(6, 4, seed=1)

    def loss(w, x):
        def step(carry, one):
            return jax.nn.relu(carry @ w + one), None

        last = lax.scan(step, jnp.zeros(4, jnp.float32), x)[0]
        return lax.cond(x[0, 0] > 9, jnp.sum, lambda v: v @ v, last)

    found = jax.jit(in_bfloat16(jax.grad(loss)))(w, x)
    plain = jax.grad(loss)(w, x)
    assert found.dtype == jnp.float32
    gap = float(jnp.abs(found - plain).max() / jnp.abs(plain).max())
    assert 1e-5 < gap < 10 * ROUND

    def convolve(w, x):
        image, kernel = x.reshape(1, 1, 6, 4), w.reshape(1, 1, 4, 4)[:, :, :2, :2]
        return jnp.sum(lax.conv(image, kernel, (1, 1), "SAME") ** 2)

    found, plain = (f(convolve)(w, x) for f in (in_bfloat16, lambda f: f))
    assert 1e-6 < abs(found - plain) / plain < 2 * ROUND


def test_an_accelerator_is_given_bfloat16(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    slope = in_bfloat16(jax.grad(lambda a, b: jnp.sum((a @ b) ** 2), argnums=(0, 1)))
    program = jax.make_jaxpr(slope)(_drawn(5, 3), _drawn(3, 4))
    products = [e for e in _equations(program) if e.primitive is lax.dot_general_p]
    assert len(products) == 3
    for one in products:
        assert {atom.aval.dtype for atom in one.invars} == {jnp.dtype(jnp.bfloat16)}
        assert one.outvars[0].aval.dtype == jnp.float32


def _equations(program):
    for equation in program.eqns:
        yield equation
        inner = equation.params.get("jaxpr")
        yield from () if inner is None else _equations(inner)


@pytest.mark.parametrize("name", ["lnln", "conv_gru"])
def test_a_fit_keeps_float32_and_loses_no_more_than_rounding(name: str):
    split = synthetic.split(synthetic.truth((4, 5)), train=300, held_out=200)
    small = {"subunits": 2, "size": 3, "lags": 4, "basis": 3}
    if name == "conv_gru":
        small = {"channels": 2, "sizes": (3, 2), "burn_in_s": 0.2}
    model = build.model(name, split.spec, **small)
    losses = {}
    for precision in ("float32", "bfloat16"):
        fitted = fit(
            model,
            split,
            key=jax.random.key(0),
            precision=precision,
            max_steps=40,
            clip_bins=32,
        )
        assert {leaf.dtype for leaf in jax.tree.leaves(fitted.params)} == {
            jnp.dtype("float32")
        }
        assert fitted.training["precision"] == precision
        losses[precision] = fitted.curve[-1]["train_loss"]
    gap = abs(losses["bfloat16"] / losses["float32"] - 1)
    assert 0 < gap < ROUND


def test_a_line_search_refuses_it():
    split = synthetic.split(synthetic.truth(), train=100, held_out=50)
    with pytest.raises(BadSetting, match="L-BFGS compares losses"):
        fit(
            build.model("ln", split.spec),
            split,
            key=jax.random.key(0),
            precision="bfloat16",
        )
    with pytest.raises(BadSetting, match="did you mean 'bfloat16'"):
        fit(
            build.model("ln", split.spec),
            split,
            key=jax.random.key(0),
            precision="bfloat",
        )


def test_verbs_ask_for_all_of_float32_on_any_device():
    def product(a, b):
        return jax.make_jaxpr(lambda a, b: a @ b)(a, b)

    whole = in_float32(product)(_drawn(5, 3), _drawn(3, 4))
    (one,) = [e for e in _equations(whole) if e.primitive is lax.dot_general_p]
    assert set(one.params["precision"]) == {lax.Precision.HIGHEST}
    # Nothing is left of it for the code around the verb.
    (one,) = _equations(product(_drawn(5, 3), _drawn(3, 4)))
    assert one.params["precision"] is None


def test_rounded_products_ask_for_nothing_more():
    run = in_float32(in_bfloat16(lambda a, b: a @ b))
    found = [
        e.params["precision"]
        for e in _equations(jax.make_jaxpr(run)(_drawn(5, 3), _drawn(3, 4)))
        if e.primitive is lax.dot_general_p
    ]
    assert found == [None]
