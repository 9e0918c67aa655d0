"""The terminal of this run, for what actions print there."""

from __future__ import annotations

import os
import sys

from ansible import constants
from ansible.utils.color import stringc
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.screen import ADDED, CHANGED, REMOVED, WRONG, Screen

# Ansible's own colours for the same, so that whoever changed them (ansible.cfg, section `colors`) finds them here as well.
_COLOURS = {ADDED: "COLOR_DIFF_ADD", CHANGED: "COLOR_CHANGED", REMOVED: "COLOR_DIFF_REMOVE", WRONG: "COLOR_ERROR"}


def _width() -> int:
    """Columns: of COLUMNS, or of the terminal; 0 where neither tells."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns if sys.__stdout__ else 0
    except (OSError, ValueError):
        return 0


def _paint(text: str, tone: str) -> str:
    """`stringc` paints nothing where Ansible paints nothing: no terminal, a dumb one, NO_COLOR, ANSIBLE_NOCOLOR; and it does
    with ANSIBLE_FORCE_COLOR (ansible-core, lib/ansible/utils/color.py)."""
    coloured: str = stringc(text, getattr(constants, _COLOURS[tone]))
    return coloured


# Actions run in workers that are cut off from the terminal (ansible-core, executor/process/worker.py): it is asked here,
# where their modules are loaded, before they are forked.
_FOUND = _width()
SCREEN = Screen(_FOUND or 80, _paint, terminal=bool(_FOUND))
