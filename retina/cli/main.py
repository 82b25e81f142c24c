"""The command `retina`: one function per command, in the order of a first session."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from retina import compiled, failures
from retina.cli import (
    comparing,
    converting,
    costing,
    fitting,
    interrupt,
    names,
    new,
    probing,
    recordings,
    reducing,
    scaling,
    scoring,
    simulating,
    sweeping,
    watching,
)
from retina.errors import RetinaError

app = typer.Typer(
    help=(
        "Models of the retina fitted to spike recordings: their accuracy, and exactly "
        "how much computation it takes."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_COMMANDS: dict[str, Callable[..., Any]] = {
    "list": names.list_names,
    "show": names.show,
    "fetch": recordings.fetch,
    "check": recordings.check,
    "convert": converting.convert,
    "export": recordings.export,
    "new": new.new,
    "fit": fitting.fit,
    "score": scoring.score,
    "cost": costing.cost,
    "reduce": reducing.reduce,
    "scale": scaling.scale,
    "simulate": simulating.simulate,
    "probe": probing.probe,
    "sweep": sweeping.sweep,
    "status": watching.status,
    "compare": comparing.compare,
    "frontier": comparing.frontier,
}

_RESUMABLE = (fitting.fit, reducing.reduce, sweeping.sweep, recordings.fetch)


def _guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """What a person can put right is one line and status 1; Ctrl-C is status 130."""

    @functools.wraps(command)
    def guarded(*arguments: Any, **options: Any) -> None:
        compiled.keep()
        interrupt.listen()
        try:
            status = command(*arguments, **options)
        except RetinaError as error:
            print(f"retina: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
        except (MemoryError, RuntimeError) as error:
            resumable = command in _RESUMABLE
            again = "the same command goes on" if resumable else "run it again"
            line = failures.recognised(error, "take fewer cells", again)
            if line is None:
                raise
            print(f"retina: {line}", file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            kept = "; what was finished is kept, the same command goes on"
            line = "stopped" + (kept if command in _RESUMABLE else "")
            print(f"\nretina: {line}", file=sys.stderr)
            raise typer.Exit(130) from None
        except BrokenPipeError:  # `retina list models | head -1`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        raise typer.Exit(status or 0)

    return guarded


for _name, _command in _COMMANDS.items():
    app.command(_name)(_guarded(_command))


def _version(wanted: bool) -> None:
    if wanted:
        from retina import __version__

        print(__version__)
        raise typer.Exit()


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def run() -> None:
    """The console script."""
    app(prog_name="retina")
