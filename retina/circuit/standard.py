"""The vertebrate retina declared: cone, horizontal, bipolar, amacrine, ganglion cells.

Linear cones and horizontal cells are stepped once per bin: one integrator is exact, a
row of them to within the step (`cascade`). Bipolar and amacrine cells, which hear each
other, are stepped as often as their release needs to be stable; ganglion cells hear the
mean over the bin. Horizontal cells take from the bipolar cells' drive
what they would take from the cones': for a linear loop the two are the same. The loop
that is not linear, on the calcium of cones, is `pedicle`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

from retina.circuit import contrast_gain as gain_control
from retina.circuit import slow_gain as neuromodulation
from retina.circuit.adapting_membrane import adapting_membrane
from retina.circuit.cascade import cascade
from retina.circuit.cones import CASCADE, PHOTORECEPTORS, cone
from retina.circuit.coupled import coupled
from retina.circuit.declaration import Circuit, Projection
from retina.circuit.kernels import (
    dense,
    gaussian,
    in_place,
    one_to_one,
    pooled,
    uniform,
)
from retina.circuit.kinetics import METHODS
from retina.circuit.leaky_rectifier import leaky_rectifier
from retina.circuit.learned import learned
from retina.circuit.pedicle import pedicle
from retina.circuit.population import Dynamics, Population
from retina.circuit.synapses.rungs import RUNGS, SPANS
from retina.circuit.terminal import shared
from retina.errors import BadSetting, nearest
from retina.stage import Stage, chain, memoryless

AMACRINE = ("wide", "narrow")
INHIBITION = ("subtract", "divide")
POOLING = ("gaussian", "free")
CENTRES: dict[str, Any] = {"gaussian": gaussian, "learned": learned}
# The kinetics' own bound on a sub-step; feedback hears itself so much later.
STEP_S = 1 / 140
HORIZONTAL_S = 0.02  # van Hateren 2005, tau_h
SLOWEST_S = 2.0
PIXEL_UM = 50.0  # chosen, for recordings that do not say it
BIPOLAR = ("on", "off")
GAIN_CONTROL = (True, False, "bipolar", "both")  # True: of ganglion cells
FEEDBACK = "feedback"


def standard(
    image: tuple[int, int],
    cells: int,
    bin_s: float,
    *,
    photoreceptor: str = "linear",
    cone_tau_s: float = 0.03,
    cone_kind: str = "primate_cone",
    mean_rstar_per_s: float | None = None,
    horizontal: bool | str = True,
    ephaptic: bool = True,
    ph: bool = True,
    gaba: bool = False,
    gap_junction_ns: float = 0.0,
    types: int = 8,
    release: str = "fast_kinetic",
    method: str = "euler",
    amacrine: str | None = "wide",
    amacrines: int = 8,
    inhibition: str = "subtract",
    contrast_gain: bool | str = False,
    slow_gain: bool = False,
    slow_gain_s: float = SLOWEST_S,
    pooling: str = "gaussian",
    stride: int = 2,
    pixel_um: float = PIXEL_UM,
    centre: str = "gaussian",
    centre_um: float = 50.0,
    surround_um: float = 200.0,
    drawn: bool = False,
) -> Circuit:
    """The declaration behind the model `circuit`, whose keywords these are.

    image:   (height, width) of a frame; (1, 1) for a full field.
    cells:   ganglion cells.
    drawn:   release of whole vesicles, drawn; for a release that has such a form.
    raises:  BadSetting, UnknownName.

    >>> [p.name for p in standard((1, 1), 3, 0.01).populations]
    ['cone', 'horizontal', 'on', 'off', 'amacrine', 'ganglion']
    """
    for name, value, known in (
        ("photoreceptor", photoreceptor, PHOTORECEPTORS),
        ("release", release, RUNGS),
        ("method", method, METHODS),
        ("amacrine", amacrine, (*AMACRINE, None)),
        ("inhibition", inhibition, INHIBITION),
        ("pooling", pooling, POOLING),
        ("centre", centre, CENTRES),
        ("horizontal", horizontal, (True, False, FEEDBACK)),
        ("contrast_gain", contrast_gain, GAIN_CONTROL),
    ):
        if value not in known:
            words = [str(word) for word in known if word is not None]
            raise BadSetting(f"{name} {value!r}: {nearest(str(value), words)}")
    if method != "euler" and "kinetic" not in release:
        raise BadSetting(
            f"method {method!r}: {release} release has one way to be stepped; give "
            "release='kinetic' or 'fast_kinetic'"
        )
    flat = image == (1, 1)
    if flat and gap_junction_ns:
        raise BadSetting(
            f"gap_junction_ns {gap_junction_ns:g}: one pixel has no neighbours; give 0"
        )
    if not 0 <= gap_junction_ns < math.inf:
        raise BadSetting(f"gap_junction_ns {gap_junction_ns:g}: 0 or more")
    places = (-(-image[0] // stride), -(-image[1] // stride))
    grid = functools.partial(Population, spacing_um=None if flat else pixel_um * stride)

    def on_grid(number: int) -> tuple[int, ...]:
        return (number,) if flat else (number, *places)

    released = RUNGS[release]
    if method != "euler":
        make: Any = released.make
        released = released._replace(make=functools.partial(make, method=method))
    loud = released.loud
    rung, at_target = released.drawn if drawn else released.make, False
    if rung is not None:
        # Events add up: all of them share one state, and numbers, at their target.
        at_target = rung(1, bin_s).linear
        rung = rung if at_target else shared(rung, types)
    controlled = contrast_gain in ("bipolar", "both")
    membrane = functools.partial(
        adapting_membrane, release=released.gate, contrast_gain=controlled
    )
    bipolar = shared(membrane, types)
    # Without state at the terminals and without feedback there is nothing to sub-step.
    once = amacrine is None and (rung is None or at_target)
    each: dict[str, Any] = {"clock": "bin"} if once else {"safe_s": STEP_S}
    if photoreceptor == CASCADE and mean_rstar_per_s is None:
        raise BadSetting(f"photoreceptor {CASCADE!r}: give mean_rstar_per_s")
    photoreceptors = cone(photoreceptor, cone_tau_s, cone_kind, mean_rstar_per_s)
    cones = Population(
        "cone",
        (1,) if flat else image,
        photoreceptors,
        clock="bin",
        spacing_um=None if flat else pixel_um,
    )
    populations, projections = [cones], []
    if horizontal == FEEDBACK:
        sheet = grid("horizontal", (1,) if flat else places)
        looped = functools.partial(
            _pedicle, cones, sheet, surround_um, (ephaptic, ph, gaba)
        )
        both = gaussian(surround_um)  # there and back, see `pedicle`
        ends = dataclasses.replace(
            cones,
            name="pedicle",
            dynamics=looped,
            part_of="cone",
            inner=((cones, sheet, both), (sheet, cones, both)),
        )
        populations.append(ends)
        projections.append(Projection("cone", "pedicle", one_to_one(trained=False)))
    heard = populations[-1].name
    field = in_place() if flat else CENTRES[centre](centre_um)
    projections += [
        Projection(heard, "on", field),
        Projection(heard, "off", field, sign=-1),
    ]
    if horizontal is True:
        sheet = functools.partial(cascade, stages=1, tau_s=HORIZONTAL_S)
        if gap_junction_ns:
            sheet = functools.partial(_sheet, places, gap_junction_ns)
        populations.append(
            grid("horizontal", (1,) if flat else places, sheet, clock="bin")
        )
        around = in_place() if flat else gaussian(surround_um)
        projections += [
            Projection("cone", "horizontal", around),
            Projection("horizontal", "on", in_place(0.5), sign=-1),
            Projection("horizontal", "off", in_place(0.5)),
        ]
    if released.gate in SPANS:
        each["gives"] = SPANS[released.gate]
    populations += [grid(name, on_grid(types), bipolar, **each) for name in BIPOLAR]
    reach = dense if flat or pooling == "free" else _window(centre_um * 2)
    projections += [
        Projection(name, "ganglion", reach(loud), rung=rung) for name in BIPOLAR
    ]
    if amacrine is not None:
        wide = flat or amacrine == "wide"
        local = uniform if wide else functools.partial(_gaussian, centre_um * 2)
        populations.append(
            grid(
                "amacrine",
                (amacrines,) if wide else on_grid(amacrines),
                shared(leaky_rectifier, amacrines),
                safe_s=STEP_S,
                gives=(0.0, math.inf),
            )
        )
        effect = "add" if inhibition == "subtract" else "divide"
        back: dict[str, Any] = {"delay": 1, "effect": effect}
        back["sign"] = -1 if effect == "add" else 1
        for name in BIPOLAR:
            projections += [
                Projection(name, "amacrine", local(loud), rung=rung),
                Projection("amacrine", name, local(0.3), **back),
            ]
        to_ganglion = dense if wide else reach
        projections.append(
            Projection("amacrine", "ganglion", to_ganglion(0.3), sign=-1)
        )
    slowest_s = slow_gain_s if slow_gain else None
    gains = _gains(contrast_gain in (True, "both"), slowest_s)
    populations.append(Population("ganglion", (cells,), gains, clock="bin"))
    return Circuit(tuple(populations), tuple(projections))


def _gaussian(sigma_um: float, gain: float):
    return gaussian(sigma_um, gain=gain)


def _window(sigma_um: float):
    return functools.partial(pooled, sigma_um)


def _sheet(places: tuple[int, int], coupling_ns: float, cells: int, dt_s: float):
    return coupled(*places, dt_s, coupling_ns=coupling_ns)


def _pedicle(
    cones: Population,
    sheet: Population,
    surround_um: float,
    pathways: tuple[bool, bool, bool],
    cells: int,
    bin_s: float,
):
    ephaptic, ph, gaba = pathways
    return pedicle(
        cones,
        sheet,
        bin_s,
        surround_um=surround_um,
        ephaptic=ephaptic,
        ph=ph,
        gaba=gaba,
    )


def _gains(contrast: bool, slowest_s: float | None) -> Dynamics | None:
    """slowest_s: of the slow gain; None: there is none."""
    if not contrast and slowest_s is None:
        return None

    def made(cells: int, bin_s: float) -> Stage:
        stages = []
        if contrast:
            per_bin = memoryless(
                lambda params, x: x * bin_s,
                batch=lambda params, x: x * bin_s,
                about=("per_bin",),
            )
            stages += [gain_control.contrast_gain(cells, bin_s), per_bin]
        if slowest_s is not None:
            stages.append(neuromodulation.slow_gain(cells, bin_s, slowest_s=slowest_s))
        return chain(*stages, about=("gains",))

    return made
