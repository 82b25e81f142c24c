"""Another model whose end, all that has no memory, runs on a slower clock."""

from __future__ import annotations

from typing import Any

import jax

from retina import build
from retina.errors import BadSetting
from retina.layers.clock import every_few_bins
from retina.layers.wrapped import heard, parts_of
from retina.stage import Model, Stage, chain
from retina.types import Spec


def clocked(
    spec: Spec,
    /,
    *,
    of: str = "cnn",
    settings: tuple[tuple[str, Any], ...] = (),
    every_bins: int = 2,
) -> Model:
    """A model that looks at its memories in some bins; `retina reduce clock` makes one.

    of, settings: the model's name and keywords.
    every_bins: bins for one run of what comes after the last part with a memory. The
             rates that it gives are held in between.
    raises:  BadSetting for a model that has no such part.

    Parts with a memory hear every frame; what they would say to nobody is not computed.
    A bin costs what a whole period costs, over its bins.

    >>> clocked(Spec((), 2, 0.01), settings=(("lags", 4),)).stage.lags
    4
    """
    if every_bins < 2:
        raise BadSetting(f"every_bins {every_bins}: 2 or more")
    inner = build.model(of, spec, **dict(settings))
    named = parts_of(inner)
    first = 1 + max((n for n, (_, p) in enumerate(named) if _remembers(p)), default=-1)
    if not 0 < first < len(named):
        raise BadSetting(
            f"clock is for models that filter in time and then go on without memory, "
            f"as cnn and lnln do, and {of} does not"
        )
    parts = [part._replace(about=(name, *part.about)) for name, part in named]
    head, tail = chain(*parts[:first]), chain(*parts[first:])
    stage = every_few_bins(head, tail, every_bins, heard(inner)[-1])
    # Drawn, named and described as those of the model that it is.
    return inner._replace(
        name="clocked",
        stage=stage._replace(init=inner.stage.init, parameters=inner.stage.parameters),
        training=None,
        core=(),
    )


def _remembers(part: Stage) -> bool:
    state = jax.eval_shape(lambda key: part.start(part.init(key)), jax.random.key(0))
    return part.uses_response or bool(jax.tree.leaves(state))
