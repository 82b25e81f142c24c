"""Keywords of `circuit` that would do nothing beside the others: refused, one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retina.circuit.standard import FEEDBACK
from retina.circuit.synapses.rungs import RUNGS
from retina.errors import BadSetting

IMAGES = "a stimulus of images"


def refuse_idle(asked: Mapping[str, Any], usual: Mapping[str, Any], flat: bool) -> None:
    """So that nobody takes a mechanism for tested whose keyword nothing heard.

    asked:  every keyword with its value.
    usual:  every keyword with its default: one that is left at it stays silent.
    flat:   whether the stimulus is a full field.
    raises: BadSetting with the keyword, why, and what to give.
    """
    cone, amacrine = asked["photoreceptor"], asked["amacrine"]
    given = {name for name, value in asked.items() if value != usual[name]}
    rules = (
        (cone != "linear", "cone_tau_s", f"cones are {cone}", "photoreceptor=linear"),
        (
            cone != "phototransduction",
            "mean_rstar_per_s cone_kind",
            f"{cone} cones hear contrast",
            "photoreceptor=phototransduction",
        ),
        (
            amacrine is None,
            "amacrines inhibition",
            "there are no amacrine cells",
            "amacrine=wide or narrow",
        ),
        (
            not asked["slow_gain"],
            "slow_gain_s",
            "there is no slow gain",
            "slow_gain=true",
        ),
        (flat, "gap_junction_ns", "one pixel has no neighbours", IMAGES),
        (
            flat and amacrine == "narrow",
            "amacrine",
            "in a full field narrow is what wide is",
            IMAGES,
        ),
        (
            not asked["horizontal"],
            "gap_junction_ns surround_um",
            "there are no horizontal cells",
            "horizontal=true",
        ),
        (
            asked["horizontal"] == FEEDBACK,
            "gap_junction_ns",
            "horizontal cells that feed back are not coupled",
            "horizontal=true",
        ),
        (
            asked["horizontal"] != FEEDBACK,
            "ephaptic ph gaba",
            "no horizontal cell feeds back",
            f"horizontal={FEEDBACK}",
        ),
        (
            flat,
            "pooling stride pixel_um centre centre_um surround_um",
            "a full field has no places",
            IMAGES,
        ),
        (
            "kinetic" not in asked["release"],
            "method",
            f"{asked['release']} release has one way to be stepped",
            "release=fast_kinetic or kinetic",
        ),
        (
            amacrine is None and _once(asked["release"]),
            "dt_s",
            f"{asked['release']} release without amacrine cells is stepped once per "
            "bin",
            "another release, or amacrine cells",
        ),
        (
            (cone == "dynamical_adaptation" or asked["cone_kind"] is not None)
            and (flat or not asked["horizontal"]),
            "preset",
            "what it sets, cone_tau_s, cone_kind and surround_um, is not heard",
            "photoreceptor=linear",
        ),
    )
    for idle, names, why, wanted in rules:
        for name in names.split():
            if idle and name in given:
                raise BadSetting(
                    f"{name} {asked[name]} would do nothing: {why}; leave it out, or "
                    f"give {wanted}"
                )


def _once(release: str) -> bool:
    """Whether all that it keeps in mind, its target does, exactly at any step."""
    rung = RUNGS.get(release)
    return rung is not None and (rung.make is None or rung.make(1, 1.0).linear)
