"""`env` of a model entry: no secrets, nothing the plan decides, and VLLM_* variables as exactly this release reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import nearest, numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import (
    NO_TEXT,
    SECRET_NAME,
    Wrong,
    is_secret,
    shown,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.advice import on_variable
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import Extras
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release, Variable
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.scalars import WANTED, read_scalar, wrong_choice

# Of the control characters, an environment may hold tab and line feed alone (systemd: env_value_is_valid).
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
# Read by the container runtime alone: they choose what it lets into a container, and on the host itself nothing.
_OF_CONTAINERS = (
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_REQUIRE_CUDA",
    "NVIDIA_DISABLE_REQUIRE",
    "NVIDIA_MIG_CONFIG_DEVICES",
    "NVIDIA_MIG_MONITOR_DEVICES",
    "AMD_VISIBLE_DEVICES",
)
# Read by nobody but vLLM: a name that it does not know has no effect.
_OURS = "VLLM_"
# How switches are written: as numbers, as words, or as either (`Variable.type`).
_SWITCHES = {"bool": ("1", "0"), "truth": ("true", "false"), "switch": ("1", "0", "true", "false")}
# Switches that any value switches on, 0 too, and the last release in which it does (vllm/envs.py).
_ON_WHEN_SET = {
    "VLLM_KEEP_ALIVE_ON_ENGINE_DEATH": "0.11.0",
    "VLLM_USE_PRECOMPILED": "0.10.0",
    "VLLM_USE_HPU_CONTIGUOUS_CACHE_FETCH": "0.9.2",
}
# Where an engine's processes meet each other; vLLM's HTTP server never reads them (vllm/utils: get_open_port, get_ip).
_INTERNAL = {
    "VLLM_PORT": "is not the endpoint's port: the engine's processes count up from it for their own sockets",
    "VLLM_HOST_IP": "is not the endpoint's address: it is one host's address among its peers, and each host of the entry "
    "would get the same",
}


def as_text(env: Mapping[str, str | bool], release: Release | None) -> dict[str, str]:
    """`env` as it is exported: YAML's true and false become what the release reads, 1 and 0 where nothing else is known."""
    return {name: value if isinstance(value, str) else _switched(name, value, release) for name, value in env.items()}


def _switched(name: str, on: bool, release: Release | None) -> str:
    variable = release.environment.get(name) if release else None
    allowed = _SWITCHES.get(variable.type if variable else "", _SWITCHES["bool"])
    return allowed[0] if on else allowed[1]


def check_environment(
    at: str, env: Mapping[str, str | bool], release: Release | None, extras: Extras, problems: Problems
) -> None:
    """Refuse what would be readable, overwritten or without effect. `release` None: VLLM_* names are not checked."""
    for name, value in as_text(env, release).items():
        wrong = _wrong_anywhere(name, value)
        if wrong is None and name.startswith(_OURS) and release is not None and name not in extras.environment:
            variable = release.environment.get(name)
            wrong = _unknown(name, release) if variable is None else _wrong_value(variable, value, release.version)
        if wrong is not None:
            problems.add(f"{at}.{name}", *wrong)
        elif name in _OF_CONTAINERS:
            of_gpus = name.endswith("VISIBLE_DEVICES")
            problems.warn(
                f"{at}.{name}",
                "means something to a container runtime alone, and nothing to an engine on the host",
                "Write `gpus:` (a count or a list of indices) instead" if of_gpus else "Leave it out",
            )
        elif name in _INTERNAL:
            problems.warn(
                f"{at}.{name}", _INTERNAL[name], "Leave it out, unless a firewall or several networks call for it"
            )


def _wrong_anywhere(name: str, value: str) -> Wrong | None:
    if SECRET_NAME.search(name) or is_secret(value):
        return Wrong(
            "looks like a secret, and unit files are readable by every user of the host",
            "Use `vllm_api_key`, `vllm_hf_token` or `vllm_secret_env` (from a vault)",
        )
    if NO_TEXT.search(value) or _CONTROL.search(value):
        return Wrong("contains a control character or no character at all", "Write plain text")
    if name in _VISIBLE:
        return Wrong("is written by the plan", "Use `gpus`: a count or a list of indices")
    if name == "VLLM_SERVER_DEV_MODE" and value != "0":
        return Wrong(
            "opens routes that change or stop the engine to whoever reaches the port, with or without a key",
            "Remove it: nothing that serves needs it",
        )
    return None


def _unknown(name: str, release: Release) -> Wrong:
    reason = f"is not a variable of vLLM {release.version}"
    known = on_variable(name, release.version) or _known_elsewhere(name, release.version)
    if known:
        return Wrong(reason, known)
    near = nearest(name, tuple(sorted(release.environment)))
    if near:
        return Wrong(reason, f'Did you mean "{near}"')
    return Wrong(reason, "Remove it, or list it under `vllm_extra_env` where a plug-in reads it")


@lru_cache(maxsize=4096)
def _known_elsewhere(name: str, version: str) -> str | None:
    """In which other releases the variable is known; all of them are read only when one is asked for in vain."""
    known = [v for v in load.releases() if name in getattr(load.release(v), "environment", {})]
    before = [v for v in known if numbers(v) < numbers(version)]
    if before:
        return f"Remove it: no release after {before[-1]} reads it"
    return f"Remove it: it is read from {known[0]} on" if known else None


def _wrong_value(variable: Variable, value: str, release: str) -> Wrong | None:
    if numbers(release) <= numbers(_ON_WHEN_SET.get(variable.name, "")):
        reason = f"is switched on by any value in vLLM {release}, {shown(value)} too"
        return None if value == "1" else Wrong(reason, "Write 1, or leave it out")
    if variable.type in _SWITCHES:
        allowed = _SWITCHES[variable.type]
        if value.lower() in allowed:
            return None
        return Wrong(
            f"{shown(value)} is not a switch for vLLM {release}", f'Write "{allowed[0]}" or "{allowed[1]}", in quotes'
        )
    if variable.choices is not None:
        items = value.split(",") if variable.type == "csv" else [value]
        wrong = (wrong_choice(item, variable.choices, release, variable.type) for item in items)
        return next(filter(None, wrong), None)
    if variable.type not in WANTED or variable.type == "str":
        return None
    read = read_scalar(variable.type, value, release, word=True)
    return read if isinstance(read, Wrong) else None
