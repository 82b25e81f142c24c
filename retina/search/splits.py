"""What a job is fitted to: what was recorded, or spikes sampled from another fit."""

from __future__ import annotations

import json
from pathlib import Path

from retina import store
from retina.data import card as cards
from retina.data import identity
from retina.search import records
from retina.search.job import Job
from retina.types import Fit, Split

SAMPLED = 0x5A3  # folded into a job's key for the spikes sampled from its fit; chosen


class Splits:
    """The last recording that was loaded: jobs come data set by data set.

    And the last that was sampled in its place, from a run in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key: tuple | None = None
        self._split: Split | None = None
        self._heard: tuple | None = None
        self._sampled: Split | None = None

    def of(self, job: Job) -> tuple[Split, str]:
        """A job's recording, and the digest of the card that it was loaded by."""
        from retina.data.load import load
        from retina.data.split import split

        recording = identity.digest(cards.read(job.dataset))
        key = (job.dataset, job.cells, job.bin_s, recording)
        if self._split is None or key != self._key:
            self._split = None
            self._split = split(load(job.dataset, cells=job.cells), job.bin_s)
            self._key = key
        if not job.spikes_of:
            return self._split, recording
        heard = (key, job.spikes_of, job.key)
        if self._sampled is None or heard != self._heard:
            spoke = store.load(self._folder / job.spikes_of)
            self._sampled = _sampled(spoke, self._split, job.key)
            self._heard = heard
        return self._sampled, recording


def heard(run: str | Path) -> tuple[Fit, Split]:
    """The fit that spoke to a run of sampled spikes, and what it said.

    run:    in the folder `controls` of a sweep, the other beside that folder.
    raises: BrokenRun where that one is gone, or its card has changed.
    """
    record = store.read(run)
    spoke = Path(run).absolute().parent.parent / record["spikes_of"]
    recorded = records.split_of(store.read(spoke))
    number = json.loads(record["job"])["key"]
    fit = store.load(spoke)
    return fit, _sampled(fit, recorded, number)


def _sampled(spoke: Fit, recorded: Split, number: int) -> Split:
    import jax

    from retina.fitting.simulate import simulated_split

    key = jax.random.fold_in(jax.random.key(number), SAMPLED)
    return simulated_split(spoke.model, spoke.params, recorded, key=key)
