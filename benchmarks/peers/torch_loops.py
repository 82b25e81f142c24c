"""LNK cells as a loop of torch, eager or compiled by torch.jit.script."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from benchmarks import inputs
from benchmarks.loops import FASTEST, steady
from benchmarks.worker import Work, versions

RATES = ("k_a", "k_a0", "k_fi", "k_fr", "k_si", "k_sr", "k_sr0")


def run(
    u: Tensor,
    k_a: Tensor,
    k_a0: Tensor,
    k_fi: Tensor,
    k_fr: Tensor,
    k_si: Tensor,
    k_sr: Tensor,
    k_sr0: Tensor,
    r: Tensor,
    a: Tensor,
    i1: Tensor,
    i2: Tensor,
    number: int,
    dt: float,
) -> Tensor:
    """(bin, cell) drive to the active fraction."""
    activate = k_a * dt * u + k_a0 * dt
    recover = k_sr * dt * u + k_sr0 * dt
    fi, fr, si = k_fi * dt, k_fr * dt, k_si * dt
    active: list[Tensor] = []
    # Unbound: the gradient of an index would write a whole clip of zeros for each bin.
    for into, back in zip(activate.unbind(0), recover.unbind(0)):  # noqa: B905
        for _ in range(number):
            activated, inactivated = into * r, fi * a
            returned, stored, refilled = fr * i1, si * i1, back * i2
            r = r + (returned - activated)
            a = a + (activated - inactivated)
            i1 = i1 + (inactivated - returned + (refilled - stored))
            i2 = i2 + (stored - refilled)
        active.append(a)
    return torch.stack(active)


def lnk(settings: dict[str, Any]) -> Work:
    """settings: "gradient", and "script" for torch.jit.script."""
    drawn = inputs.lnk(settings)
    cells, lags = settings["cells"], settings["lags"]
    number = max(1, math.ceil(settings["bin_s"] * FASTEST))
    dt = settings["bin_s"] / number
    trained = settings["gradient"]
    held = {n: torch.from_numpy(a) for n, a in drawn.items()}
    leaves = {n: held[n].requires_grad_(trained) for n in ("filters", *RATES)}
    for name, value in (("bias", -1.0), ("scale", 20.0), ("out", -2.0), ("gain", 0.5)):
        leaves[name] = torch.full((cells,), value, requires_grad=trained)
    padded = torch.nn.functional.pad(held["stimulus"], (lags - 1, 0))
    past = padded.unfold(0, lags, 1).flip(1)
    loop = torch.jit.script(run) if settings.get("script") else run

    def loss_of() -> Tensor:
        u = torch.sigmoid(past @ leaves["filters"] + leaves["bias"])
        k = [leaves[n] for n in RATES]
        begin = steady({n: leaves[n] for n in RATES})  # type: ignore[dict-item]
        active = loop(u, *k, *begin, number, dt)
        drive = leaves["scale"] * active + leaves["out"]
        rate = leaves["gain"] * torch.nn.functional.softplus(drive)
        return (rate - held["counts"] * torch.log(rate + 1e-8)).mean()

    def step() -> dict[str, Any]:
        if not trained:
            with torch.no_grad():
                return {"loss": float(loss_of())}
        for leaf in leaves.values():
            leaf.grad = None
        loss = loss_of()
        loss.backward()
        return {"loss": float(loss.detach())}

    about = {"threads": torch.get_num_threads()}
    return Work(step, versions("torch"), about=about)
