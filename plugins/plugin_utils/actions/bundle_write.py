"""Writing a bundle, step by step: what is wanted, what lacks, whether it fits, then the copies, and the manifest last."""

from __future__ import annotations

import datetime
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems, some
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.selection import in_units
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.space import free_bytes, held_bytes, shortage
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.bundle_fetch import HubModels, drop_lists
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.counting import ByteCount
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle import manifest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.faults import there
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.manifest import Bundle, Part
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.writing import copying
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.writing.contents import WantedPart
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.writing.difference import (
    BundleDifference,
    PartStep,
    compare,
    passing,
)


@dataclass(frozen=True)
class WriteOutcome:
    """What became of a bundle. `written`: names of parts that were (or would be) brought; `unneeded`: what the plan does not
    need, a line each, `pruned` whether it went; `size` of what was (or would be) written, in bytes."""

    bundle: Bundle
    changed: bool
    written: tuple[str, ...]
    unneeded: tuple[str, ...]
    pruned: bool
    size: int


def check_place(directory: Path) -> None:
    """Raises AnsibleActionFail where a bundle could not be written there."""
    if not directory.parent.is_dir():
        raise AnsibleActionFail(f"bundle_dir: the folder {directory.parent} is not there: is the stick mounted?")
    if directory.exists() and not directory.is_dir():
        raise AnsibleActionFail(f"bundle_dir: {directory} is no directory. Name one for the bundle alone")
    if not os.access(directory if directory.exists() else directory.parent, os.W_OK | os.X_OK):
        raise AnsibleActionFail(f"bundle_dir: you may not write into {directory}: is the stick mounted read-only?")


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Hold a directory for one run; it is made, and goes again where nothing came into it.

    Raises AnsibleActionFail where another run writes there.
    """
    directory.mkdir(exist_ok=True)
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise AnsibleActionFail(f"bundle_dir: another run writes {directory}: wait for it") from None
    finally:
        os.close(opened)
        with suppress(OSError):
            directory.rmdir()


class Writing:
    """One run over one bundle."""

    def __init__(self, directory: Path, models: HubModels, *, prune: bool, check: bool) -> None:
        self._directory, self._models, self._prune, self._check = directory, models, prune, check

    def write(self, wanted: Sequence[WantedPart], problems: Problems) -> WriteOutcome:
        """Bring what lacks. Raises AnsibleActionFail with all that stands against it, BundleError, and OSError of a disk."""
        self._models.settle()
        before = manifest.known(self._directory)
        size = held_bytes(str(self._directory)) if self._directory.is_dir() else 0
        found = compare(
            self._directory, before, wanted, ByteCount(f"bundle {self._directory}: read what is there", size)
        )
        needed = self._judge(found, problems)
        unneeded = self._unneeded(found)
        kept = () if self._prune else found.unneeded
        work = [step for step in found.steps if not step.idle]
        parts = [step.wanted.part for step in found.steps if step.idle] + list(kept)
        if before and not (work or found.replaced or found.leftovers) and _sorted(parts) == _finished(self._directory):
            return WriteOutcome(before, False, (), unneeded, self._prune, 0)
        names = tuple(step.wanted.part.name for step in work)
        if not self._check:
            parts = self._do(found, work, parts)
        made = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        bundle = Bundle(_sorted(parts), made)
        if not self._check:
            self._tidy(bundle, found)
            manifest.write(self._directory, bundle)
            (self._directory / manifest.DRAFT).unlink(missing_ok=True)
        return WriteOutcome(bundle, True, names, unneeded, self._prune, needed)

    def _judge(self, found: BundleDifference, problems: Problems) -> int:
        """The bytes to write. Refuses with everything that stands against writing them."""
        directory = self._directory
        if found.foreign:
            names = some([path.partition("/")[0] for path in found.foreign][:4])
            problems.add(
                "bundle_dir",
                f"{directory} holds what is of no bundle: {names}",
                "Name a directory for the bundle alone",
            )
        if found.leftovers and not self._prune:
            problems.add(
                "bundle_dir",
                f"{directory} holds files that nobody has listed: {some(list(found.leftovers))}",
                "Take them away, or have them removed: -e bundle_prune=true",
            )
        fetches = [step for step in found.steps if step.fetch]
        fetched = self._models.missing(fetches, problems)
        needed = sum(entry.size for step in found.steps for entry in step.files) + sum(fetched.values())
        going = sum(part.size for part in found.unneeded) if self._prune else 0
        remedy = "take a larger stick or disk" + (
            "" if self._prune or not found.unneeded else ", or have what is not needed removed: -e bundle_prune=true"
        )
        if lack := shortage(str(directory), needed, lambda path: free_bytes(path) + going, remedy):
            problems.add("bundle_dir", lack, "Nothing was written")
        if problems.found:
            lines = "\n".join(f"  - {problem}" for problem in sorted(problems.found))
            raise AnsibleActionFail(f"No bundle was written to {directory}.\n{lines}")
        return needed

    def _unneeded(self, found: BundleDifference) -> tuple[str, ...]:
        parts = [f"{part.name} in {part.path} ({in_units(part.size)})" for part in found.unneeded]
        return (*parts, *(found.leftovers if self._prune else ()))

    def _do(self, found: BundleDifference, work: Sequence[PartStep], parts: Sequence[Part]) -> list[Part]:
        """Write what lacks; the parts of the bundle as it is then."""
        done = list(parts)
        self._draft(done)
        (self._directory / manifest.FILE).unlink(missing_ok=True)
        gone = [f"{part.path}/{entry.path}" for part in found.unneeded for entry in part.files] if self._prune else []
        for path in (*gone, *found.replaced, *(found.leftovers if self._prune else ())):
            copying.remove(self._directory, path)
        copies = [step for step in work if not step.fetch]
        for number, step in enumerate(copies, 1):
            self._copy(step, f"{number} of {len(copies)}")
            done.append(step.wanted.part)
            self._draft(done)
        fetches = [step for step in work if step.fetch]
        for step in fetches:
            for path in step.wrong:
                copying.remove(self._directory, f"{step.wanted.part.path}/{path}")
        if fetches:
            done += self._models.fetch([replace(step.wanted.part, files=()) for step in fetches])
            self._draft(done)
        drop_lists(self._directory, [part for part in done if part.kind == "hub"])
        return done

    def _copy(self, step: PartStep, which: str) -> None:
        part, place = step.wanted.part, self._directory / step.wanted.part.path
        count = ByteCount(f"bundle: copy {part.name}, {which}", sum(entry.size for entry in step.files))
        for entry in step.files:
            copying.copy(Path(step.wanted.source) / entry.path, place / entry.path, entry, count)

    def _draft(self, parts: Sequence[Part]) -> None:
        manifest.write(self._directory, Bundle(tuple(parts)), manifest.DRAFT)

    def _tidy(self, bundle: Bundle, found: BundleDifference) -> None:
        """Remove what copies and downloads that were cut short have left."""
        listed = bundle.files
        for path in list(there(self._directory)):
            if path not in listed and passing(path, found.steps):
                copying.remove(self._directory, path)
                display.vv(f"bundle: {path} is removed, of a copy that was cut short")


def _sorted(parts: Sequence[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: part.path))


def _finished(directory: Path) -> tuple[Part, ...] | None:
    """The parts of a bundle that was finished; None of one that was not."""
    try:
        return manifest.read(directory).parts
    except manifest.BundleError:
        return None
