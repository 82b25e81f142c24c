"""Distillation: another, smaller model taught by the rates of the fitted one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from retina import build
from retina.errors import BadSetting
from retina.fitting.fit import fit as fit_model
from retina.fitting.fit import number_of
from retina.fitting.loss import rates_of
from retina.stage import Model, Tree
from retina.types import Clip, Fit, Split


def distil(
    fit: Fit,
    split: Split,
    key: jax.Array,
    fitted: Callable[..., Fit] = fit_model,
    /,
    *,
    student: str = "ln",
    settings: dict[str, Any] | None = None,
    synthetic: float = 1.0,
    steps: int = 400,
) -> tuple[Model, Tree]:
    """A student is fitted to the teacher's expected counts; the refit is on real ones.

    fitted:    fits the student: `retina.fit`, or that with a checkpoint.
    student:   name of a model.
    settings:  its keywords: --set 'settings={"channels": 4}'.
    synthetic: bins of made-up stimulus for each recorded bin; 0: the recording alone.
               Every pixel of every frame is drawn from the pixels of the training
               stimulus: white, of the same distribution of values.
    steps:     at most, of the student's own recipe, stopped by the real validation.
    returns:   the student and its parameters.
    raises:    BadSetting for a student that hears the cells, or costs no less.
    lowers:    flops_per_bin
    source:    Hinton et al. 2015, arXiv 1503.02531.
    """
    if not 0 <= synthetic < np.inf or steps < 1:
        raise BadSetting(f"synthetic {synthetic:g}, steps {steps}: 0 and 1 or more")
    model = build.model(student, split.spec, **(settings or {}))
    if model.stage.uses_response:
        raise BadSetting(
            f"distil: {student} hears what the cells said, and a teacher only says "
            "what to expect of them: choose a student without history"
        )
    clips = split.train
    if synthetic and not fit.model.stage.uses_response:
        making, key = jax.random.split(key)
        drawn = np.random.default_rng(number_of(making))
        made = made_up(split.train, synthetic, drawn, split.spec.bins_per_frame)
        clips = (*clips, *made)
    taught = dataclasses.replace(split, train=_taught(fit, clips))
    return model, fitted(model, taught, key=key, max_steps=steps).params


def made_up(
    clips: tuple[Clip, ...],
    share: float,
    generator: np.random.Generator,
    held: int = 1,
) -> tuple[Clip, ...]:
    """Clips as long as a share of the given ones, of pixels drawn from theirs.

    held:    bins that each frame stays on the screen, as in the recording.
    returns: clips without events in them: nobody has seen a cell answer.
    """
    drawn = []
    for number, clip in enumerate(clips):
        bins = round(share * clip.bins) + clip.skip
        if bins <= clip.skip:
            continue
        shape = (-(-bins // held), *clip.stimulus.shape[1:])
        frames = generator.choice(clip.stimulus.reshape(-1), shape)
        stimulus = np.repeat(frames, held, axis=0)[:bins]
        silent = np.zeros((1, bins, clip.response.shape[2]), np.float32)
        drawn.append(Clip(f"synthetic{number}", stimulus, silent, clip.skip))
    return tuple(drawn)


def _taught(fit: Fit, clips: tuple[Clip, ...]) -> tuple[Clip, ...]:
    """The clips with what the teacher expects in place of what was recorded."""
    # One function for all: clips of one shape are compiled once.
    run = jax.jit(lambda x, y: rates_of(fit.model, fit.params, x, y))

    def one(clip: Clip) -> Clip:
        x = jnp.asarray(clip.stimulus)
        # A teacher that hears the cells expects something else in each trial.
        heard = fit.model.stage.uses_response
        trials = clip.response if heard else clip.response[:1]
        rates = [np.asarray(run(x, jnp.asarray(said, jnp.float32))) for said in trials]
        return dataclasses.replace(clip, response=np.stack(rates))

    return tuple(map(one, clips))
