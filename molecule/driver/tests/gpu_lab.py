"""The machines of this scenario: running the driver's playbook, changing the stand-in hardware, and asking a host from outside."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from testlab import ROOT, Run, host, playbook, wait_until

# Each has its tests in a folder of its name (conftest.py).
DEBIAN, RHEL, OTHER = "lab5", "lab6", "lab10"
INVENTORY = ROOT / "molecule" / "driver" / "inventory"
A100, H100, V100, B200, NVSWITCH = "20b2", "2330", "1db6", "2901", "22a3"
# The repository's versions. The modules of one do not build; of the last there is the userspace alone.
OLD, FIRST, SECOND, NEXT, BROKEN, HALF = "570.195.03", "580.95.05", "580.105.08", "590.44.01", "595.45.04", "580.126.09"


def driver(name: str, *arguments: str, **variables: Any) -> Run:
    """Run playbooks/driver.yml on one host."""
    return playbook("driver", "--limit", name, *arguments, inventories=[INVENTORY], vllm_models={}, **variables)


def asked(name: str, version: str, *arguments: str, **variables: Any) -> Run:
    return driver(name, *arguments, nvidia_driver_version=version, **variables)


def hardware(name: str, **changes: Any) -> None:
    """Change the stand-in hardware: gpus=[A100, A100], secure_boot=True, faults=["gpu-lost"]."""
    words = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    host(name).check_output("gpuctl" + " %s" * len(words), *words)


def reboot(name: str) -> None:
    """Boot a machine anew, and wait until it has finished."""
    before = boot_id(name)
    host(name).check_output("systemd-run --quiet --on-active=1 systemctl reboot")
    wait_until(lambda: boot_id(name) not in ("", before), 180, f"{name} boots")
    host(name).run("systemctl is-system-running --wait")


def boot_id(name: str) -> str:
    return str(host(name).check_output("cat /proc/sys/kernel/random/boot_id"))


@dataclass(frozen=True)
class Seen:
    """What a host shows: the loaded version and kind, libnvidia-ml's version, nvidia-smi's exit status and GPU count."""

    loaded: str
    opened: bool
    userspace: str
    status: int
    gpus: int
    nouveau: bool


# All of it in one go: a connection costs more than the commands.
LOOK = """\
cat /sys/module/nvidia/version; echo --
cat /proc/driver/nvidia/version; echo --
readlink -f /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1 /usr/lib64/libnvidia-ml.so.1; echo --
nvidia-smi -L; echo "status $?"; echo --
ls -d /sys/module/nouveau
"""


def see(name: str) -> Seen:
    loaded, kind, library, smi, nouveau = host(name).run(LOOK).stdout.split("--\n")
    listed, __, status = smi.rpartition("status ")
    return Seen(
        loaded=loaded.strip(),
        opened="Open Kernel Module" in kind,
        userspace="".join(re.findall(r"\.so\.(\d+\.[\d.]+)$", library, re.MULTILINE)),
        status=int(status),
        gpus=listed.count("GPU "),
        nouveau=bool(nouveau),
    )


def works(name: str, version: str, opened: bool = True) -> None:
    """The host has this version, all of it, and its GPUs answer."""
    assert see(name) == Seen(version, opened, version, 0, 2, nouveau=False)


def packages(name: str) -> dict[str, str]:
    """Installed packages of the driver, with their versions."""
    if name == RHEL:
        listed = host(name).check_output("rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\\n'")
    else:
        listed = host(name).check_output(
            "dpkg-query -W -f '${db:Status-Abbrev}${Package} ${Version}\\n' | sed -n 's/^[hi]i *//p'"
        )
    pairs = [line.split() for line in listed.splitlines()]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and re.search(r"nvidia|libcuda1", pair[0])}


def versions(name: str) -> set[str]:
    """The driver versions of all installed packages: one, where everything fits."""
    return {version.partition("-")[0] for version in packages(name).values()}


def trips(run: Run, name: str) -> int:
    """How often a run that printed with -vvv went to the host."""
    return len(re.findall(rf"^<[\d.]+> SSH: EXEC|^<{name}> SSH: EXEC", run.text, re.MULTILINE))


def module_of(name: str, kernel: str) -> str:
    """The version of the module that a kernel would load, "" for none."""
    return str(host(name).run("modinfo -k %s -F version nvidia", kernel).stdout.strip())


def kernels(name: str) -> list[str]:
    """The stand-in kernels that there are packages of, oldest first."""
    files = host(name).check_output("ls /srv/kernels | sort -V").split()
    return [match[1] for file in files for match in [re.match(r"linux-image-(.+)_99_amd64\.deb", file)] if match]
