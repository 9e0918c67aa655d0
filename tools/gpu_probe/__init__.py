"""What a machine with a GPU shows, for the day one is at hand: recordings, findings, a tiny model that starts and is proved.

`python3 -m tools.gpu_probe --out FILE` in the root of a checkout. Standard library, Python 3.9; docs/dev/gpu.md.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def collection() -> None:
    """Make this checkout importable as `ansible_collections.baremetal.vllm`, where nothing is installed that does."""
    names = ("ansible_collections", "ansible_collections.baremetal", "ansible_collections.baremetal.vllm")
    if names[-1] in sys.modules:
        return
    for name in names:
        module = types.ModuleType(name)
        module.__path__ = [str(ROOT)] if name == names[-1] else []
        sys.modules[name] = module


collection()
