"""Our side of the benchmarks of mechanistic models: LNK cells, and a circuit."""

from __future__ import annotations

import resource
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import retina
from benchmarks import inputs
from benchmarks.ours import our_versions
from benchmarks.worker import Work
from retina.circuit.circuit import circuit
from retina.circuit.declaration import Circuit, Projection
from retina.circuit.kernels import one_to_one
from retina.circuit.listed import listed
from retina.circuit.membrane import membrane, potential
from retina.circuit.population import Population
from retina.circuit.synapses.conductance import conductance
from retina.circuit.synapses.exponential import exponential
from retina.circuit.synapses.synapse import Synapse
from retina.fitting.loss import poisson, rates_of
from retina.stage import Model, Params, Stage, chain
from retina.types import Spec


def lnk_model(settings: dict[str, Any]) -> tuple[Model, Params, jax.Array, jax.Array]:
    """The model, its drawn parameters, and what it is shown and held against.

    settings["plain"]: every state of a clip is kept for the gradient.
    """
    drawn = inputs.lnk(settings)
    spec = Spec((), settings["cells"], settings["bin_s"])
    model = retina.model("lnk", spec, lags=settings["lags"], rank=None, smooth=0.0)
    params = model.stage.init(jax.random.key(0))
    shape = params["space_time"]["filters"].shape
    params["space_time"] |= {"filters": jnp.asarray(drawn["filters"].T).reshape(shape)}
    params["kinetics"] = {n: jnp.asarray(drawn[n]) for n in params["kinetics"]}
    params["output"] = {
        "bias": jnp.full(spec.cells, -2.0),
        "gain": jnp.full(spec.cells, 0.5),
    }
    if settings.get("plain"):
        parts = [
            plain(part) if name == "kinetics" else part
            for name, part in model.stage.parts
        ]
        model = model._replace(stage=chain(*parts))
    return model, params, jnp.asarray(drawn["stimulus"]), jnp.asarray(drawn["counts"])


def plain(stage: Stage) -> Stage:
    """A recurrent stage whose clip is one uncut scan."""

    def apply(params, state, x):
        return lax.scan(lambda s, x_t: stage.step(params, s, x_t), state, x)

    return stage._replace(apply=apply)


def loss_of(model: Model):
    null = jnp.ones(model.spec.cells, jnp.float32)

    def loss(params, stimulus, counts):
        return poisson(rates_of(model, params, stimulus, counts), counts, null)

    return loss


def lnk_forward(settings: dict[str, Any]) -> Work:
    model, *data = lnk_model(settings)
    run = jax.jit(loss_of(model)).lower(*data).compile()

    def step() -> dict[str, Any]:
        return {"loss": float(run(*data))}

    return Work(step, our_versions())


def lnk_gradient(settings: dict[str, Any]) -> Work:
    """Value and slope of all parameters; what the compiler sets aside for it as well.

    settings["long"]: bins of a recording for which the program is planned, not run.
    """
    model, *data = lnk_model(settings)
    slope = jax.jit(jax.value_and_grad(loss_of(model), allow_int=True))
    run = slope.lower(*data).compile()
    long = settings["long"]
    shapes = (
        data[0],
        jax.ShapeDtypeStruct((long,), jnp.float32),
        jax.ShapeDtypeStruct((long, settings["cells"]), jnp.float32),
    )
    parts = dict(model.stage.parts)
    about = {
        "temporary_bytes": set_aside(run),
        "long_temporary_bytes": set_aside(slope.lower(*shapes).compile()),
        "kinetics_bytes": planned_for(parts["kinetics"], long, settings["cells"]),
    }

    def step() -> dict[str, Any]:
        value, slopes = run(*data)
        jax.block_until_ready(slopes)
        return {"loss": float(value), "peak_bytes": peak_bytes()}

    return Work(step, our_versions(), about=about)


def planned_for(stage: Stage, bins: int, cells: int) -> int:
    """Bytes that the compiler sets aside for the gradient of one stage of a clip."""

    def loss(params, x):
        return jnp.sum(jnp.square(stage.apply(params, stage.start(params), x)[1]))

    params = stage.init(jax.random.key(0))
    x = jax.ShapeDtypeStruct((bins, cells), jnp.float32)
    lowered = jax.jit(jax.value_and_grad(loss)).lower(params, x)
    return set_aside(lowered.compile())


def set_aside(compiled: jax.stages.Compiled) -> int:
    """Bytes of temporary arrays, as the compiler has planned them."""
    planned = compiled.memory_analysis()
    assert planned is not None
    return planned.temp_size_in_bytes


def peak_bytes() -> int:
    """The most memory this process ever had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def network(settings: dict[str, Any]) -> Work:
    """The circuit as one stage; what every cell releases in every step."""
    stage, params, drive = declared(settings)
    run = jax.jit(lambda p, x: stage.apply(p, stage.start(p), x)[1])
    run = run.lower(params, drive).compile()

    def step() -> dict[str, Any]:
        released = np.asarray(run(params, drive))
        return {"loss": float(released.std(axis=0).mean())}

    return Work(step, our_versions(), settings["bins"])


def declared(settings: dict[str, Any]) -> tuple[Stage, Params, jax.Array]:
    """See `benchmarks.circuit`: stage, its values, and the current, (bins, cell) pA."""
    drawn, fixed = inputs.network(settings), inputs.NETWORK
    cells, dt_s = settings["cells"], settings["dt_s"]
    body = Population("cells", (cells,), membrane, dt_s, voltage=potential)
    # All inhibit through a compartment: a population projects once to each other.
    ends = Population("inhibiting", (cells,), part_of="cells")

    def from_list(kind: str):
        return listed(drawn[f"{kind}_from"], drawn[f"{kind}_by"])

    def pulling(kind: str):
        def rung(count: int, dt_s: float) -> Synapse:
            return conductance(exponential(count, dt_s), fixed[f"{kind}_mv"])

        return rung

    projections = (
        Projection("cells", "inhibiting", one_to_one(trained=False)),
        Projection("cells", "cells", from_list("excite"), pulling("excite"), delay=1),
        Projection(
            "inhibiting", "cells", from_list("inhibit"), pulling("inhibit"), delay=1
        ),
    )
    stage = circuit(Circuit((body, ends), projections, output="cells"), dt_s)
    params = stage.init(jax.random.key(0))
    params["cells"] |= {
        "g_leak": jnp.float32(fixed["leak_ns"]),
        "e_leak_mv": jnp.float32(fixed["leak_mv"]),
        "c_nf": jnp.float32(fixed["c_nf"]),
        "threshold_mv": jnp.full(cells, fixed["threshold_mv"], jnp.float32),
        "softness_mv": jnp.float32(fixed["softness_mv"]),
    }
    for name, kind in (("conductance", "excite"), ("conductance2", "inhibit")):
        tau_s = jnp.float32(fixed[f"{kind}_ms"] / 1e3)
        params[f"cells~{name}"] |= {"tau_s": tau_s}
    return stage, params, jnp.asarray(drawn["drive"])
