"""Full proofs, kept on the host: which endpoint has shown everything, as which unit, in which process.

`<ROOT>/<unit>.json`, root's: {"schema": 1, "unit", "digest": SHA-256 of the unit's file, "invocation": systemd's InvocationID
of the process, "asked": SHA-256 of what was to be shown, "proved": ISO 8601 with the offset, "checks": how many, "seal": SHA-256
of the rest}.
A record counts while it is whole and the unit's file, its process and what it has to show are those that it names.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.suite import Result, probes
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile

ROOT = Path("/var/lib/vllm/proofs")
SCHEMA = 1


@dataclass(frozen=True)
class Process:
    """What a proof is of: the text of a unit's file as its SHA-256 `digest`, and its running process's `invocation`."""

    digest: str
    invocation: str


@dataclass(frozen=True)
class Standing:
    """A proof that still counts, `proved` at an ISO 8601 time with `checks` checks; or `why` none does ("" where one does)."""

    why: str = ""
    proved: str = ""
    checks: int = 0


def process(text: str, invocation: str) -> Process:
    """The process `invocation` (systemd's InvocationID) of a unit whose file has this text."""
    return Process(hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest(), invocation)


def asked_of(service: Service) -> str:
    """SHA-256 of what an endpoint has to show and of the checks that show it: neither a plan that asks for more nor a collection
    that checks more is answered by an earlier proof."""
    checks = [name for probe in probes(service) for name in probe.names]
    return hashlib.sha256(json.dumps([asdict(service), checks], sort_keys=True).encode()).hexdigest()


def keep(result: Result, proved: Process, now: datetime.datetime, root: Path = ROOT) -> None:
    """Write down a full proof that was passed. Raises OSError where its file cannot be written."""
    record = {
        "schema": SCHEMA,
        "unit": result.service.unit,
        **asdict(proved),
        "asked": asked_of(result.service),
        "proved": now.isoformat(timespec="seconds"),
        "checks": sum(check.passed for check in result.checks),
    }
    text = json.dumps({**record, "seal": _seal(record)}, indent=2) + "\n"
    HostFile(str(_path(root, result.service.unit)), text, 0o644, public=True).write()


def forget(unit: str, root: Path = ROOT) -> None:
    """Drop what was proved of a unit: it failed since."""
    _path(root, unit).unlink(missing_ok=True)


def standing(
    service: Service, running: Process, now: datetime.datetime, longest: float | None = None, root: Path = ROOT
) -> Standing:
    """Whether an endpoint's last full proof still counts. `longest`: seconds that it may be old, None for any age."""
    try:
        record = json.loads(_path(root, service.unit).read_text(encoding="utf-8"))
        proved = datetime.datetime.fromisoformat(record["proved"])
        age = (now - proved).total_seconds()
        if record["schema"] != SCHEMA or record["seal"] != _seal(record):
            return Standing("its record was changed by somebody else")
        same = (record["digest"], record["invocation"]) == (running.digest, running.invocation)
    except FileNotFoundError:
        return Standing("it was never proved in full")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Standing(f"its record cannot be read ({type(error).__name__})")
    if not running.invocation or not same:
        return Standing("its unit or its process is another one since")
    if record["asked"] != asked_of(service):
        return Standing("more is to be shown since")
    if longest is not None and not 0 <= age <= longest:
        return Standing(f"its proof is of {record['proved']}, and older than vllm_proof_age allows")
    return Standing(proved=record["proved"], checks=int(record["checks"]))


def _seal(record: Mapping[str, object]) -> str:
    rest = {key: value for key, value in record.items() if key != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _path(root: Path, unit: str) -> Path:
    # A unit's name comes from the plan, which knows no slash in one; a record never lies elsewhere.
    return root / f"{unit.replace('/', '_')}.json"
