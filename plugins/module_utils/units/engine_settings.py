"""What a unit is told of its engine's kernels. A plan knows the release; what was installed of it, and whether a compiler was
proved there, only the host's installation says (`kernels` in `.complete.json`)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import kernel_proof, kernels
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.installed import read_marker
from ansible_collections.baremetal.vllm.plugins.module_utils.units import quoting
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import (
    DIGEST,
    UnitFile,
    read_unit,
    with_digest,
)

# A setting of [Unit] that systemd passes over (systemd.unit(5): names that begin with X-), written by the plan.
WITHOUT_KERNELS = "X-Without-Kernels"
_COMMAND = re.compile(r"^ExecStart=(?:.*\\\n)*.*$", re.MULTILINE)
_BEFORE = re.compile(rf'^Environment="{DIGEST}=', re.MULTILINE)


class _Kernels(NamedTuple):
    """What an engine's units are to have, and whether that is a guess, because nobody proved it when it was installed."""

    environment: Mapping[str, str]
    guessed: bool = False


def resolve(units: Sequence[PlannedUnit], installed: Mapping[str, str], running: Collection[str]) -> list[PlannedUnit]:
    """Planned units with the environment of their engines' kernels.

    `installed` are the texts of the units on the host, `running` those that have a process. What the operator wrote wins.
    """
    engines: dict[Path, _Kernels] = {}
    resolved = []
    for unit in units:
        planned = read_unit(unit.text)
        command = planned.command[0] if planned.command else ""
        engine = Path(command.rpartition("/bin/")[0] or "/")
        if engine not in engines:
            engines[engine] = _of_engine(engine)
        found = engines[engine]
        added = dict(found.environment)
        before = read_unit(installed.get(unit.unit, ""))
        # An engine from before there were records was proved by what runs from it, if anything does.
        serves = unit.unit in running and bool(before.command) and before.command[0] == command
        if found.guessed and serves:
            added = {name: value for name, value in added.items() if before.environment.get(name) == value}
        # Whoever names a compiler has it, under either name; every other word of the operator's stands for itself.
        if any(name in planned.environment for name in kernels.CUDA_HOME):
            added = {}
        further = _words(planned) if added.get(kernels.SAMPLER) == "0" else []
        added = {name: value for name, value in added.items() if name not in planned.environment}
        resolved.append(unit.changed_to(_with(unit.text, added, further)) if added or further else unit)
    return resolved


def _of_engine(engine: Path) -> _Kernels:
    """Nothing, where the engine is not there yet."""
    marker = read_marker(engine)
    release, accelerator = marker.get("release", ""), marker.get("accelerator", "")
    if not kernels.wanted(release, accelerator):
        return _Kernels({})
    if isinstance(marker.get("kernels"), dict):
        record = marker["kernels"]
        # A toolkit of the host's may go after the proof, and its name would keep FlashInfer and DeepGEMM from all others.
        if record.get("compiler") and kernel_proof.gone(str(record["compiler"])):
            record = {**record, "compiler": "", "cuobjdump": False}
        return _Kernels(kernels.environment(release, accelerator, record))
    looked = kernel_proof.look(engine)
    # A compiler of the host's own is found without being named.
    environment = {} if looked["compiler"] else kernels.environment(release, accelerator, looked)
    return _Kernels(environment, guessed=True)


def _words(planned: UnitFile) -> list[str]:
    """What the plan wants added to the command of an engine without kernels and without a compiler, once."""
    words = quoting.words(next(iter(planned.section("Unit").get(WITHOUT_KERNELS, ())), ""))
    return [] if not words or words[0] in planned.command else words


def _with(text: str, added: Mapping[str, str], further: Sequence[str]) -> str:
    """A unit's text with more environment, more words of its command, and the digest of that."""
    place, command = _BEFORE.search(text), _COMMAND.search(text)
    if place is None or command is None:
        return text
    lines = "".join(f"Environment={variable}\n" for variable in quoting.environment(added))
    words = f" \\\n  {quoting.command(further)}" if further else ""
    text = text[: place.start()] + lines + text[place.start() : command.end()] + words + text[command.end() :]
    return with_digest(text)
