"""Facts of one release from its source tree, ready for `store.write`."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.tools.catalogue.environment import read_environment
from ansible_collections.baremetal.vllm.tools.catalogue.wheel import read_wheel

PACKAGE = "ansible_collections.baremetal.vllm.tools.catalogue"
# Building a parser takes about a second; a source tree that hangs must not hang its reader.
TIMEOUT = 300


def facts(source: Path) -> tuple[dict[str, Any], list[str]]:
    """`{"wheel", "options", "configs", "environment"}` of the release in `source`, and what could not be read of it.

    Raises RuntimeError where its parser cannot be built, LookupError where a file does not hold what it always held.
    """
    described = in_a_process("describe", source)
    doubts: list[str] = described.pop("doubts")
    return {"wheel": read_wheel(source), **described, "environment": read_environment(source)}, doubts


# The packages that vLLM's parser computes with; the others have stand-ins (`standins.REAL`).
NEEDED = ("packaging", "pydantic", "regex", "typing_extensions", "yaml")


def in_a_process(module: str, source: Path, given: str = "") -> Any:
    """What a module of this package prints about a source tree, in an environment that says nothing of this computer."""
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        raise RuntimeError(f"The catalogue's generator needs {', '.join(absent)}: install the collection's extra `dev`")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"{PACKAGE}.{module}", str(source)],
        input=given,
        env={"PATH": os.defpath, "HOME": "/nonexistent", "PYTHONHASHSEED": "0"}
        | {name: value for name, value in os.environ.items() if name == "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{source}: its parser could not be built:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)
