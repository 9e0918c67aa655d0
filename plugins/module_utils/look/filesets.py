"""Sets of files of ours beside what lies on a host: what module unit_files would do there, without doing it."""

from __future__ import annotations

import pwd
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.baremetal.vllm.plugins.module_utils.host import fileset_host as host
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import one_line
from ansible_collections.baremetal.vllm.plugins.module_utils.host.fileset import (
    EFFECTS,
    FilesetRequest,
    FilesetSeen,
    FilesetVerdict,
    SetParameters,
    decide,
    request_of,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.units import surroundings
from ansible_collections.baremetal.vllm.plugins.module_utils.units.opening import OpeningError
from ansible_collections.baremetal.vllm.plugins.module_utils.units.surroundings import (
    Parameters,
    Surroundings,
    SurroundingsFound,
)

_OWNED = {
    "path": {"type": "str", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}
_FILE = {
    **_OWNED,
    "content": {"type": "str"},
    "src": {"type": "path"},
    "mode": {"type": "str", "default": "0644"},
    "secret": {"type": "bool", "default": False},
    "effect": {"type": "str", "choices": list(EFFECTS), "default": "reload"},
}
_DIRECTORY = {**_OWNED, "mode": {"type": "str", "default": "0755"}, "only": {"type": "bool", "default": False}}
# The options of M(baremetal.vllm.unit_files) that say what a set is.
OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "files": {"type": "list", "elements": "dict", "default": [], "options": _FILE},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "variables": {"type": "dict", "default": {}},
    "directories": {"type": "list", "elements": "dict", "default": [], "options": _DIRECTORY},
    "programs": {"type": "list", "elements": "str", "default": []},
    "users": {"type": "list", "elements": "str", "default": []},
    "validate": {"type": "list", "elements": "str", "default": []},
    "unit": {"type": "str"},
    "probe": {"type": "list", "elements": "str", "default": []},
    "opening": {"type": "dict", "options": surroundings.OPENING},
    "selinux": {"type": "dict", "options": surroundings.SELINUX},
}
# Of a set that is only compared: no secret leaves the control node for that.
_COMPARED = {**OPTIONS, "digests": {"type": "dict", "default": {}, "no_log": True}}


@dataclass(frozen=True)
class Comparison:
    """One set and how a host differs from it.

    `steps`: what would be done, in words; `missing` programs and `missing_users`, without which nothing is done; `warnings`:
    what is somebody else's to do. `seen` and `verdict` are None of a set that goes, whose paths that are there are `gone`.
    """

    request: FilesetRequest
    asked: Surroundings
    found: SurroundingsFound
    steps: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    missing_users: tuple[str, ...] = ()
    seen: FilesetSeen | None = None
    verdict: FilesetVerdict | None = None
    gone: tuple[str, ...] = ()


class FilesetParameters(SetParameters, Parameters):
    """What module unit_files is told of a set, as `OPTIONS` say it."""

    programs: list[str]
    users: list[str]
    probe: list[str]


def read(told: Mapping[str, Any]) -> FilesetParameters:
    """A set as it is told a module that has no argument specification of its own for it: with the defaults of `OPTIONS`.
    Secret files may have `digests` in place of their texts.

    Raises ValueError: for what `OPTIONS` do not allow.
    """
    result = ArgumentSpecValidator(_COMPARED).validate(dict(told))
    if result.error_messages:
        raise ValueError("; ".join(result.error_messages))
    return cast("FilesetParameters", result.validated_parameters)


def compare(params: FilesetParameters) -> Comparison:
    """A set as `OPTIONS` say it, beside this host.

    Raises ValueError: for what is wrong with the set, a line each; SystemdError, OpeningError, OSError: of what cannot be
    asked.
    """
    request, asked = request_of(params), surroundings.wanted(params)
    return _present(params, request, asked) if params["state"] == "present" else _absent(request, asked)


def _present(params: FilesetParameters, request: FilesetRequest, asked: Surroundings) -> Comparison:
    found = surroundings.look(asked)
    missing = [program for program in params["programs"] if not shutil.which(program)] + list(found.missing)
    users = [user for user in params["users"] if not _is_user(user)]
    seen = host.look(request, [] if missing else params["probe"])
    verdict = decide(request, seen)
    steps = [f"install {program}" for program in missing] + [f"create user {user}" for user in users] + verdict.steps
    if verdict.enable:
        steps.append(f"enable {request.unit}")
    if verdict.verb:
        steps.append(f"{verdict.verb} {request.unit} ({verdict.why})")
    return Comparison(
        request,
        asked,
        found,
        (*steps, *found.steps),
        warnings=tuple(found.warnings),
        missing=tuple(missing),
        missing_users=tuple(users),
        seen=seen,
        verdict=verdict,
    )


def _absent(request: FilesetRequest, asked: Surroundings) -> Comparison:
    found = surroundings.surplus(asked)
    gone = tuple(host.present(request))
    steps = (*(f"remove {path}" for path in gone), *found.steps)
    return Comparison(request, asked, found, steps, tuple(surroundings.closed_to_all(asked)), gone=gone)


def differs(params: FilesetParameters) -> dict[str, list[str]]:
    """The `steps` and `warnings` of a set; where it cannot be compared, in `unknown` why. Raises nothing."""
    try:
        compared = compare(params)
    except (ValueError, host.UnitError, systemd.SystemdError, OpeningError) as error:
        why = one_line(str(error))
    except OSError as error:
        why = f"{error.filename or 'a file of this host'}: {error.strerror}"
    else:
        return {"steps": list(compared.steps), "warnings": list(compared.warnings), "unknown": []}
    return {"steps": [], "warnings": [], "unknown": [why]}


def differ(sets: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The same of several sets that belong together, as one.

    Raises ValueError: for what is none.
    """
    compared = [differs(read(each)) for each in sets]
    return {key: [line for found in compared for line in found[key]] for key in ("steps", "warnings", "unknown")}


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
