"""The files that a host with ROCm gets, on the control node."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd import look
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd.model import WantedRocm
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import System
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import MARK
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd import releases
from ansible_collections.baremetal.vllm.plugins.plugin_utils.templates import environment


def key_path(system: System) -> str:
    """Where on the host AMD's signing key lies."""
    return look.APT_KEY if releases.family(system) == "debian" else look.DNF_KEY


def files(templates: Path, wanted: WantedRocm, known: releases.RocmRelease, system: System) -> dict[str, str]:
    """{path: text} for a system that the release is for."""
    repositories = releases.repositories(known, system, wanted.driver == "dkms", wanted.mirror)
    values = {
        "mark": MARK,
        "repositories": repositories,
        "version": known.version,
        "key": key_path(system),
        # Of a mirror on the host's own disk apt takes the name to be empty.
        "host": urlsplit(repositories[0]["url"]).hostname or "",
    }
    paths = (look.APT, look.PIN) if releases.family(system) == "debian" else (look.DNF,)
    texts = {path: environment(templates).get_template(f"{path[1:]}.j2").render(values) for path in paths}
    plain = {path: (templates / path[1:]).read_text(encoding="utf-8") for path in (look.UDEV, look.LINKER)}
    return {**texts, **plain}
