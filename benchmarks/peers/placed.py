"""Where the peers compute: `--device cuda` puts them on the GPU, as jax puts us."""

from __future__ import annotations

from typing import Any

import torch


def chosen(settings: dict[str, Any]) -> torch.device:
    """The device that was asked for, on which new tensors are made from here on."""
    torch.set_default_device(settings.get("device") or "cpu")
    return torch.get_default_device()


def about(device: torch.device) -> dict[str, Any]:
    """What a reader of the results should know of it."""
    if device.type == "cuda":
        return {"device": torch.cuda.get_device_name(device)}
    return {"threads": torch.get_num_threads()}
