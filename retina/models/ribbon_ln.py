"""Linear filter, release at a ribbon, output: the LN model with one real synapse."""

from __future__ import annotations

from retina.circuit.synapses.gated import gated
from retina.circuit.synapses.rungs import RUNGS
from retina.errors import at_least_zero
from retina.fitting.start import mean_counts
from retina.layers.nonlinearity import output, output_from_mean
from retina.layers.standardise import from_measured, measured, standardise
from retina.models.ln import roughness, stimulus_filter
from retina.models.lnk import affine, unit_drive
from retina.recipe import Recipe
from retina.stage import Model, Stage, chain
from retina.types import Spec


def ribbon_ln(
    spec: Spec,
    /,
    *,
    lags: int = 30,
    rank: int = 2,
    basis: int | None = None,
    window: int = 13,
    rung: str = "depletion",
    output_kind: str = "softplus",
    smooth: float = 1e-4,
) -> Model:
    """The LN drive gates release at a ribbon that runs down and refills.

    lags, rank, basis, window, output_kind, smooth: as in `ln`.
    rung:   the synapse, up the ladder: static (no state: a delta), exponential, alpha,
            double_exponential (leaks that add up), conductance (onto a passive
            compartment), nmda (with a magnesium block), tsodyks_markram (facilitation
            and depletion), depletion (one pool), fast_kinetic (three states), kinetic
            (the four states of `lnk`), ribbon_cycle (four pools), ribbon_quanta (docked
            and waiting vesicles), markov_8, markov_16 or markov_32 (so many states in a
            row). The drive is graded, so all are driven by a rate: of events the mean.
            Equations of each: `retina.circuit.synapses`; the names are those of
            `release` in `circuit`.
    source: Schroeder, James, Lagnado & Berens 2019, NeurIPS 32 (LN
            and ribbon); `retina.circuit.synapses` for each rung's own.

    >>> ribbon_ln(Spec((), 2, 1 / 30)).stage.burn_in_s
    6.0
    """
    at_least_zero(smooth=smooth)
    cells = (spec.cells,)
    stages, warm = stimulus_filter(spec, lags, rank, basis, window)
    front = [*stages, gated(cells, spec.bin_s, rung)]

    def whole(*front: Stage) -> Stage:
        last = output(output_kind, spec.cells)
        return chain(*front, standardise(cells), affine(spec.cells, 1.0), last)

    def drawn() -> Stage:
        return whole(*stages, gated(cells, spec.bin_s, rung, drawn=True))

    def warm_start(params, clips):
        started = warm(params, clips)
        # The average's filter gives a drive of about its own size; the gate wants one.
        started["temporal"] = {"weights": unit_drive(started)}
        params = params | started
        released = from_measured(measured(front, params, clips))
        start = output_from_mean(output_kind, params["output"], mean_counts(clips))
        return params | {"standardise": released, "output": start}

    return Model(
        "ribbon_ln",
        spec,
        whole(*front),
        warm_start=warm_start,
        penalty=lambda params: smooth * roughness(params),
        recipe=Recipe("adam", learning_rate=3e-2, clip_bins=512, batch=16),
        drawn=drawn if RUNGS[rung].drawn else None,
    )
