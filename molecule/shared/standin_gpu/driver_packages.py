#!/usr/bin/python3
"""Builds the lab's stand-in of NVIDIA's repository for Debian 12 on a machine, and serves it.

Names, versions and what belongs together are NVIDIA's (data/drivers.yml has the sources); what is in the packages is not: a
module of thirty lines that real DKMS builds against real headers, libraries without functions, and the stand-ins for
nvidia-smi, nvidia-persistenced and nv-fabricmanager.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import package_repository as repository
from package_repository import Package

VERSIONS = ("570.195.03", "580.95.05", "580.105.08", "590.44.01")
# A version whose modules do not build with this kernel.
BROKEN = "595.45.04"
# A version of which the mirror has the userspace, and not yet the modules: what a mirror in the middle of its update offers.
HALF = "580.126.09"
SERVED = Path("/srv/repository")
WORK = Path("/var/tmp/stand-in-packages")
PORT = 8089
UNITS = {
    "nvidia-persistenced": ("forking", "/usr/bin/nvidia-persistenced --user nvidia-persistenced --verbose"),
    "nvidia-fabricmanager": ("forking", "/usr/bin/nv-fabricmanager -c /usr/share/nvidia/nvswitch/fabricmanager.cfg"),
}


def tree(name: str, version: str) -> Path:
    path = WORK / f"{name}_{version}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def put(root: Path, path: str, text: str, mode: int = 0o644) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def program(root: Path, path: str, version: str, script: str) -> None:
    """A stand-in with the version of the package that it is in."""
    put(root, path, (HERE / script).read_text().replace("@VERSION@", version), 0o755)


def library(root: Path, directory: str, name: str, version: str) -> None:
    """A shared object without functions, under its real name, with the link that programs look for."""
    file = root / directory / f"{name}.{version}"
    file.parent.mkdir(parents=True, exist_ok=True)
    command = ["gcc", "-shared", "-nostdlib", f"-Wl,-soname,{name}.1", "-x", "c", "/dev/null", "-o", str(file)]
    subprocess.run(command, check=True)
    (file.parent / f"{name}.1").symlink_to(file.name)


def source(root: Path, name: str, version: str, licence: str) -> None:
    """The module's source as DKMS wants it."""
    values = {"@NAME@": name, "@VERSION@": version, "@LICENCE@": licence}
    for file in ("Kbuild", "dkms.conf"):
        text = (HERE / "module" / file).read_text()
        for mark, value in values.items():
            text = text.replace(mark, value)
        put(root, f"usr/src/{name}-{version}/{file}", text)
    for file in ("nvidia", "nvidia-uvm", "nvidia-modeset"):
        text = (HERE / "module" / "nvidia.c").read_text()
        broken = "#error this driver does not know this kernel\n" if version == BROKEN else ""
        put(root, f"usr/src/{name}-{version}/{file}.c", broken + text)


def unit(root: Path, name: str) -> None:
    kind, command = UNITS[name]
    text = f"[Unit]\nDescription=stand-in\n\n[Service]\nType={kind}\nExecStart={command}\n"
    put(root, f"usr/lib/systemd/system/{name}.service", f"{text}\n[Install]\nWantedBy=multi-user.target\n")


def fill(what: str, root: Path, version: str, libraries: str) -> None:
    """What a package of the given kind installs."""
    if what in ("open", "proprietary"):
        names = {"open": ("nvidia-open", "Dual MIT/GPL"), "proprietary": ("nvidia", "NVIDIA")}
        source(root, names[what][0], version, names[what][1])
    elif what in ("libcuda", "libnvidia-ml"):
        library(root, libraries, f"{what}.so", version)
    elif what == "libraries":
        library(root, libraries, "libcuda.so", version)
    elif what == "smi":
        program(root, "usr/bin/nvidia-smi", version, "nvidia_smi.py")
    elif what == "firmware":
        put(root, f"usr/lib/firmware/nvidia/{version}/gsp_ga10x.bin", "stand-in\n")
        if libraries == "usr/lib64":  # there, this package also keeps nouveau away
            put(root, "usr/lib/modprobe.d/nvidia.conf", "blacklist nouveau\n")
    elif what == "persistence":
        program(root, "usr/bin/nvidia-persistenced", version, "persistenced.py")
        unit(root, "nvidia-persistenced")
    elif what == "fabric":
        program(root, "usr/bin/nv-fabricmanager", version, "fabricmanager.py")
        put(root, "usr/share/nvidia/nvswitch/fabricmanager.cfg", "# stand-in\n")
        unit(root, "nvidia-fabricmanager")


