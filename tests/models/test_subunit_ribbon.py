"""Subunits with synapses: what is left of them where nothing is used up."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.fitting.loss import rates_of
from retina.types import Spec

SIZES = {"lags": 4, "subunits": 2, "size": 3}


@pytest.mark.parametrize("frame", [(6, 5), ()])
def test_without_use_it_is_lnln(frame):
    spec = Spec(frame, 3, 0.05)
    ours = build.model("subunit_ribbon", spec, **SIZES)
    plain = build.model("lnln", spec, nonlinearity="softplus", **SIZES)
    params = plain.stage.init(jax.random.key(0))
    bias = params.pop("bias")["bias"] + jnp.array([-0.5, 0.5])
    own = ours.stage.init(jax.random.key(1))
    same = {n: params[n] for n in own if n != "terminal"}
    terminal = own["terminal"] | {"bias": bias, "use": jnp.zeros(2)}
    x = jax.random.normal(jax.random.key(2), (20, *frame))
    counts = jnp.zeros((20, 3))
    without = jax.jit(lambda p: rates_of(plain, p, x, counts))
    rates = jax.jit(lambda p: rates_of(ours, p, x, counts))
    wanted = without(params | {"bias": {"bias": bias}})
    found = rates(same | {"terminal": terminal})
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    # And with use, release falls behind.
    used = terminal | {"use": jnp.full(2, 50.0)}
    after = rates(same | {"terminal": used})
    assert np.abs(after - wanted).max() > 0.05
