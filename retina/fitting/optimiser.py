"""Directions and schedules of the fit, from optax by name."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
import optax

from retina.errors import BadSetting, nearest

CLIP = 5.0  # largest norm of a gradient; the loss is per spike, so its scale is known

# What optax offers as NAME(learning_rate, ...) and needs no more than gradients.
NAMES = (
    "adabelief adadelta adagrad adam adamax adamw adan amsgrad fromage lamb lars lion "
    "nadam nadamw novograd radam rmsprop sgd sm3 yogi"
).split()
FALLING = ("linear", "cosine", "exponential")
SCHEDULES = ("plateau", "constant", *FALLING)
WARM_UP = 0.02  # of max_steps; the first steps of a schedule rise from nothing
END = 0.01  # of the learning rate; where an exponential schedule ends


def direction(name: str) -> optax.GradientTransformation:
    """What is added to the parameters, times the learning rate.

    name:   of `NAMES`; the settings are optax's own, but for Adam's memory of squares,
            shorter (0.995), since a fit takes thousands of steps and not millions.
    raises: BadSetting with the nearest names.

    >>> slope = np.float32(2)
    >>> float(direction("sgd").update(slope, direction("sgd").init(slope))[0])
    -2.0
    """
    check(name, NAMES, "optimiser")
    own = {"b2": 0.995} if name == "adam" else {}
    return optax.chain(
        optax.clip_by_global_norm(CLIP), getattr(optax, name)(1.0, **own)
    )


def rates(schedule: str, step: int, steps: int, max_steps: int) -> np.ndarray:
    """(steps,) factors on the learning rate, a function of the step alone.

    schedule: "plateau" leaves it to validation and "constant" to nobody; the others
              rise over the first WARM_UP of max_steps and have come down at the end.
    raises:   BadSetting with the nearest names.

    >>> [round(float(rate), 2) for rate in rates("linear", 90, 3, 100)]
    [0.1, 0.09, 0.08]
    """
    check(schedule, SCHEDULES, "schedule")
    if schedule not in FALLING:
        return np.ones(steps, np.float32)
    warm = max(1, round(WARM_UP * max_steps))
    rest = max(1, max_steps - warm)
    down = {
        "linear": lambda: optax.linear_schedule(1.0, 0.0, rest),
        "cosine": lambda: optax.cosine_decay_schedule(1.0, rest),
        "exponential": lambda: optax.exponential_decay(1.0, rest, END),
    }[schedule]()
    whole = optax.join_schedules([optax.linear_schedule(0.0, 1.0, warm), down], [warm])
    with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes
        return np.asarray(whole(np.arange(step, step + steps)), np.float32)


def check(name: str, known: Sequence[str], what: str) -> None:
    if name not in known:
        raise BadSetting(f"{what} {name!r}: {nearest(name, known)}")
