"""The verbs `read` and `predict`: a fit from its run, and the rates that it expects."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retina import store
from retina.errors import ShapeMismatch
from retina.fitting.score import rates
from retina.types import Clip, Fit


def read(run: str | Path) -> Fit:
    """The fit that `retina fit`, `sweep` or `reduce` left in a folder.

    raises: BrokenRun where the folder is no complete run, or its model has changed.

    >>> read("runs/none")
    Traceback (most recent call last):
    ...
    retina.errors.BrokenRun: ...
    """
    return store.load(run)


def predict(fit: Fit, clip: Clip) -> np.ndarray:
    """Expected events per bin of one clip: the very rates that are scored.

    fit:     from `retina.fit` or `retina.read`; of several starts the one that was best
             on validation.
    clip:    of `split.test`, or another with the fit's frames, cells and bins.
    returns: (time, cell) float, beside `clip.response[:, clip.skip:]`; over `bin_s`,
             events per second. A model that hears its own events gives the mean over
             many sampled histories, from the stimulus alone.
    raises:  ShapeMismatch; ViewsDisagree where step and apply differ.

    >>> import jax
    >>> from retina.build import model
    >>> from retina.types import Spec
    >>> mean = model("mean", Spec((), 2, 0.01))
    >>> params = mean.stage.init(jax.random.key(0))
    >>> fit = Fit(mean, params, (params,), np.ones(2), {}, (), {})
    >>> clip = Clip("a", np.zeros(5), np.zeros((3, 5, 2), np.float32), skip=1)
    >>> predict(fit, clip).shape
    (4, 2)
    """
    spec = fit.model.spec
    seen = clip.stimulus.shape[1:], clip.response.shape[2]
    if seen != (spec.frame, spec.cells):
        raise ShapeMismatch(
            f"clip {clip.name!r} has frames of {seen[0]} and {seen[1]} cells, the fit "
            f"of {spec.frame} and {spec.cells}: take a clip of the recording it is of"
        )
    ((rate, _),) = rates(fit, fit.params, [clip])
    return rate
