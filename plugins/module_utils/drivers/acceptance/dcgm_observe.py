"""Looking at DCGM on a host: packages, units, the loaded driver."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.dcgm_model import (
    ENGINE,
    EXPORTER,
    DcgmSeen,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import ServiceState
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import MISSING, Run

_GLOB = "datacenter-gpu-manager*"


def look(drop_in: Path, run: Run, root: Path = Path("/")) -> DcgmSeen:
    """See `DcgmSeen`; `drop_in` is the path of the exporter's drop-in. Never raises for a tool that fails."""
    family, packages = _packages(run)
    return DcgmSeen(
        packages=packages,
        driver=_text(root / "sys/module/nvidia/version").strip(),
        units=_units(run),
        drop_in=_text(root / str(drop_in).lstrip("/")),
        family=family,
    )


def _packages(run: Run) -> tuple[str, dict[str, str]]:
    """debian or rhel by whose tool is there, and the installed packages."""
    status, out, __ = run(["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package} ${Version}\\n", _GLOB])
    family = "debian"
    if status == MISSING:
        status, out, __ = run(
            ["rpm", "--query", "--all", "--queryformat=installed %{NAME} %{VERSION}-%{RELEASE}\\n", _GLOB]
        )
        family = "" if status == MISSING else "rhel"
    rows = [line.split() for line in out.splitlines()]
    return family, {row[1]: row[2] for row in rows if len(row) == 3 and row[0] == "installed"}


def _units(run: Run) -> dict[str, ServiceState]:
    out = run(["systemctl", "show", "--property=Id,LoadState,ActiveState,UnitFileState", ENGINE, EXPORTER])[1]
    units = {}
    for block in out.strip().split("\n\n"):
        shown = dict(line.partition("=")[::2] for line in block.splitlines())
        if shown.get("LoadState") == "loaded":
            units[shown.get("Id", "")] = ServiceState(
                shown.get("ActiveState", ""), shown.get("UnitFileState") == "enabled"
            )
    return units


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
