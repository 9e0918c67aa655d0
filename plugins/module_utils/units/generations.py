"""Numbered generations: what each change put on a host, so that there is a way back.

`<root>/<n>/` holds the unit files and `manifest.json`:
{"number": n, "created": ISO time, "outcome": "pending" | "active" | "proven" | "failed", "plan": digest of the plan that
made it, "returned": whether it was made by going back, "releases": [release, ...], "units": {unit: {"name", "digest",
"release", "weights", "revision", "service"}}}; `service` is what endpoint_check needs to know. The earliest manifests have
neither `plan` nor `service` nor `returned`.

A generation is pending until its units answer, then active, then proven once it was judged good; or failed.
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

from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import named
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit

KEPT = 3
SERVED = ("active", "proven")
_FACTS = ("name", "digest", "release", "weights", "revision")


@dataclass(frozen=True)
class Generation:
    """One generation on disk. `units` are as they were installed, with this host's device nodes.

    `created` is a time in ISO 8601, `plan` the digest of its plan, each "" where its manifest does not say; `returned`: whether
    it was made by going back to an earlier one.
    """

    number: int
    outcome: str
    units: tuple[PlannedUnit, ...]
    created: str = ""
    plan: str = ""
    returned: bool = False
    releases: tuple[str, ...] = ()

    @property
    def texts(self) -> dict[str, str]:
        """The unit files by unit name."""
        return {unit.unit: unit.text for unit in self.units}


def read_generations(root: Path) -> list[Generation]:
    """All readable generations, oldest first; what is not one (a half-written directory) is passed over."""
    found = []
    for directory in root.glob("[0-9]*") if root.is_dir() else []:
        try:
            found.append(_read(directory))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return sorted(found, key=lambda generation: generation.number)


def _read(directory: Path) -> Generation:
    """Also one that an earlier version of this collection wrote, whose manifest says less."""
    manifest = json.loads((directory / "manifest.json").read_text())
    units = []
    for unit, facts in manifest["units"].items():
        said = {key: str(facts.get(key, "")) for key in _FACTS}
        units.append(PlannedUnit(unit, (directory / unit).read_text(), **said, service=facts.get("service") or None))
    return Generation(
        number=int(directory.name),
        outcome=manifest["outcome"],
        units=tuple(units),
        created=str(manifest.get("created", "")),
        plan=str(manifest.get("plan", "")),
        returned=bool(manifest.get("returned")),
        releases=tuple(manifest.get("releases", ())),
    )


def write_generation(root: Path, units: Sequence[PlannedUnit], plan: str = "", *, returned: bool = False) -> int:
    """Write the next generation whole, or not at all; its number. `returned`: it is an earlier one's set of units again.

    Where the newest one is the same set it stays, pending anew if it was never seen to serve: this is another try.
    """
    folders.make(root)
    existing = read_generations(root)
    texts = {unit.unit: unit.text for unit in units}
    if existing and existing[-1].texts == texts:
        newest = existing[-1]
        if newest.outcome not in SERVED:
            _update_manifest(root, newest.number, outcome="pending", plan=plan)
        return newest.number
    number = max([int(d.name) for d in root.glob("[0-9]*") if d.name.isdigit()], default=0) + 1
    manifest = {
        "number": number,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "outcome": "pending",
        "plan": plan,
        "returned": returned,
        "releases": sorted({unit.release for unit in units}),
        "units": {unit.unit: facts(unit) for unit in units},
    }
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=root))
    try:
        for unit, text in texts.items():
            _put(draft / unit, text)
        _put(draft / "manifest.json", json.dumps(manifest, indent=2) + "\n")
        draft.chmod(0o755)
        draft.rename(root / str(number))
    except OSError as error:
        raise named(error, root / str(number)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return number


def facts(unit: PlannedUnit) -> dict[str, object]:
    """What a manifest says of a unit beside its file: name, digest, release, weights, revision, and `service` ({} for None)."""
    return {**{key: getattr(unit, key) for key in _FACTS}, "service": unit.service or {}}


def _put(path: Path, text: str) -> None:
    """Write a new file that everybody may read, whatever the umask."""
    path.write_text(text)
    path.chmod(0o644)


def _update_manifest(root: Path, number: int, **news: str) -> None:
    """Say something else in a manifest, and leave what another version of this collection wrote there."""
    path = root / str(number) / "manifest.json"
    draft = path.with_suffix(".draft")
    manifest = {**json.loads(path.read_text()), **news}
    try:
        _put(draft, json.dumps(manifest, indent=2) + "\n")
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise named(error, path) from error


def age(generation: Generation, now: float) -> float | None:
    """Seconds since a generation was made, at `now` (seconds since the epoch); None where that is not known."""
    try:
        return now - datetime.datetime.fromisoformat(generation.created).timestamp()
    except ValueError:
        return None


def becomes(found: str, outcome: str) -> str:
    """What an outcome is after another was told: one that is proven and answers again stays proven."""
    return found if (found, outcome) == ("proven", "active") else outcome


def set_outcome(root: Path, number: int, outcome: str) -> bool:
    """Record how a generation ended; whether that was news."""
    manifest = json.loads((root / str(number) / "manifest.json").read_text())
    after = becomes(manifest["outcome"], outcome)
    if after == manifest["outcome"]:
        return False
    _update_manifest(root, number, outcome=after)
    return True


def prune(root: Path) -> list[int]:
    """Remove what nobody goes back to any more; the removed numbers.

    The last `KEPT` stay, and beyond them the last that served before the newest (which may yet be judged and taken
    back) and the last that was proven.
    """
    generations = read_generations(root)
    kept = {generation.number for generation in generations[-KEPT:]}
    kept |= {g.number for g in [g for g in generations[:-1] if g.outcome in SERVED][-1:]}
    kept |= {g.number for g in [g for g in generations if g.outcome == "proven"][-1:]}
    gone = [g.number for g in generations if g.number not in kept]
    for number in gone:
        shutil.rmtree(root / str(number), ignore_errors=True)
    return gone


def last_good(root: Path, before: int) -> Generation | None:
    """The newest generation below `before` that served, proven or not."""
    good = [g for g in read_generations(root) if g.number < before and g.outcome in SERVED]
    return good[-1] if good else None


def current(kept: Sequence[Generation], installed: Mapping[str, str]) -> int:
    """The newest generation whose units are exactly the installed ones; 0 where there is none.

    There is none after a start that failed in part (its failed units went back, the others did not), and where a unit
    file was edited by hand.
    """
    same = [g.number for g in kept if g.texts == dict(installed)]
    return same[-1] if same else 0


def before_change(kept: Sequence[Generation], installed: Mapping[str, str]) -> int:
    """The generation to go back to after a change of what is installed now; 0 where nothing ever served."""
    good = [g.number for g in kept if g.outcome in SERVED]
    return current(kept, installed) or (good[-1] if good else 0)


class NotKeptError(LookupError):
    """A generation that the host does not have, with those that it has."""


def find(kept: Sequence[Generation], number: int) -> Generation:
    """One of the kept generations. Raises NotKeptError: naming those that are kept, where it is not among them."""
    for generation in kept:
        if generation.number == number:
            return generation
    there = ", ".join(f"{g.number} ({g.created or 'no date'}, {g.outcome})" for g in kept) or "none"
    raise NotKeptError(f"generation {number} is not kept on this host; kept are {there}")
