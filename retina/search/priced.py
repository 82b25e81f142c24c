"""What the models cost that a budget leaves out: a price needs no fit.

A step is counted on the shapes of its parameters; what a fit finds are their values.
A price is kept beside the runs, so that no recording is loaded for it again; an edit of
what it was counted with, or of, has it counted anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Any

import retina
from retina import atomic, build, store
from retina.data import card as cards
from retina.data import identity
from retina.search import failing, grid, records, work
from retina.search.experiment import Experiment
from retina.search.job import Job
from retina.types import Cost, Split

PRICED = "priced"
WORDS = {"species", "cell_types", "publish"}  # of a card, which its digest leaves out
COUNT = ("retina-frontier", "jax")  # whose versions may count otherwise
LATER = ("cli", "reports", "templates")  # folders that only show a price


def priced(experiment: Experiment, folder: Path) -> list[dict[str, Any]]:
    """Of each recording, the models that it is not tried with, and their prices.

    folder:  of the sweep, whose recordings may be loaded already.
    returns: {"model": its label, "recording", "why", "cost"}. The cost is a Cost, or
             None where there is none: of a space, of a recording whose results must not
             be shown, and where counting is an error, which "why" then tells as well.
    """
    rows = []
    for recording, family, why in grid.left_out(experiment):
        row = {"model": family.model, "recording": recording, "why": why, "cost": None}
        if family.space:  # no single price
            rows.append(row)
            continue
        for job in grid.alone(experiment, recording, family):
            told: dict[str, Any] = {"model": job.label}
            try:
                told |= _told(job, folder)
            except Exception as error:  # the fits are done, and stay
                told["why"] = f"{why}; no price: {failing.line(error)}"
            rows.append(row | told)
    return rows


def _told(job: Job, folder: Path) -> dict[str, Any]:
    """The recording's own name and the cost: as kept, if nothing has changed."""
    file, card = folder / PRICED / f"{job.name}.json", cards.read(job.dataset)
    asked = {
        "job": job.canonical(),
        "card": identity.digest(card),
        "words": card.model_dump(include=WORDS),
        "versions": {k: v for k, v in store.versions().items() if k in COUNT},
        "sources": _sources(),
    }
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        was = store.loads(file.read_text(encoding="utf-8"))
        alike = identity.same(was["card"], asked["card"])
        if alike and asked | {"card": ""} == {k: was[k] for k in asked} | {"card": ""}:
            price = was["cost"] and records.cost_of(was["cost"])
            return {"recording": was["recording"], "cost": price}
    split, _ = work.splits(folder).of(job)
    # As the points of those that were fitted name it.
    known = (split.spec.dataset, job.cells)
    told = {"recording": ":".join(word for word in known if word)}
    price = _price(job, split)
    kept = asked | told | {"cost": price and dataclasses.asdict(price)}
    atomic.write_file(file, store.dumps(kept).encode())
    return told | {"cost": price}


@functools.cache
def _sources(package: Path = Path(retina.__file__).parent) -> str:
    """A digest of the code: in a checkout it changes, and the version does not."""
    read = hashlib.sha256()
    for file in sorted(package.rglob("*")):
        name = file.relative_to(package)
        if file.suffix in (".py", ".toml") and name.parts[0] not in LATER:
            read.update(f"{name.as_posix()}\0".encode() + file.read_bytes())
    return read.hexdigest()[:16]


def _price(job: Job, split: Split) -> Cost | None:
    import jax

    from retina.costs.cost import cost

    if not split.publish:
        return None
    model = build.model(job.model, split.spec, **job.settings)
    return cost(model, jax.eval_shape(model.stage.init, jax.random.key(0)), split)
