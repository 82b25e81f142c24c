"""Data and weights that every contender starts from, by numpy alone, from a seed.

They are drawn again in each worker, in either interpreter, rather than copied.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


def normal(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return generator.standard_normal(shape, np.float32)


def deep_retina(settings: dict[str, Any]) -> Arrays:
    """Stimulus, counts and kernels of the deep-retina step.

    stimulus: (bins + lags - 1, frame, frame), contiguous. counts: (bins, cell).
    kernel1:  (row, column, lag, channel), lag 0 first. kernel2: (row, column, in, out).
    dense:    (row * column * channel, cell).
    """
    frame, lags, bins = (settings[name] for name in ("frame", "lags", "bins"))
    channels, cells = settings["channels"], settings["cells"]
    one, two = settings["sizes"]
    places = (frame - one - two + 2) ** 2 * channels
    draw = np.random.default_rng(0)
    return {
        "stimulus": normal(draw, bins + lags - 1, frame, frame),
        "counts": draw.poisson(1.0, (bins, cells)).astype(np.float32),
        "kernel1": normal(draw, one, one, lags, channels) / np.float32(one * lags**0.5),
        "kernel2": normal(draw, two, two, channels, channels)
        / np.float32(two * channels**0.5),
        "dense": normal(draw, places, cells) / np.float32(places**0.5),
    }


def core_readout(settings: dict[str, Any]) -> Arrays:
    """Clips, counts and weights of the open-retina-like step.

    stimulus: (clip, time, height, width). counts: (clip, time - history, cell).
    space:    (row, column, in, out) of each layer.
    sines:    (periods 1, 2, ..., in, out); cosines from 0 periods on. As many as the
              basis of either side has in common.
    place:    (cell, 2), row and column on the map, pixels; a fifth from its edges.
    """
    clips, time, high, wide = settings["batch"]
    cells, channels = settings["cells"], settings["channels"]
    draw = np.random.default_rng(0)
    arrays: Arrays = {"stimulus": normal(draw, clips, time, high, wide)}
    inputs = 1
    for layer, (taps, size) in enumerate(
        zip(settings["temporal_sizes"], settings["sizes"], strict=True), 1
    ):
        periods = taps // 3
        scale = np.float32(1 / (size * np.sqrt(inputs)))
        arrays |= {
            f"space{layer}": scale * normal(draw, size, size, inputs, channels),
            f"sines{layer}": 0.2 * normal(draw, periods - 1, inputs, channels),
            f"cosines{layer}": 0.2 * normal(draw, periods, inputs, channels),
        }
        inputs = channels
    lost = settings["sizes"][0] - 1  # the second layer is padded
    side = np.array([high - lost, wide - lost])
    outputs = time - sum(settings["temporal_sizes"]) + len(settings["temporal_sizes"])
    return arrays | {
        "place": (0.2 + 0.6 * draw.random((cells, 2))) * (side - 1),
        "features": 0.3 * normal(draw, cells, channels),
        "counts": draw.poisson(1.0, (clips, outputs, cells)).astype(np.float32),
    }


def regression(settings: dict[str, Any]) -> Arrays:
    """Correlated features, weights, and counts of a Poisson regression.

    x: (bins, feature), neighbours correlated as exp(-distance / 8). y: (bins, cell).
    """
    bins, features, cells = (settings[name] for name in ("bins", "features", "cells"))
    draw = np.random.default_rng(0)
    away = np.abs(np.subtract.outer(np.arange(features), np.arange(features)))
    mix = np.linalg.cholesky(np.exp(-away / 8)).T.astype(np.float32)
    x = normal(draw, bins, features)
    for first in range(0, bins, 100_000):  # in place: no second copy of all
        x[first : first + 100_000] = x[first : first + 100_000] @ mix
    weights = 0.05 * normal(draw, features, cells)
    y = np.empty((bins, cells), np.float32)
    for first in range(0, bins, 100_000):
        here = slice(first, first + 100_000)
        y[here] = draw.poisson(np.exp(np.clip(x[here] @ weights - 1.5, -10, 4)))
    return {"x": x, "y": y}


def lnk(settings: dict[str, Any]) -> Arrays:
    """White noise on a full field, counts, and the parameters of LNK cells.

    stimulus: (bins,). counts: (bins, cell). filters: (lag, cell), lag 0 first.
    k_*:      (cell,) rates, 1/s, as `retina.circuit.kinetics` names them.
    """
    bins, cells, lags = (settings[name] for name in ("bins", "cells", "lags"))
    draw = np.random.default_rng(0)
    middle = {
        "k_a": 50.0,
        "k_a0": 0.5,
        "k_fi": 40.0,
        "k_fr": 5.0,
        "k_si": 1.0,
        "k_sr": 0.5,
        "k_sr0": 0.1,
    }
    rates = {
        name: (k * draw.uniform(0.9, 1.1, cells)).astype(np.float32)
        for name, k in middle.items()
    }
    return {
        "stimulus": normal(draw, bins),
        "counts": draw.poisson(0.1, (bins, cells)).astype(np.float32),
        "filters": normal(draw, lags, cells) / np.float32(lags**0.5),
    } | rates


def network(settings: dict[str, Any]) -> Arrays:
    """Who hears whom, how strongly, and the current into each cell.

    Of all cells the first four fifths excite. Each cell hears `excite` of these and
    `inhibit` of the others, none of them itself, and no source twice.

    excite_from, inhibit_from: (cell, fan-in) int32 sources; *_by: their weights, nS for
                  each mV of release in each second.
    drive: (bins, cell) pA, which changes every 10 bins.
    """
    bins, cells = settings["bins"], settings["cells"]
    draw = np.random.default_rng(0)
    exciting = cells * 4 // 5
    arrays: Arrays = {}
    for name, pool, each in (
        ("excite", np.arange(exciting), 20.0),
        ("inhibit", np.arange(exciting, cells), 100.0),
    ):
        fan_in = settings[name]
        sources = [
            draw.choice(pool[pool != cell], fan_in, replace=False)
            for cell in range(cells)
        ]
        arrays[f"{name}_from"] = np.stack(sources).astype(np.int32)
        weights = each * draw.uniform(0.5, 1.5, (cells, fan_in))
        arrays[f"{name}_by"] = weights.astype(np.float32)
    steps = 20 * normal(draw, -(-bins // 10), cells)
    return arrays | {"drive": np.repeat(steps, 10, axis=0)[:bins]}


# Of every cell of `network`, in ms, mV, nS, pA and nF.
NETWORK = {
    "c_nf": 0.05,
    "leak_ns": 2.5,
    "leak_mv": -60.0,
    "excite_mv": 0.0,
    "inhibit_mv": -65.0,
    "excite_ms": 5.0,
    "inhibit_ms": 10.0,
    "threshold_mv": -50.0,
    "softness_mv": 4.0,
}
