"""How templates are read: one set of rules for all files that land on a host."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2


@cache
def environment(*folders: Path) -> jinja2.Environment:
    """Templates of some folders, the first that has one. Nothing is escaped, and a name without a value is an error.

    What it has compiled, a process keeps until the file changes.
    """
    return jinja2.Environment(  # noqa: S701 (files of a host are no HTML)
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
