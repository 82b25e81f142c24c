"""Spatial kernels as sums of a few rows times columns."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina import build
from retina.models.separated import has_kernel
from retina.reduction.cutting import fitting
from retina.stage import Model, Tree
from retina.types import Fit, Split


def separate(
    fit: Fit, split: Split, key: jax.Array, /, *, rank: int = 1
) -> tuple[Model, Tree]:
    """Runs kernels over the image as a column of weights, then a row, a few times.

    rank:    products of a column and a row that each kernel, of one input and one
             output channel, becomes the sum of. A layer for which that is no cheaper
             stays as it is.
    returns: the model `separated` of what was fitted, and its parameters. It goes after
             `channels`, `taps`, `factorise` and `crop`. By singular values: no other
             sum of as many is nearer to the kernel, and one of the rank stays the same.
    raises:  BadSetting for a model without convolutions of images.
    lowers:  flops_per_bin, params
    source:  Rigamonti et al. 2013, doi 10.1109/CVPR.2013.355 (recalled).

    Channels are not taken apart as well (CP): that decomposition of four axes has no
    closed form, depends on where its iteration starts, and need not have a best one.
    """
    model, params = fit.model, fit.params
    small = build.model(
        "separated", model.spec, of=model.name, settings=model.settings, rank=rank
    )
    for name, part in model.stage.parts:
        if has_kernel(part) and "rows" in small.stage.parameters[name]:
            rows, columns = rows_and_columns(params[name]["kernel"], rank)
            kept = {leaf: v for leaf, v in params[name].items() if leaf != "kernel"}
            params = params | {name: {"rows": rows, "columns": columns} | kept}
    return fitting(small, params, "separate")


def rows_and_columns(kernel: jax.Array, rank: int) -> tuple[jax.Array, jax.Array]:
    """(K, K', in, out) -> (K, in, out, rank) and (K', in, out, rank), of one size each.

    As `row_by_column` keeps them: their products are averaged, times the root of rank.

    >>> rows, columns = rows_and_columns(jnp.ones((2, 3, 1, 4)), 1)
    >>> (rows[:, None] * columns[None]).round(5).min().item()
    1.0
    """
    each = np.moveaxis(np.asarray(kernel, np.float64), (2, 3), (0, 1))
    u, size, v = np.linalg.svd(each * np.sqrt(rank), full_matrices=False)
    root = np.sqrt(size[..., None, :rank])
    rows, columns = u[..., :rank] * root, np.swapaxes(v, -1, -2)[..., :rank] * root
    down, across = (np.moveaxis(one, 2, 0) for one in (rows, columns))
    return jnp.asarray(down, jnp.float32), jnp.asarray(across, jnp.float32)
