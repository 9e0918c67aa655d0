"""What DCGM on a host lacks. Pure; on the control node.

Packages and units: https://docs.nvidia.com/datacenter/dcgm/latest/installation.html (one package for each CUDA major that a
driver speaks, with what it recommends), installation/install-dcgm-exporter.html, and the unit files of
https://github.com/NVIDIA/DCGM (config-files/systemd) and https://github.com/NVIDIA/dcgm-exporter (packaging).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.dcgm_model import (
    ENGINE,
    EXPORTER,
    DcgmSeen,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import cuda
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build

EXPORTER_PACKAGE = "datacenter-gpu-manager-exporter"
# DCGM 3 and older, one package for all of it: DCGM 4 cannot be installed beside it.
OLD_PACKAGES = ("datacenter-gpu-manager", "datacenter-gpu-manager-config")


class DcgmRefusalError(ValueError):
    """What is asked for cannot be had on this host; the text says what to do."""


@dataclass(frozen=True)
class Todo:
    """Packages to remove and to install, whether the exporter's drop-in is to be written or deleted, units to start or stop."""

    remove: tuple[str, ...] = ()
    install: tuple[str, ...] = ()
    write: bool = False
    delete: bool = False
    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to do at all."""
        return any((self.remove, self.install, self.write, self.delete, self.start, self.stop))


def answer(said: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a task: what the host said (with `seen`), `todo` and `work`; failed where the wanted package cannot be told.

    `asked` are the task's arguments: `cuda`, `exporter` and `drop_in` count.
    """
    try:
        lacks = todo(
            build(DcgmSeen, said["seen"]),
            int(asked.get("cuda") or 0),
            boolean(asked.get("exporter", True)),
            str(asked.get("drop_in") or ""),
        )
    except DcgmRefusalError as error:
        return {"failed": True, "msg": f"DCGM: {error}"}
    return {**said, "todo": asdict(lacks), "work": lacks.changes}


def todo(seen: DcgmSeen, cuda: int, exporter: bool, drop_in: str) -> Todo:
    """Compare. `cuda` is a CUDA major, 0 for the loaded driver's own. Raises RefusalError."""
    package = f"datacenter-gpu-manager-4-cuda{cuda or cuda_of(seen.driver)}"
    wanted = [package, *([EXPORTER_PACKAGE] if exporter else [])]
    install = tuple(name for name in wanted if name not in seen.packages)
    write = exporter and seen.drop_in != drop_in
    stop = () if exporter else tuple(name for name in (EXPORTER,) if _known(seen, name))
    # What is installed or set anew is started again with it.
    start = [ENGINE] if install or not _up(seen, ENGINE) else []
    if exporter and (install or write or not _up(seen, EXPORTER)):
        start.append(EXPORTER)
    return Todo(
        remove=tuple(name for name in OLD_PACKAGES if name in seen.packages),
        install=install,
        write=write,
        delete=not exporter and bool(seen.drop_in),
        start=tuple(start),
        stop=stop,
    )


def cuda_of(driver: str) -> int:
    """The newest CUDA major that a driver ("580.95.05") runs. Raises RefusalError."""
    branch = driver.partition(".")[0]
    if not branch.isdigit():
        raise DcgmRefusalError(
            "the NVIDIA driver is not loaded, so that the package of DCGM that fits it cannot be told. Run playbooks/driver.yml"
            " first, or name the CUDA major that the driver will speak: dcgm_cuda: 13"
        )
    majors = cuda.read().majors
    fitting = [major for major, least in majors.items() if int(branch) >= least]
    if not fitting:
        raise DcgmRefusalError(
            f"DCGM 4 needs driver {min(majors.values())} or newer, this host runs {driver}. Write a newer"
            " nvidia_driver_version and run playbooks/driver.yml"
        )
    return max(fitting)


def _up(seen: DcgmSeen, name: str) -> bool:
    unit = seen.units.get(name)
    return unit is not None and unit.state in ("active", "activating") and unit.enabled


def _known(seen: DcgmSeen, name: str) -> bool:
    unit = seen.units.get(name)
    return unit is not None and (unit.enabled or unit.state in ("active", "activating"))
