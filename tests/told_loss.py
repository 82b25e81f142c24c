"""A worker of `test_benchmarks` that takes no time and tells the loss it was given."""

from __future__ import annotations

from typing import Any

from benchmarks.worker import Work


def work(settings: dict[str, Any]) -> Work:
    def step() -> dict[str, Any]:
        if settings["loss"] < 0:
            raise ValueError("a loss below zero")
        return {"loss": settings["loss"], "spent_s": 2.0}

    return Work(step, {"nothing": "1"})