def debs(version: str, modules: bool) -> list[Package]:
    """The packages of one version as in NVIDIA's repository for Debian 12."""
    full = f"{version}-1"
    same = f"(= {full})"
    wanted = {
        "nvidia-driver-cuda": (
            "smi",
            {"Depends": f"libcuda1 {same}, libnvidia-ml1 {same}, nvidia-persistenced {same}"},
        ),
        "libcuda1": ("libcuda", {}),
        "libnvidia-ml1": ("libnvidia-ml", {}),
        "firmware-nvidia-gsp": ("firmware", {}),
        "nvidia-persistenced": ("persistence", {}),
        "nvidia-fabricmanager": ("fabric", {}),
    }
    needs = f"dkms, firmware-nvidia-gsp {same}"
    if modules:
        for name, what, other in (
            ("nvidia-kernel-open-dkms", "open", "nvidia-kernel-dkms"),
            ("nvidia-kernel-dkms", "proprietary", "nvidia-kernel-open-dkms"),
        ):
            wanted[name] = (what, {"Depends": needs, "Conflicts": other, "Replaces": other})
    built = []
    for name, (what, relations) in wanted.items():
        root = tree(name, full)
        fill(what, root, version, "usr/lib/x86_64-linux-gnu")
        built.append(Package(name, full, "amd64", root, relations, deb_scripts(what, version)))
    return built


def deb_scripts(what: str, version: str) -> dict[str, str]:
    """What debhelper writes into the scripts of such packages."""
    if what in ("open", "proprietary"):
        name = {"open": "nvidia-open", "proprietary": "nvidia"}[what]
        add = f'[ "$1" != configure ] || /usr/lib/dkms/common.postinst {name} {version} "" "" "$2"\n'
        gone = (
            f'if [ "$1" = remove ] || [ "$1" = upgrade ]; then dkms remove -m {name} -v {version} --all || true; fi\n'
        )
        return {"postinst": add, "prerm": gone}
    if what in ("persistence", "fabric"):
        name = {"persistence": "nvidia-persistenced", "fabric": "nvidia-fabricmanager"}[what]
        user = "useradd --system --no-create-home --shell /usr/sbin/nologin nvidia-persistenced 2>/dev/null || true\n"
        # NVIDIA's fabric manager is installed disabled; the persistence daemon starts by itself.
        start = f"{user}systemctl enable {name}\nsystemctl restart {name} || true\n" if what == "persistence" else ""
        stop = f'[ "$1" != remove ] || systemctl disable --now {name} || true\n'
        return {"postinst": f"systemctl daemon-reload\n{start}", "prerm": stop}
    return {"postinst": "ldconfig\n"}


def publish(folder: str, build: Callable[[Path], None]) -> None:
    """Build a repository with a key of its own, and serve it: the key lies above all of them."""
    shutil.rmtree(SERVED, ignore_errors=True)
    repository.make_key(SERVED / "key.asc")
    build(SERVED / folder)
    repository.serve(SERVED, "127.0.0.1", PORT)
    print("\n".join(repository.names(SERVED / folder)))


def build_apt(folder: Path) -> None:
    for version in (*VERSIONS, BROKEN, HALF):
        for package in debs(version, modules=version != HALF):
            repository.build_deb(package, folder)
    repository.publish_apt(folder)


if __name__ == "__main__":
    publish("debian12/x86_64", build_apt)
