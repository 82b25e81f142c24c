"""Subunits whose release depletes, each by itself, before cells pool it."""

from __future__ import annotations

import jax.numpy as jnp

from retina.circuit.synapses.gated import gated
from retina.circuit.synapses.rungs import RUNGS
from retina.errors import at_least_one, at_least_zero
from retina.fitting.start import mean_counts
from retina.layers.convolution import conv2d, output_shape
from retina.layers.door import door, image_shape, one_channel
from retina.layers.fir import fir
from retina.layers.nonlinearity import output, output_from_mean
from retina.layers.readout import dense
from retina.models.ln import courses_for
from retina.models.lnln import look
from retina.recipe import Recipe
from retina.stage import Model, Stage, before, chain
from retina.types import Spec


def subunit_ribbon(
    spec: Spec,
    /,
    *,
    lags: int = 30,
    basis: int | None = None,
    subunits: int = 8,
    size: int = 9,
    rung: str = "depletion",
    output_kind: str = "softplus",
    shrink: float = 1e-2,
) -> Model:
    """The `lnln` model with a synapse in the place of each subunit's nonlinearity.

    lags, basis, subunits, size, output_kind, shrink: as in `lnln`.
    rung:   the synapse, as in `ribbon_ln`. Its numbers belong to the kind of subunit;
            its state, one pool with depletion, to each kind at each place. With nothing
            used up it is `lnln` with softplus.
    source: Maheswaranathan et al. 2018, doi 10.1371/journal.pcbi.1006291 (subunits);
            Brown & Masland 2001, Nat Neurosci 4:44 (adaptation of areas smaller than
            the receptive field); `retina.circuit.synapses` for each rung's own.

    >>> subunit_ribbon(Spec((20, 20), 3, 0.01), subunits=2).stage.burn_in_s
    6.0
    """
    at_least_one(lags=lags, basis=basis, subunits=subunits, size=size)
    at_least_zero(shrink=shrink)
    image = image_shape(spec)
    seen = (*image, 1)
    places = output_shape(seen, subunits, size)

    def whole(drawn: bool = False) -> Stage:
        return chain(
            door(spec),
            one_channel(),
            conv2d(seen, subunits, size, bias=False),
            fir(places, lags, basis=courses_for(image, lags, basis)),
            gated(places, spec.bin_s, rung, axis="subunit", drawn=drawn),
            dense(places, spec.cells),
            output(output_kind, spec.cells),
        )

    def warm_start(params, clips):
        params = params | look(spec, params, clips, lags, places)
        counts = mean_counts(clips)
        start = output_from_mean(output_kind, params["output"], counts)
        return params | {"output": start}

    def penalty(params):
        return shrink * jnp.mean(jnp.square(params["dense"]["weights"]))

    stage = whole()
    return Model(
        "subunit_ribbon",
        spec,
        stage,
        warm_start=warm_start,
        penalty=penalty,
        recipe=Recipe(
            learning_rate=2e-2, clip_bins=512, batch=1, in_turn=image != (1, 1)
        ),
        core=before(stage, "dense"),
        drawn=(lambda: whole(True)) if RUNGS[rung].drawn else None,
    )
