"""A program of ours that goes on after the module that starts it: its few files, laid where a Python of the host finds them."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType


def lay(folder: Path, parts: Iterable[ModuleType]) -> None:
    """Write the sources of these files below `folder` anew, under the names that they import each other by. Raises OSError.

    Where they come from does not matter: a checkout, or the archive that Ansible sends to a host.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for part in parts:
        *rooms, name = part.__name__.split(".")
        place = folder.joinpath(*rooms)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.py").write_text(inspect.getsource(part), encoding="utf-8")
        # A package of the same name in the host's own Python would come before one that is a mere folder.
        for depth in range(1, len(rooms) + 1):
            folder.joinpath(*rooms[:depth], "__init__.py").touch()
