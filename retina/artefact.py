"""A fitted step as one file that runs where only jax and flatbuffers are installed.

import io, json, zipfile, jax.export
files = zipfile.ZipFile("model.step")
start, step = (jax.export.deserialize(files.read(n)) for n in ("start", "step"))
state = start.call()
state, rate = step.call(state, frame)  # about.json has the frame's shape and dtype
"""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp

from retina import atomic
from retina.errors import BadSetting, MissingExtra
from retina.exact import in_float32
from retina.stage import Model, Tree

PLATFORMS = ("cpu", "cuda", "tpu")


@in_float32
def export_step(
    model: Model, params: Tree, path: str | Path, *, dtype: Any = jnp.float32
) -> Path:
    """Write the streaming step with its parameters in it, by `jax.export`.

    params:  numbers; they become constants of the program.
    path:    ends in .step; it is replaced whole. A zip file of `start` (no arguments ->
             state, a tuple of arrays), `step` ((state, frame) -> (state, rate), or
             (state, frame, counts of the previous bin) for a model with spike history)
             and `about.json`.
    dtype:   of the stimulus as it is stored.
    returns: the path.
    raises:  BadSetting for another ending, or a model that draws random numbers;
             MissingExtra without flatbuffers, in which jax writes programs;
             UnwritableFolder.

    The rate is (cell,) float32, expected counts per bin. The program runs on the
    platforms in `PLATFORMS`, in the versions of jax that jax.export promises.
    """
    path = Path(path)
    if path.suffix != ".step":
        raise BadSetting(f"{path.name}: an exported step ends in .step")
    if importlib.util.find_spec("flatbuffers") is None:
        raise MissingExtra(
            "an exported step needs flatbuffers: pip install flatbuffers"
        )
    spec = model.spec
    made = programs(model, params, dtype)
    about = {
        "model": model.name,
        "frame": list(spec.frame),
        "dtype": str(jnp.dtype(dtype)),
        "cells": spec.cells,
        "bin_s": spec.bin_s,
        "uses_response": model.stage.uses_response,
        "output": f"expected {spec.event}s per bin, (cell,) float32",
        "jax": jax.__version__,
        "platforms": list(PLATFORMS),
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as files:
        for name, program in made.items():
            files.writestr(_dated(name), bytes(program.serialize()))
        files.writestr(_dated("about.json"), json.dumps(about, indent=1) + "\n")
    atomic.write_file(path.absolute(), written.getvalue())
    return path


def programs(
    model: Model, params: Tree, dtype: Any = jnp.float32
) -> dict[str, jax.export.Exported]:
    """`start` and `step` as `export_step` writes them, not yet written.

    raises: BadSetting for a model that draws random numbers.
    """
    stage, spec = model.stage, model.spec
    params = jax.tree.map(jnp.asarray, params)
    structure = jax.tree.structure(jax.eval_shape(stage.start, params))

    def start():
        return tuple(jax.tree.leaves(stage.start(params)))

    def step(leaves, frame, *heard):
        state = jax.tree.unflatten(structure, leaves)
        x = (frame, *heard) if stage.uses_response else frame
        state, rate = stage.step(params, state, x)
        return tuple(jax.tree.leaves(state)), rate

    state = jax.eval_shape(start)
    if any(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in state):
        raise BadSetting(
            f"{model.name} keeps a random key in its state, which jax.export cannot "
            "write: take a model without noise"
        )
    given = [jax.ShapeDtypeStruct(spec.frame, dtype)]
    if stage.uses_response:
        given.append(jax.ShapeDtypeStruct((spec.cells,), jnp.float32))
    export = functools.partial(jax.export.export, platforms=PLATFORMS)
    return {
        "start": export(jax.jit(start))(),
        "step": export(jax.jit(step))(state, *given),
    }


def _dated(name: str) -> zipfile.ZipInfo:
    """The same date in every file: the same step gives the same bytes."""
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
