"""A sweep in one line: done, running, failed, time left, the best so far."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from retina.cli import output


class Tally:
    """Counts what `retina.sweep` reports, and passes it on in words.

    tell: fraction and words, from `output.meter`.
    y:    the metric by which a run is the best.
    """

    def __init__(self, tell: output.Tell, y: str) -> None:
        self._tell, self._y = tell, y
        self._begun = time.monotonic()
        self._running: dict[str, tuple[float, str]] = {}
        self._done = self._skipped = self._failed = self._refused = 0
        self._best = (-math.inf, "", "")
        self._recordings: set[str] = set()

    def __call__(self, event: Mapping[str, Any]) -> None:
        state, job = event["state"], event["job"]
        last = f"{job.label}: {state}"
        if state in ("started", "fitting"):
            inside, words = 0.0, state
            if state == "fitting":
                inside, words = output.fit_words(event)
            self._running[job.name] = (min(inside, 1.0), words)
            last = f"{job.label}: {words}"
        else:
            self._running.pop(job.name, None)
            self._skipped += state == "skipped"
            self._done += state in ("done", "reached")
            self._failed += state == "failed"
            self._refused += state == "refused"
            if state == "reached":
                last = f"{job.label}: step {event['step']}, {event['bits']:.4f} bits"
            if state in ("failed", "refused"):
                last = f"{job.label}: {state}: {event['error']}"
            if state in ("done", "skipped") and not job.spikes_of:
                metric = event["point"].score.metrics.get(self._y)
                if metric is not None and math.isfinite(metric.median):
                    one = (metric.median, job.label, job.dataset)
                    self._best = max(self._best, one)
                    self._recordings.add(job.dataset)
        self._tell(self._fraction(event["jobs"]), self._words(event["jobs"], last))

    def _fraction(self, jobs: int) -> float:
        inside = sum(fraction for fraction, _ in self._running.values())
        over = self._skipped + self._done + self._failed + self._refused
        return (over + inside) / jobs

    def _words(self, jobs: int, last: str) -> str:
        words = [f"{self._skipped + self._done} of {jobs} done"]
        if len(self._running) > 1:
            words.append(f"{len(self._running)} running")
        if self._refused:
            words.append(f"{self._refused} refused")
        if self._failed:
            words.append(f"{self._failed} failed")
        fraction, before = self._fraction(jobs), self._skipped / jobs
        if before < fraction < 1:
            spent = time.monotonic() - self._begun
            left = spent * (1 - fraction) / (fraction - before)
            words.append(f"{output.duration(left)} left")
        if self._recordings:
            most, label, recording = self._best
            on = f" on {recording}" if len(self._recordings) > 1 else ""
            words.append(f"best {self._y} {most:.3f} ({label}{on})")
        return ", ".join([*words, last])
