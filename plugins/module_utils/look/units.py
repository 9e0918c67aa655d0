"""What a deployment would do to the units of a host, and every unit as it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import matching_identity
from ansible_collections.baremetal.vllm.plugins.module_utils.units import (
    generations,
    host_extras,
    host_units,
    observe,
    upkeep,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import decide_all
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import MARK, PlannedUnit


def secrets(path: str, digest: str) -> tuple[str | None, bool]:
    """The identity that processes of the planned secrets have (None: unreadable), and whether the file must be written."""
    try:
        text = Path(path).read_text()
    except FileNotFoundError:
        text = None
    except (PermissionError, NotADirectoryError):
        return None, False
    except UnicodeDecodeError:
        text = ""
    identity = matching_identity(text, digest)
    if text is None or identity in ("none yet", "others"):
        return identity, bool(identity)
    # Content that is right may lie under another mode, owner or first line.
    whole = f"{MARK}\n{text.partition(chr(10))[2]}"
    return identity, HostFile(path, whole, 0o600, secret=True).differs()


def look(
    planned: Sequence[Mapping[str, Any]],
    files: Sequence[Mapping[str, str]],
    secrets_path: str,
    digest: str,
    fresh: Collection[str] = (),
) -> dict[str, Any]:
    """What module model_service would do with these units and files, and every unit of ours as it is.

    `planned`: as render.as_dict makes them; `files`: path, content, mode; `digest`: SHA-256 of the planned secrets; `fresh`:
    units that shall not go on with replaced libraries. Returns steps, units, endpoints, generation, canary, upkeep, files,
    unread, refusals, whole, doubts. Raises SystemdError, OSError.
    """
    names = [unit["unit"] for unit in planned]
    identity, written = secrets(secrets_path, digest)
    sight = observe.observe(names, identity, fresh)
    wanted, doubts = host_units.resolve([PlannedUnit(**unit) for unit in planned], sight)
    texts = [HostFile(file["path"], file["content"], int(file["mode"], 8), public=True) for file in files]
    kept = generations.read_generations(observe.GENERATIONS)
    return {
        "steps": [asdict(step) for step in decide_all(wanted, sight.observed, list(sight.texts))],
        "units": {unit: observe.facts(unit, sight.texts.get(unit), state) for unit, state in sight.states.items()},
        "endpoints": host_extras.endpoints(sight.texts, kept),
        "generation": host_extras.generation(sight.texts, kept),
        "canary": host_extras.canary(),
        "upkeep": asdict(upkeep.look()),
        "files": [file.path for file in texts if file.differs()] + ([secrets_path] if written else []),
        # An operator's drop-in that systemd has not read in yet.
        "unread": sorted(unit for unit, found in sight.observed.items() if found.state.stale),
        "refusals": [f"{path} exists and was not written by this toolkit" for path in observe.foreign_units(names)],
        "whole": sight.whole,
        "doubts": doubts,
    }
