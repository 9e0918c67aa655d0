"""What of a bundle is there, what lacks, and what nobody needs: decided before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.weights import manifest as mf
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.hub_fetch import staging_of
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.space import held_bytes
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.faults import fault, there
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.manifest import DRAFT, FILE, FOLDERS, Bundle, Part
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.writing.contents import WantedPart

# Of a file that is being copied, beside its place.
COPYING = ".copying-"


@dataclass(frozen=True)
class PartStep:
    """One part, and what of it is to be written: `files` to copy, or for a hub's model whether it is to be fetched (`fetch`).

    `wrong`: files of a hub's model that are there and not as they were; they go before it is fetched again.
    """

    wanted: WantedPart
    files: tuple[mf.FileEntry, ...] = ()
    fetch: bool = False
    wrong: tuple[str, ...] = ()

    @property
    def idle(self) -> bool:
        """Whether nothing of it is to be written."""
        return not self.files and not self.fetch


@dataclass(frozen=True)
class BundleDifference:
    """`steps`: every part of the plan, in order; `unneeded`: parts that are there and that the plan does not need; `replaced`:
    files of ours that give way to others of the same part; `leftovers`: files below our folders that nobody has listed;
    `foreign`: files that are none of a bundle's. Paths are below the bundle's directory."""

    steps: tuple[PartStep, ...]
    unneeded: tuple[Part, ...] = ()
    replaced: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


def compare(
    directory: Path, before: Bundle | None, wanted: Sequence[WantedPart], seen: Callable[[int], None]
) -> BundleDifference:
    """Compare a directory with what is wanted; `before` is what is known of it, None where it is no bundle yet.

    Every file that is there in its size is read (`seen` is told how much). Raises OSError where the directory cannot be listed.
    """
    steps = tuple(_step(directory, before, one, seen) for one in wanted)
    paths = {step.wanted.part.path for step in steps}
    unneeded = tuple(part for part in (before.parts if before else ()) if part.path not in paths)
    ours = {f"{part.path}/{entry.path}" for part in unneeded for entry in part.files}
    ours |= {f"{step.wanted.part.path}/{entry.path}" for step in steps for entry in step.wanted.part.files}
    listed = before.files if before else {}
    replaced, leftovers, foreign = [], [], []
    for path in there(directory) if directory.is_dir() else ():
        if path in ours or path in (FILE, DRAFT, f"{DRAFT}.new") or passing(path, steps):
            continue
        if path in listed:
            replaced.append(path)
        elif before is not None and path.partition("/")[0] in FOLDERS:
            leftovers.append(path)
        else:
            foreign.append(path)
    return BundleDifference(steps, unneeded, tuple(replaced), tuple(leftovers), tuple(foreign))


def passing(path: str, steps: Sequence[PartStep]) -> bool:
    """Whether a file is of a copy or a download that is not done, and so nothing that stays; `path` is relative."""
    if path.rpartition("/")[2].startswith(COPYING):
        return True
    hub = [step for step in steps if step.wanted.part.kind == "hub"]
    if path in [f"{step.wanted.part.path}/{mf.MANIFEST}" for step in hub]:
        return True
    parts = [step.wanted.part.path for step in hub]
    fetched_anew = [step.wanted.part.path for step in hub if step.fetch]
    return path.startswith((*(f"{staging_of(part)}/" for part in parts), *(f"{part}/" for part in fetched_anew)))


def _step(directory: Path, before: Bundle | None, wanted: WantedPart, seen: Callable[[int], None]) -> PartStep:
    place, part = directory / wanted.part.path, wanted.part
    if part.kind != "hub":
        lacking = [entry for entry in part.files if fault(place / entry.path, entry, seen=seen)]
        return PartStep(wanted, files=tuple(lacking))
    known = before.part("hub", **part.about) if before else None
    files = known.files if known else fetched(place)
    wrong = tuple(entry.path for entry in files if fault(place / entry.path, entry, seen=seen))
    return PartStep(replace(wanted, part=replace(part, files=files)), fetch=not files or bool(wrong), wrong=wrong)


def fetched(place: Path) -> tuple[mf.FileEntry, ...]:
    """The files of a hub's model as the download process has listed them when it was done; none before that."""
    whole = mf.read(str(place))
    return whole.files if whole else ()


def held(directory: Path, part: Part) -> int:
    """Bytes of a hub's model that are there already, where it lies or where it grows."""
    place = str(directory / part.path)
    return held_bytes(place) + held_bytes(staging_of(place))
