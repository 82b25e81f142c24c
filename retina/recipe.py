"""How a model is fitted: what it says of itself, and what may be asked instead."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is fitted unless told otherwise; the same for every data set.

    optimiser:     "lbfgs" on all data at once, or "adam", "lion", "sgd", ... of optax.
                   These take random contiguous clips.
    learning_rate: the first, or largest, step size.
    schedule:      "plateau", "cosine", "linear", "exponential" or "constant". Plateau:
                   the rate falls when validation stops improving, and the third time
                   ends the fit. Constant: it does neither. The others: it rises briefly
                   and falls until max_steps.
    clip_bins:     bins of loss per clip.
    batch:         clips per step.
    max_steps:     stop here whatever validation says.
    patience:      evaluations without a better validation score before the rate falls.
                   There is one every half epoch of clips, within 40 to 400 steps; under
                   L-BFGS every 10 steps, or every 4 where cells are independent.
    settle:        L-BFGS ends where a round gains a smaller fraction of the loss.
                   Where cells are independent, each cell's ends by itself.
    precision:     "float32" or "bfloat16". While fitting, factors of products are
                   rounded to bfloat16 and added up in float32, as tensor cores do.
                   Without such cores (on a CPU) it only rounds, and is slower.
    in_turn:       the clips of a batch one after the other. For models whose one clip
                   keeps a CPU busy; on an accelerator they always run side by side.
    warm_up_s:     seconds of history before a clip's loss at most. None: until the
                   slowest state has forgotten its start. Less is a cold start that
                   values and gradients feel; record and score say so.
    stream:        clips are read as they are needed, the next while these are fitted.
                   None: of a movie of more than 1 GiB. The numbers are the same.
    scatter:       how far apart seeds start. The s.d. of the logarithm of a random
                   factor on each parameter: see `retina.fitting.scatter`.
    l1, l2, smooth_space, smooth_time, group, locality, activity: weights in the loss of
                   what `retina.fitting.penalties` says; the model's own penalty stays.
    """

    optimiser: str = "adam"
    learning_rate: float = 3e-3
    schedule: str = "plateau"
    clip_bins: int = 128
    batch: int = 4
    max_steps: int = 20000
    patience: int = 2
    settle: float = 2e-6
    precision: str = "float32"
    in_turn: bool = False
    warm_up_s: float | None = None
    stream: bool | None = None
    scatter: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    smooth_space: float = 0.0
    smooth_time: float = 0.0
    group: float = 0.0
    locality: float = 0.0
    activity: float = 0.0


# What may be a list in a recipe that is asked for: see `retina.fitting.tuning`.
TUNED = (
    "learning_rate",
    "l1",
    "l2",
    "smooth_space",
    "smooth_time",
    "group",
    "locality",
    "activity",
)
