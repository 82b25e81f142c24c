"""A mechanistic circuit from cones to ganglion cells, fitted to spikes by gradient."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp

from retina.circuit.circuit import circuit as stage_of
from retina.circuit.cones import CASCADE
from retina.circuit.declaration import Circuit, without
from retina.circuit.integrate_and_fire import integrate_and_fire
from retina.circuit.phototransduction import KINDS
from retina.circuit.standard import PIXEL_UM, SLOWEST_S, standard
from retina.circuit.synapses.rungs import RUNGS
from retina.errors import (
    BadSetting,
    UnknownName,
    at_least_one,
    at_least_zero,
    nearest,
)
from retina.layers.door import door, image_shape
from retina.layers.history import history_output
from retina.layers.light import light, mean_light
from retina.layers.nonlinearity import output
from retina.models.circuit_idle import refuse_idle
from retina.models.circuit_start import start_from
from retina.recipe import Recipe
from retina.settings import keywords
from retina.stage import Model, Stage, chain
from retina.types import Spec

# Presets set keywords and nothing else; what is given beside them stays as given.
# Cone: time constants of cascades that peak like the filters of Chen et al. 2024 (eLife
# 93795) for mouse and primate; that of the salamander is chosen, and no values of its
# phototransduction are known here. Surrounds are chosen.
PRESETS: dict[str, dict[str, Any]] = {
    "salamander": {"cone_tau_s": 0.03, "cone_kind": None, "surround_um": 200.0},
    "mouse": {"cone_tau_s": 0.02, "cone_kind": "mouse_cone", "surround_um": 150.0},
    "macaque": {"cone_tau_s": 0.01, "cone_kind": "primate_cone", "surround_um": 150.0},
}
# What a ganglion cell makes of its drive: the kind of output behind each word.
GANGLION = {
    "softplus": "softplus",
    "escape": "exp",
    "escape_history": "exp",
    "lif": "softplus",
    "adaptive_lif": "softplus",
}
# Populations that a keyword leaves out: one circuit has one spelling.
KEYWORDS = {"horizontal": "horizontal=false", "amacrine": "amacrine=None"}
HISTORY_S, COSINES = 0.3, 8  # of a history filter: its reach, and at most so many


def circuit(
    spec: Spec,
    /,
    *,
    preset: str = "salamander",
    photoreceptor: str = "linear",
    cone_tau_s: float | None = None,
    cone_kind: str | None = None,
    mean_rstar_per_s: float | None = None,
    horizontal: bool | str = True,
    ephaptic: bool = True,
    ph: bool = True,
    gaba: bool = False,
    gap_junction_ns: float = 0.0,
    types: int | None = None,
    release: str = "fast_kinetic",
    amacrine: str | None = "wide",
    amacrines: int | None = None,
    inhibition: str = "subtract",
    contrast_gain: bool | str = False,
    slow_gain: bool = False,
    slow_gain_s: float = SLOWEST_S,
    ganglion: str = "softplus",
    pooling: str = "gaussian",
    stride: int = 2,
    pixel_um: float | None = None,
    centre: str = "gaussian",
    centre_um: float = 50.0,
    surround_um: float | None = None,
    dt_s: float | None = None,
    method: str = "euler",
    cut: str = "",
    shrink: float = 1e-4,
) -> Model:
    """Cone, horizontal, ON and OFF bipolar, amacrine and ganglion cells with synapses.

    preset:        salamander, mouse or macaque: values of keywords left out.
    photoreceptor: linear or dynamical_adaptation, of contrast; phototransduction, of
                   light in R*/s.
    cone_tau_s:    of each of three integrators of a linear one, to begin with.
    cone_kind:     of phototransduction, as in `photoreceptor_cnn`; no preset has one of
                   salamander cones.
    mean_rstar_per_s: for phototransduction, in place of what the recording's card says
                   of its mean light.
    horizontal:    whether there are horizontal cells; true: feed-forward and linear;
                   feedback: they act back on the calcium of cones.
    ephaptic, ph, gaba: pathways of that feedback. GABA remembers 20 s and more, and
                   asks a minute of history of each clip: see `warm_up_s`.
    gap_junction_ns: between neighbouring horizontal cells, whose leak is 1 nS.
    types:         of ON and of OFF bipolar cells; None: 2 on an image, 16 where the
                   frame is one pixel and types have no places to be repeated at.
    release:       of bipolar cells: static (no state), depletion (one pool),
                   fast_kinetic (three states), kinetic (with their slow reserve, a
                   fourth), ribbon_quanta (docked and waiting vesicles), ribbon_cycle
                   (four pools), or another `rung` of `ribbon_ln`.
    amacrine:      wide (the mean over the frame), narrow (a window) or None.
    amacrines:     types of amacrine cells; None: as many as `types`.
    inhibition:    of bipolar cells by amacrine cells: subtract or divide.
    contrast_gain: true: of ganglion cells, as Berry et al. 1999; bipolar: of bipolar
                   cells, as Chen et al. 2013; both.
    slow_gain:     of all ganglion cells together, by their mean activity.
    slow_gain_s:   the longest time constant that it may come to; clips are warmed up
                   for five of it, so that 10 or 60 s want recordings to match.
    ganglion:      softplus; escape, an exponential hazard; escape_history, the same
                   with a filter of the cell's own past counts; lif, a leaky integrator
                   that its own spikes reset; adaptive_lif, with a current they add to.
    pooling:       of bipolar cells by ganglion cells: gaussian or free.
    stride:        pixels between neighbouring bipolar cells.
    pixel_um:      of a pixel on the retina; None: as the recording's card says, and 50
                   (chosen) where it does not.
    centre:        of what a bipolar cell hears of cones: gaussian, or learned, a patch
                   of free weights for each type, the same at each place: the shape of
                   a subunit. It reaches two centre_um to each side.
    centre_um, surround_um: s.d. of what bipolar and horizontal cells pool, to begin
                   with.
    dt_s:          step of the circuit; None: the longest that is stable, 7 ms. Where a
                   fit starts, at 30 Hz, the drive of ganglion cells is then off by 0.3
                   to 0.5 of its s.d. from what short steps give; halving halves that.
    method:        how kinetics are stepped: euler, of which most of that error is, as
                   published circuits were fitted; or implicit, which leaves 0.1 to 0.2
                   for 4 % more FLOPs, and is the better for a new fit.
    cut:           what is left out, by name, with commas between: projections such as
                   amacrine->ganglion; cells that no keyword leaves out.
    shrink:        weight of the mean square of the synapses onto ganglion cells.
    source:        Real et al. 2017, doi 10.1016/j.cub.2016.11.040 (circuits in stages);
                   Schroeder et al. 2020, NeurIPS (release and amacrine feedback).

    >>> circuit(Spec((), 2, 1 / 30), types=2).stage.burn_in_s
    5.74
    """
    asked = {name: value for name, value in locals().items() if name != "spec"}
    image = image_shape(spec)
    if preset not in PRESETS:
        raise BadSetting(f"preset {preset!r}: {nearest(preset, PRESETS)}")
    if ganglion not in GANGLION:
        raise BadSetting(f"ganglion {ganglion!r}: {nearest(ganglion, GANGLION)}")
    usual = {name: one.default for name, one in keywords(circuit).items()}
    if pixel_um is None:
        pixel_um = spec.pixel_um or PIXEL_UM
    elif pixel_um == PIXEL_UM:  # once the default: it is in the records of older runs
        asked["pixel_um"] = None
    refuse_idle(asked, usual, flat=image == (1, 1))
    at_least_one(types=types, amacrines=amacrines, stride=stride)
    at_least_zero(shrink=shrink)
    lit = photoreceptor == CASCADE
    mean = mean_light(spec, mean_rstar_per_s) if lit else None
    types = types or (16 if image == (1, 1) else 2)
    said = PRESETS[preset]
    cone = said["cone_kind"] if cone_kind is None else cone_kind
    if lit and cone not in KINDS:
        if cone is not None:
            raise BadSetting(f"cone_kind {cone!r}: {nearest(cone, KINDS)}")
        raise BadSetting(
            f"photoreceptor {CASCADE!r}: preset {preset!r} has no values for it; give "
            f"preset=mouse or macaque, or cone_kind: {', '.join(KINDS)}"
        )
    declare = functools.partial(
        standard,
        image,
        spec.cells,
        spec.bin_s,
        photoreceptor=photoreceptor,
        cone_tau_s=said["cone_tau_s"] if cone_tau_s is None else cone_tau_s,
        cone_kind=cone or "",
        mean_rstar_per_s=mean,
        horizontal=horizontal,
        ephaptic=ephaptic,
        ph=ph,
        gaba=gaba,
        gap_junction_ns=gap_junction_ns,
        types=types,
        release=release,
        method=method,
        amacrine=amacrine,
        amacrines=amacrines or types,
        inhibition=inhibition,
        contrast_gain=contrast_gain,
        slow_gain=slow_gain,
        slow_gain_s=slow_gain_s,
        pooling=pooling,
        stride=stride,
        pixel_um=pixel_um,
        centre=centre,
        centre_um=centre_um,
        surround_um=said["surround_um"] if surround_um is None else surround_um,
    )
    declared = _cut(declare(), cut)
    kind = GANGLION[ganglion]

    def whole(declared: Circuit) -> Stage:
        return chain(
            door(spec) if mean is None else light(spec, mean),
            stage_of(declared, spec.bin_s, dt_s=dt_s),
            _spiking(ganglion, spec),
        )

    stage = whole(declared)
    onto = [p.name for p in declared.projections if p.target == "ganglion"]

    def penalty(params):
        weights = [params["circuit"][name]["weight"] for name in onto]
        return shrink * sum(jnp.mean(jnp.square(w)) for w in weights)

    return Model(
        "circuit",
        spec,
        stage,
        warm_start=lambda params, clips: start_from(
            params, clips, spec, declared, stage, kind
        ),
        penalty=penalty,
        recipe=Recipe(
            learning_rate=3e-2,
            clip_bins=128,
            batch=16 if image == (1, 1) else 2,
            in_turn=image != (1, 1),
        ),
        circuit=declared,
        drawn=(lambda: whole(_cut(declare(drawn=True), cut)))
        if RUNGS[release].drawn
        else None,
    )


def _cut(declared: Circuit, names: str) -> Circuit:
    """The circuit without the populations and projections between commas."""
    removed = [name.strip() for name in names.split(",") if name.strip()]
    known = [p.name for p in (*declared.populations, *declared.projections)]
    for name in removed:
        if name not in known:
            raise UnknownName(f"cut {name!r}; known: {', '.join(known)}")
        if name in KEYWORDS:
            raise BadSetting(
                f"cut {name!r}: write {KEYWORDS[name]}, which says the same"
            )
    return without(declared, *removed)


def _spiking(ganglion: str, spec: Spec) -> Stage:
    """The last stage, from drive to expected counts."""
    kind, cells = GANGLION[ganglion], spec.cells
    if ganglion == "escape_history":
        taps = max(1, round(HISTORY_S / spec.bin_s))
        return history_output(
            kind, cells, taps=taps, basis=min(COSINES, taps), coupling=False
        )
    if ganglion in ("lif", "adaptive_lif"):
        adaptive = ganglion == "adaptive_lif"
        return integrate_and_fire(cells, spec.bin_s, adaptive=adaptive, hazard=kind)
    return output(kind, cells)
