"""Where a search keeps what it has tried: a journal in the folder, or a database."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retina.errors import BadCard, MissingExtra, Unreachable
from retina.search.experiment import Experiment

JOURNAL = ".search.journal"


def optuna() -> Any:
    """The library.

    raises: MissingExtra.
    """
    try:
        made = importlib.import_module("optuna")
        importlib.import_module("optuna.storages.journal")
    except ImportError:
        raise MissingExtra(
            "a search needs optuna, which is not installed: pip install "
            "'retina-frontier[search]' (or set method = \"grid\")"
        ) from None
    made.logging.set_verbosity(made.logging.ERROR)
    return made


def state(name: str) -> Any:
    """One of optuna's states of a trial."""
    return importlib.import_module("optuna.trial").TrialState[name]


@contextlib.contextmanager
def study_of(experiment: Experiment, dataset: str, folder: Path) -> Iterator[Any]:
    """The study of these spaces on a data set, as far as it has come.

    Its connections are closed at the end; optuna leaves that to whoever comes by.

    raises: BadCard for a storage that optuna does not know; what a database raises.
    """
    search, made = experiment.search, optuna()
    with contextlib.ExitStack() as opened:
        storage = _storage(search.storage, folder, made)
        if search.storage:
            opened.callback(storage.engine.dispose)
            opened.callback(storage.remove_session)
        yield _study(experiment, dataset, storage, made)


def _storage(url: str, folder: Path, made: Any) -> Any:
    if url.startswith("redis"):
        raise BadCard(
            "search.storage: RedisStorage is no longer in optuna: leave storage out "
            "for a journal, or give a database's URL, as sqlite:///FILE"
        )
    if url:
        try:
            return made.storages.RDBStorage(url)
        except ValueError as error:
            raise BadCard(f"search.storage: {_line(error)}") from None
    journal = made.storages.journal
    _cut_off(folder / JOURNAL)
    return made.storages.JournalStorage(
        journal.JournalFileBackend(str(folder / JOURNAL))
    )


def _cut_off(journal: Path) -> None:
    """Without a last line that a full disk has left half written.

    Optuna would write its next entry behind it, and could read neither.
    """
    if not journal.exists():
        return
    with open(journal, "r+b") as file:
        written = file.read()
        end = written.rfind(b"\n") + 1
        if end < len(written):
            file.truncate(end)


def _study(experiment: Experiment, dataset: str, storage: Any, made: Any) -> Any:
    search = experiment.search
    # Other spaces, or objectives, are another study: what was asked would not fit.
    told = [family.model_dump_json() for family in experiment.families if family.space]
    asked = hashlib.sha256(repr((told, search.up, search.down)).encode()).hexdigest()
    directions = ["maximize"] * len(search.up) + ["minimize"] * len(search.down)
    study = made.create_study(
        study_name=f"{experiment.question} {dataset} {asked[:12]}",
        storage=storage,
        directions=directions,
        load_if_exists=True,
    )
    samplers = {
        "nsga2": made.samplers.NSGAIISampler,
        "nsga3": made.samplers.NSGAIIISampler,
        "tpe": made.samplers.TPESampler,
        "random": made.samplers.RandomSampler,
    }
    # Of a search that goes on: the same seed would ask for the same points again.
    seed = experiment.key + len(study.trials)
    with warnings.catch_warnings():
        # That nsga3 may change is no concern of who searches today.
        warnings.simplefilter("ignore", made.exceptions.ExperimentalWarning)
        study.sampler = samplers[search.method](seed=seed)
    return study


class Asking:
    """Turns what a database raises into one line."""

    def __init__(self, storage: str, folder: Path) -> None:
        journal = folder / JOURNAL
        # Without the password that a URL may hold.
        self._name = re.sub("//[^/@]*@", "//", storage) or str(journal)
        self._journal = None if storage else journal
        self._opened: os.stat_result | None = None

    def __enter__(self) -> None:
        if self._opened is None or self._journal is None:
            return
        # Optuna would begin another file in its place, without what was before.
        try:
            there = os.path.samestat(os.stat(self._journal), self._opened)
        except OSError:
            there = False
        if not there:
            raise self._silent("it is not where it was")

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            if self._opened is None and self._journal is not None:
                self._opened = os.stat(self._journal)
            return
        # By module: sqlalchemy is there only where optuna is. A journal is of JSON.
        module = getattr(kind, "__module__", "") or ""
        lost = module.startswith(("sqlalchemy", "json")) or "Storage" in getattr(
            kind, "__name__", ""
        )
        if isinstance(error, ImportError):
            raise MissingExtra(
                f"the search's database {self._name} needs what is not installed: "
                f"{_line(error)}"
            ) from error
        if lost or isinstance(error, OSError):
            # Optuna's and sqlalchemy's own words are of any failure; what the database
            # said is below.
            cause = error.__cause__ or error
            raise self._silent(_line(getattr(cause, "orig", None) or cause)) from error

    def _silent(self, why: str) -> Unreachable:
        return Unreachable(
            f"the search's database {self._name} does not answer ({why}): put it back "
            "or mend it; what was finished is kept, the same command goes on"
        )


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
