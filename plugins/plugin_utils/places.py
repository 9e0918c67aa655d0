"""Where the collection's own files lie, wherever it is installed, how its YAML is read, and where it keeps what it has made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
TEMPLATES = ROOT / "templates"
# libyaml's loader reads ten times as fast; PyYAML has it wherever it was built with libyaml.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def cache_directory(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Where something is kept on the control node that can be made again: `$XDG_CACHE_HOME/baremetal-vllm/<name>`."""
    caches = environment.get("XDG_CACHE_HOME") or f"{environment.get('HOME') or Path.home()}/.cache"
    return Path(caches) / "baremetal-vllm" / name


def read_yaml(path: Path) -> Any:
    """Plain values of one of the collection's own YAML files.

    Raises OSError, UnicodeDecodeError, yaml.YAMLError.
    """
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a safe loader)
