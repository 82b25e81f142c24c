"""Checkpoints of a fit, by orbax: written beside the fit, read where it was cut off.

Orbax writes each one under another name and renames it when it is whole; the one before
is removed after that. It is imported by the first that is written or read.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from retina import atomic, formulation, lock
from retina.errors import BrokenRun, UnwritableFolder
from retina.fitting.resume import compare
from retina.stage import Tree

EVERY_S = 15.0  # seconds between two of them: one costs some 0.1 s of one core


def present(folder: Path) -> bool:
    """Whether a fit can go on from there."""
    return folder.is_dir() and any(path.name.isdigit() for path in folder.iterdir())


def ways(folder: str | Path | None) -> dict[str, str]:
    """The formulations that a checkpoint's fit took on this device, to be taken again.

    {} where there is none, or none that can be read: `Checkpoints.load` says so.
    """
    if folder is None or not present(Path(folder)):
        return {}
    with contextlib.suppress(BrokenRun), Checkpoints(folder, {}) as checkpoints:
        about = checkpoints.about()
        return about.get("ways", {}).get(formulation.device(), {})
    return {}


class Checkpoints:
    """The checkpoints of one fit, in a folder of their own; None keeps nothing.

    On leaving it, also by an exception or Ctrl-C, the newest state is written; a killed
    process loses what came after its last whole checkpoint, EVERY_S or little more.

    asked:  the `identity` of the fit.
    raises: InUse where another process fits the same; BrokenRun for a file;
            UnwritableFolder, from `keep` and on leaving.
    """

    def __init__(self, folder: str | Path | None, asked: dict[str, Any]):
        self.folder = None if folder is None else Path(folder).absolute()
        self.asked = asked
        self._manager: Any = None
        self._newest: tuple[int, list[np.ndarray]] | None = None
        self._written = time.monotonic()
        self._held = contextlib.ExitStack()
        # Of several hosts all read, and the first writes.
        self._writes = jax.process_index() == 0

    def __enter__(self) -> Checkpoints:
        if self.folder is None:
            return self
        # Orbax hangs a handler on the root, which would reword everybody's warnings.
        self._held.callback(_hang, logging.root.handlers[:])
        if self.folder.exists() and not self.folder.is_dir():
            raise BrokenRun(f"{self.folder} is no folder of checkpoints: delete it")
        if self._writes:
            self._held.enter_context(lock.held(self.folder))
        return self

    def __exit__(self, kind, error, trace) -> None:
        with self._held:
            # Where a write has failed just now, another would.
            if self._newest and not isinstance(error, UnwritableFolder):
                self._write()
            if self._manager is not None:
                with self._explained(), contextlib.closing(self._manager):
                    self._manager.wait_until_finished()
            if self.folder is not None and error is None and jax.process_count() > 1:
                # A next fit, of any host, finds the last one whole.
                multihost_utils.sync_global_devices(str(self.folder))

    def load(self, like: Tree) -> Tree | None:
        """The last state that was kept; None where there is none.

        like:   a state of the same structure, shapes and dtypes.
        raises: BrokenRun where it is damaged, or of another fit, with the difference.
        """
        if self.folder is None or not present(self.folder):
            return None
        args = _orbax().args

        about = self.about()
        manager = self._opened()
        step = manager.latest_step()
        with self._readable():
            there, digest = about["fit"], about["sha256"]
        compare(self.folder, there, self.asked)
        leaves, structure = jax.tree.flatten(like)
        with self._readable():
            if about["leaves"] != _described(leaves):
                raise ValueError("its arrays are not those of this version")
            read = args.Composite(state=args.StandardRestore())
            data = manager.restore(step, args=read)["state"]["bytes"].tobytes()
            if hashlib.sha256(data).hexdigest() != digest:
                raise ValueError("its sha256 differs")
        return structure.unflatten(_parts(data, leaves))

    def about(self) -> dict[str, Any]:
        """What the last one says of itself; raises BrokenRun."""
        args = _orbax().args
        manager = self._opened()
        with self._readable():
            read = args.Composite(about=args.JsonRestore())
            return manager.restore(manager.latest_step(), args=read)["about"]

    def keep(self, step: int, state: Tree) -> None:
        """Takes a copy of a state, and begins to write it if it is time for one."""
        if self.folder is None or not self._writes:
            return
        self._newest = step, [np.array(leaf) for leaf in jax.tree.leaves(state)]
        if self._manager is not None:
            with self._explained():
                self._manager.check_for_errors()
            if self._manager.is_saving_in_progress():
                return
        if time.monotonic() - self._written >= EVERY_S:
            self._write()

    def _write(self) -> None:
        args = _orbax().args

        assert self._newest is not None
        step, leaves = self._newest
        self._newest = None
        # As one array: each costs orbax time, and it takes none without elements.
        data = b"".join(leaf.tobytes() for leaf in leaves)
        about = {
            "fit": self.asked,
            # Another formulation gives other last digits.
            "ways": {formulation.device(): formulation.taken()},
            "leaves": _described(leaves),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        with self._explained():
            manager = self._opened()
            if step != manager.latest_step():
                state = {"bytes": np.frombuffer(data, np.uint8)}
                manager.save(
                    step,
                    args=args.Composite(
                        state=args.StandardSave(state), about=args.JsonSave(about)
                    ),
                )
        self._written = time.monotonic()

    def _opened(self) -> Any:
        if self._manager is None:
            assert self.folder is not None
            orbax = _orbax()
            # What goes wrong is raised; orbax would say it at length beside that.
            logging.getLogger("absl").addFilter(_not_of_orbax)
            alone = {}
            if jax.process_count() > 1:
                me = jax.process_index()
                alone["multiprocessing_options"] = orbax.options.MultiprocessingOptions(
                    primary_host=me,
                    active_processes={me},
                    barrier_sync_key_prefix=f"host{me}",
                )
            options = orbax.CheckpointManagerOptions(
                max_to_keep=1,
                create=False,
                cleanup_tmp_directories=self._writes,
                read_only=not self._writes,
                # Else a folder that cannot be made is told minutes later.
                async_options=orbax.AsyncOptions(
                    create_directories_asynchronously=False
                ),
                **alone,
            )
            self._manager = orbax.CheckpointManager(self.folder, options=options)
        return self._manager

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        # Whatever stumbles first over a damaged file raises an error of its own.
        except Exception as error:
            why = textwrap.shorten(str(error) or type(error).__name__, 100)
            raise BrokenRun(
                f"the checkpoint {self.folder} cannot be read ({why}): delete it"
            ) from error

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        assert self.folder is not None
        with atomic.explained(self.folder):
            try:
                yield
            except ValueError as error:
                code = re.search(r"(?:os_error_code='|OS error )(\d+)", str(error))
                if code is None:
                    raise
                number = int(code[1])
                raise OSError(number, os.strerror(number)) from error


def _described(leaves: list) -> list:
    """The dtype and shape of each, as JSON has them."""
    arrays = map(np.asarray, leaves)
    return [[array.dtype.name, list(array.shape)] for array in arrays]


def _parts(data: bytes, like: list) -> Iterator[Any]:
    """The leaves that the bytes hold, each of the kind of the one in `like`."""
    at = 0
    for wanted in like:
        model = np.asarray(wanted)
        value = np.frombuffer(data, model.dtype, model.size, at)
        at += model.nbytes
        value = value.reshape(model.shape).copy()
        if isinstance(wanted, jax.Array):
            yield jnp.asarray(value)
        elif isinstance(wanted, np.generic):  # float64 is also a float: ask this first
            yield value[()]
        else:
            plain = isinstance(wanted, (bool, int, float))
            yield value.item() if plain else value


def _orbax() -> Any:
    handlers = logging.root.handlers[:]
    from orbax import checkpoint

    _hang(handlers)
    return checkpoint


def _hang(handlers: list[logging.Handler]) -> None:
    logging.root.handlers[:] = handlers


def _not_of_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname
