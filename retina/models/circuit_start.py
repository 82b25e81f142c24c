"""Where a circuit's fit begins: drives of order one, synapses where they help.

From a stretch of training data: bipolar gains that give their potential a fixed spread,
ganglion cells placed on their spike-triggered average and wired to the bipolar types
whose release goes with their spikes, an output that starts at the mean count.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from retina.circuit.adapting_membrane import PARAMETERS, adapting_membrane
from retina.circuit.circuit import circuit
from retina.circuit.declaration import Circuit, Projection
from retina.circuit.kernels import one_to_one
from retina.circuit.population import Population
from retina.circuit.standard import BIPOLAR
from retina.circuit.terminal import shared
from retina.fitting.start import field_centres, mean_counts, spike_triggered_average
from retina.layers.door import image_shape
from retina.layers.gaussian_readout import place_at
from retina.layers.nonlinearity import output_from_mean
from retina.stage import Stage
from retina.types import Clip, Spec

REACH_S = 0.6  # how far back the average reaches that places ganglion cells
SPREAD = 1.5  # of a bipolar cell's potential: a sigmoid is bent over it, not shut
STRETCH = 3000  # bins of training data that are looked at
LEAST = 0.05  # of a ganglion cell's strongest synapse has its weakest


def start_from(
    params, clips: tuple[Clip, ...], spec: Spec, declared: Circuit, stage: Stage, kind
):
    """`params` of the model, with those that data can tell put in their place.

    stage: the model's chain of door, circuit and an output of this kind.
    """
    clip = max(clips, key=lambda clip: len(clip.stimulus))
    _, entrance = stage.parts[0]
    seen = entrance.apply({}, (), jnp.asarray(clip.stimulus[:STRETCH]))[1]
    counts = clip.response[:, :STRETCH].mean(0, dtype=np.float64)
    # Neither where the circuit still settles, nor bins that are never fitted.
    first = max(len(seen) // 5, min(clip.skip, len(seen) - 1))
    found = dict(params["circuit"])
    heard = {}
    edges = {p.name for p in declared.projections}
    for name in BIPOLAR:
        if not _light_to(declared, name):
            continue
        found[name] = found[name] | {
            "gain": _gain(declared, name, spec, found, seen, first)
        }
        if f"{name}->ganglion" in edges:
            heard[name] = _run(_glutamate(declared, name), spec, found, seen, first)
    if heard:
        found |= _wired(found, heard, counts[first:], clips, spec, declared)
    whole = dict(stage.parts)["circuit"]
    _, drive = jax.jit(whole.apply)(found, whole.start(found), seen)
    middle = np.asarray(drive[first:], np.float64).mean(0)
    name, _ = stage.parts[-1]
    last = dict(params[name])
    if "history" in last:
        last["history"] = jnp.zeros_like(last["history"])
    last |= output_from_mean(kind, last, mean_counts(clips))
    last["bias"] = last["bias"] - jnp.asarray(middle, jnp.float32)
    return params | {"circuit": found, name: last}


def _run(part: Circuit, spec: Spec, params, seen, first: int) -> np.ndarray:
    """(bins, types, places) output of a part of the circuit from a bin on."""
    stage = circuit(part, spec.bin_s)
    own = {n: params.get(n, v) for n, v in stage.init(jax.random.key(0)).items()}
    _, y = jax.jit(stage.apply)(own, stage.start(own), seen)
    y = np.asarray(y[first:])
    return y.reshape(len(y), part[part.output].layout[0], -1)


def _light_to(declared: Circuit, name: str) -> set[str]:
    """By which of the outer retina's populations a bipolar one is reached."""
    outer = {"cone", "pedicle", "horizontal"}
    return outer & {p.source for p in declared.projections if p.target == name}


def _front(declared: Circuit, name: str) -> Circuit:
    """The circuit up to one bipolar population, without amacrine cells."""
    kept = {declared.input, name} | _light_to(declared, name)
    return Circuit(
        tuple(p for p in declared.populations if p.name in kept),
        tuple(p for p in declared.projections if {p.source, p.target} <= kept),
        output=name,
    )


