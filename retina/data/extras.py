"""Libraries that are installed only by who needs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from retina.errors import MissingExtra


def needed(module: str, extra: str, what: str) -> ModuleType:
    """A module that an extra of the project installs.

    module: its dotted name.
    what:   that cannot be done without it, for the message.
    raises: MissingExtra that names what to type.

    >>> needed("no_such_module", "nwb", "an NWB file")
    Traceback (most recent call last):
    retina.errors.MissingExtra: an NWB file is read by no_such_module, which is not ...
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        name = module.partition(".")[0]
        raise MissingExtra(
            f"{what} is read by {name}, which is not installed: "
            f"pip install 'retina-frontier[{extra}]'"
        ) from None
