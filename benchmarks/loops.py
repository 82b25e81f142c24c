"""LNK cells as a loop of numpy: what one writes first. Needs no peers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks import inputs
from benchmarks.worker import Work, versions

FASTEST = 140.0  # 1/s: the sub-steps of `retina.circuit.kinetics`


def lnk_forward(settings: dict[str, Any]) -> Work:
    drawn = inputs.lnk(settings)
    bin_s = settings["bin_s"]
    number = max(1, math.ceil(bin_s * FASTEST))
    dt = np.float32(bin_s / number)
    k = {name: drawn[name] for name in drawn if name.startswith("k_")}
    bins, lags = settings["bins"], settings["lags"]

    def step() -> dict[str, Any]:
        padded = np.concatenate([np.zeros(lags - 1, np.float32), drawn["stimulus"]])
        past = np.lib.stride_tricks.sliding_window_view(padded, lags)[:, ::-1]
        u = 1 / (1 + np.exp(1 - past @ drawn["filters"]))
        activate = (k["k_a"] * dt) * u + k["k_a0"] * dt
        recover = (k["k_sr"] * dt) * u + k["k_sr0"] * dt
        k_fi, k_fr, k_si = (k[n] * dt for n in ("k_fi", "k_fr", "k_si"))
        r, a, i1, i2 = steady(k)
        active = np.empty_like(u)
        for t in range(bins):
            into, back = activate[t], recover[t]
            for _ in range(number):
                activated, inactivated = into * r, k_fi * a
                returned, stored, refilled = k_fr * i1, k_si * i1, back * i2
                r = r + (returned - activated)
                a = a + (activated - inactivated)
                i1 = i1 + (inactivated - returned + (refilled - stored))
                i2 = i2 + (stored - refilled)
            active[t] = a
        rate = np.float32(0.5) * np.logaddexp(np.float32(0), 20 * active - 2)
        loss = (rate - drawn["counts"] * np.log(rate + np.float32(1e-8))).mean()
        return {"loss": float(loss)}

    return Work(step, versions("numpy"))


def steady(k: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """The four states at a standing drive of a quarter."""
    into, back = k["k_a"] / 4 + k["k_a0"], k["k_sr"] / 4 + k["k_sr0"]
    i1 = 1 / k["k_fr"]
    parts = (1 / into, 1 / k["k_fi"], i1, k["k_si"] * i1 / back)
    total = sum(parts)
    return tuple(part / total for part in parts)