def _gain(
    declared: Circuit, name: str, spec: Spec, params, seen, first: int
) -> jax.Array:
    """(type,) gains that give each type's potential the spread."""
    front = _front(declared, name)
    types = declared[name].layout[0]
    cell = shared(functools.partial(adapting_membrane, release="potential"), types)
    *others, own = front.populations
    own = dataclasses.replace(own, dynamics=cell)
    front = dataclasses.replace(front, populations=(*others, own))
    sd = _run(front, spec, params, seen, first).std((0, 2))
    gain = np.asarray(params[name]["gain"]) * SPREAD / np.maximum(sd, 1e-6)
    bounds = PARAMETERS["gain"]
    return jnp.asarray(np.clip(gain, 1.2 * bounds.low, bounds.high / 1.2), jnp.float32)


def _glutamate(declared: Circuit, name: str) -> Circuit:
    """The same up to what is released, bin by bin."""
    front = _front(declared, name)
    rung = next(p.rung for p in declared.projections if p.source == name)
    cleft = Population("cleft", declared[name].shape, clock="bin")
    out = Projection(name, "cleft", one_to_one(trained=False), rung)
    populations = (*front.populations, cleft)
    return Circuit(populations, (*front.projections, out))


def _wired(found, heard, counts, clips, spec: Spec, declared: Circuit):
    """Synapses onto ganglion cells, by how release and spikes go together."""
    masks, place = windows(found, clips, spec, declared, next(iter(heard)))
    counts = counts - counts.mean(0)
    drives, weights = {}, {}
    for name in heard:
        y = np.einsum("tkp,np->tkn", heard[name], masks)
        drives[name] = y = y - y.mean(0)
        together = np.einsum("tkn,tn->kn", y, counts) / len(y)
        weights[name] = np.maximum(together / np.maximum(y.std(0), 1e-9), 0)
    most = np.maximum(np.sum([w.max(0) for w in weights.values()], axis=0), 1e-9)
    weights = {name: LEAST + w / most for name, w in weights.items()}
    each = [np.einsum("tkn,kn->tn", drives[n], weights[n]) for n in heard]
    per_sd = 1 / np.maximum(np.sum(each, axis=0).std(0), 1e-9)
    changed = {}
    for name in heard:
        edge = f"{name}->ganglion"
        (projection,) = (p for p in declared.projections if p.name == edge)
        gain = projection.kernel.about[-1]
        each = weights[name] * per_sd / gain
        own = found[edge]
        if own["weight"].shape == each.shape:
            stored = each * len(each)
        else:  # free: the window is laid into the weights
            stored = np.einsum("kn,np->kpn", each, masks).reshape(own["weight"].shape)
            stored = stored * len(stored)
            stored = stored + LEAST * stored.mean(0)
        changed[edge] = own | {"weight": jnp.asarray(stored, jnp.float32)}
        if "place" in own:
            changed[edge] |= {"place": place}
    return changed


def windows(found, clips, spec: Spec, declared: Circuit, name: str):
    """(cell, place) windows over a population that add up to 1, and their places as
    they are stored."""
    population, cones = declared[name], declared[declared.input]
    _, height, width = population.layout
    if height * width == 1:
        return np.ones((spec.cells, 1)), None
    image = image_shape(spec)
    lags = max(1, min(round(REACH_S / spec.bin_s), *(len(c.stimulus) for c in clips)))
    average = spike_triggered_average(clips, lags, spec)
    # Not image over grid, which a bar's one row, or a last place, would round.
    stride = round((population.spacing_um or 1.0) / (cones.spacing_um or 1.0))
    place = place_at(
        field_centres(average, image, (height, width), stride), (height, width)
    )
    edge = found[f"{name}->ganglion"]
    wide = edge.get("sigma_um", np.full(1, 2 * (population.spacing_um or 1.0)))
    spread = float(np.asarray(wide)[0])
    masks = []
    for axis, at in enumerate(population.axes_um):
        middle = at[0] + np.asarray(place)[:, axis, None] * (at[-1] - at[0])
        bump = np.exp(-0.5 * ((at[None] - middle) / spread) ** 2)
        masks.append(bump / bump.sum(1, keepdims=True))
    return np.einsum("nh,nw->nhw", *masks).reshape(spec.cells, -1), place
