"""What a host has of the planned engine and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import images, installed
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import secrets_digest
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.cache import kept
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.facts import engine_facts, host_facts
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.place import is_placed
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import store

# Of root's: model_weights opens what an earlier run left closed there, and nothing elsewhere.
OURS = "/var/lib/vllm/"


def engine(
    planned: Mapping[str, Any], packages: Mapping[str, Sequence[str]], keep: Sequence[str], form: str = ""
) -> dict[str, Any]:
    """The planned release (release, path, packages) as found; the control node knows the locks and judges.

    `packages`: of the distribution, by its name or family; `keep`: releases that stay although nothing uses them; `form`: the
    one that is asked for, "" for either.
    """
    needed = [*(packages.get(installed.family(list(packages))) or []), *(planned.get("packages") or [])]
    survey = installed.survey(Path(planned["path"]).parent, planned["release"], list(keep), form)
    image = survey["images"].get(planned["release"])
    # What it takes to say which image would be brought to a host that lacks the release.
    lacks = not survey["installed"].get(planned["release"]) or bool(image and image["problem"])
    return {
        **survey,
        "missing_packages": installed.missing_packages(needed),
        "arch": installed.machine(),
        "systemd": installed.systemd(),
        "image_hindrance": images.hindrance() if form == "image" or lacks else "",
        **({"images_held": images.held(), "glibc": installed.libc()} if lacks else {}),
    }


# Steps after which an engine looks for compiled code.
_STARTS = ("start", "restart")


def warm(accelerator: str, engine: str, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the keys of compile caches are made of on this host, for an engine at a path: `host`, `engine` (None where none is
    installed there), and `held`, by key of what is in its store whether all of it is where engines look.

    {} where none of the `steps` starts a unit: a cache of 3,000 kernels costs half a second of CPU, and nobody uses the answer.
    """
    if not any(step["verb"] in _STARTS for step in steps):
        return {}
    found = engine_facts(Path(engine))
    return {
        "host": asdict(host_facts(accelerator)),
        "engine": None if found is None else asdict(found),
        "held": {key: is_placed(key) for key in kept()},
    }


def weights(items: Sequence[store.PlannedWeights], offline: bool) -> list[store.WeightsState]:
    """Each item of weights as it lies there; what this user may not enter is unknown. `offline`: no hub is asked."""
    return [_item(item, offline) for item in items]


def weights_files(items: Sequence[Mapping[str, Any]], place: str, token_file: str, token_digest: str) -> list[str]:
    """What module model_weights would do beside the weights, in words: directories to open, the hub's token to write.

    `token_digest`: SHA-256 of the token, "" where there is none.
    """
    shut = store.closed(place) if items and place.startswith(OURS) else []
    found = [f"{path} is closed to other users" for path in shut]
    if token_digest and not _is_kept(token_file, token_digest):
        found.append(f"{token_file} is not as planned")
    return found


def _item(item: store.PlannedWeights, offline: bool) -> store.WeightsState:
    try:
        found = store.look(item)
        return store.without_hub(item, found) if offline else found
    except PermissionError:
        return store.WeightsState(item["path"], "unknown", "this user may not read it")


def _is_kept(path: str, digest: str) -> bool:
    file = Path(path)
    try:
        return (
            secrets_digest(file.read_text(encoding="utf-8").strip()) == digest and file.stat().st_mode & 0o777 == 0o600
        )
    except PermissionError:
        return True
    except (OSError, UnicodeDecodeError):
        return False
