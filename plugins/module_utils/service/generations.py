"""Numbered generations: what each change put on a host, so that there is a way back.

`<root>/<n>/` holds the unit files and `manifest.json`:
{"number": n, "created": ISO time, "outcome": "pending" | "active" | "failed", "releases": [release, ...],
 "units": {unit: {"name", "digest", "release", "weights", "revision"}}}.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEPT = 3


@dataclass(frozen=True)
class Generation:
    """One generation on disk; `texts` are its unit files by unit name."""

    number: int
    outcome: str
    manifest: Mapping[str, Any]
    texts: Mapping[str, str]


def read_generations(root: Path) -> list[Generation]:
    """All readable generations, oldest first; what is not one (a half-written directory) is passed over."""
    found = []
    for directory in root.glob("[0-9]*") if root.is_dir() else []:
        try:
            manifest = json.loads((directory / "manifest.json").read_text())
            texts = {unit: (directory / unit).read_text() for unit in manifest["units"]}
            found.append(Generation(int(directory.name), manifest["outcome"], manifest, texts))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda generation: generation.number)


def write_generation(root: Path, units: Sequence[Mapping[str, str]]) -> int:
    """Write the next generation whole, or not at all; its number. Does nothing where the newest one is the same set."""
    root.mkdir(parents=True, exist_ok=True, mode=0o755)
    existing = read_generations(root)
    texts = {unit["unit"]: unit["text"] for unit in units}
    if existing and dict(existing[-1].texts) == texts:
        return existing[-1].number
    number = max([int(d.name) for d in root.glob("[0-9]*") if d.name.isdigit()], default=0) + 1
    manifest = {
        "number": number,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "outcome": "pending",
        "releases": sorted({unit["release"] for unit in units}),
        "units": {
            unit["unit"]: {key: unit[key] for key in ("name", "digest", "release", "weights", "revision")}
            for unit in units
        },
    }
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=root))
    try:
        for unit, text in texts.items():
            (draft / unit).write_text(text)
        (draft / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        draft.chmod(0o755)
        draft.rename(root / str(number))
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return number


def set_outcome(root: Path, number: int, outcome: str) -> bool:
    """Record how a generation ended; whether that was news."""
    path = root / str(number) / "manifest.json"
    manifest = json.loads(path.read_text())
    if manifest["outcome"] == outcome:
        return False
    manifest["outcome"] = outcome
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(manifest, indent=2) + "\n")
    os.replace(draft, path)
    return True


def prune(root: Path) -> list[int]:
    """Remove all but the last `KEPT` generations and the last one that is known to have served; the removed numbers."""
    generations = read_generations(root)
    kept = {generation.number for generation in generations[-KEPT:]}
    kept |= {g.number for g in [g for g in generations if g.outcome == "active"][-1:]}
    gone = [g.number for g in generations if g.number not in kept]
    for number in gone:
        shutil.rmtree(root / str(number), ignore_errors=True)
    return gone


def last_good(root: Path, before: int) -> Generation | None:
    """The newest generation below `before` that served."""
    good = [g for g in read_generations(root) if g.number < before and g.outcome == "active"]
    return good[-1] if good else None
