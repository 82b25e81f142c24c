"""Products of float32 arrays that are float32 on every device."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")
R = TypeVar("R")


def in_float32(verb: Callable[P, R]) -> Callable[P, R]:
    """The verb, its products of float32 arrays exact to float32 on any device.

    Left to itself jax rounds their factors, to bfloat16 on a TPU and to three decimal
    digits on a GPU. The streaming step and the clip view then no longer agree, and what
    is fitted on one device scores otherwise on the next. On a CPU it changes nothing.
    """

    @functools.wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with jax.default_matmul_precision("float32"):
            return verb(*args, **kwargs)

    return run
