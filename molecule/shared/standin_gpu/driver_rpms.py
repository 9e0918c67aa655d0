#!/usr/bin/python3
"""Builds the lab's stand-in of NVIDIA's repository for RHEL 9 on a machine, with its module streams, and of what Rocky Linux 9
itself offers: kernels with their headers, DKMS, versionlock. Kernels are named on the command line: 6.1.0-56.el9.x86_64 …
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import kernels
from driver_packages import VERSIONS, WORK, fill, publish, tree
from package_repository import Package, build_rpm, publish_dnf

BASE = Path("/srv/base")
BASE_REPO = f"""\
[baseos]
name=Rocky Linux 9 - BaseOS
baseurl=file://{BASE}
gpgcheck=0
"""
RELEASE = """\
NAME="Rocky Linux"
VERSION="9.6 (Blue Onyx)"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.6"
PLATFORM_ID="platform:el9"
PRETTY_NAME="Rocky Linux 9.6 (Blue Onyx)"
"""
STREAM = """\
---
document: modulemd
version: 2
data:
  name: nvidia-driver
  stream: "{stream}"
  version: 20260101000000
  context: 0123456789ab
  arch: x86_64
  summary: stand-in
  description: stand-in of the lab
  license: {{module: [MIT]}}
  profiles: {{default: {{rpms: [{first}]}}}}
  artifacts:
    rpms: [{rpms}]
...
"""


def rpms(version: str) -> list[Package]:
    """The packages of one version as in NVIDIA's repository for RHEL 9, with its epoch."""
    full = f"3:{version}-1.el9"
    same = f"= {full}"
    wanted: dict[str, tuple[str, dict[str, str]]] = {
        "nvidia-driver-cuda": ("smi", {"Requires": f"nvidia-driver-cuda-libs {same}, libnvidia-ml {same}"}),
        "nvidia-driver-cuda-libs": ("libraries", {}),
        "libnvidia-ml": ("libnvidia-ml", {}),
        "nvidia-kmod-common": ("firmware", {"Requires": f"nvidia-kmod {same}"}),
        "nvidia-persistenced": ("persistence", {}),
        "nvidia-fabricmanager": ("fabric", {}),
    }
    for name, what, other in (
        ("kmod-nvidia-open-dkms", "open", "kmod-nvidia-latest-dkms"),
        ("kmod-nvidia-latest-dkms", "proprietary", "kmod-nvidia-open-dkms"),
    ):
        wanted[name] = (
            what,
            {"Requires": f"dkms, nvidia-kmod-common {same}", "Provides": f"nvidia-kmod {same}", "Conflicts": other},
        )
    built = []
    for name, (what, relations) in wanted.items():
        own = f"{version}-1" if what == "fabric" else full
        root = tree(name, own.replace(":", "_"))
        fill(what, root, version, "usr/lib64")
        arch = "noarch" if what in ("open", "proprietary", "firmware") else "x86_64"
        built.append(Package(name, own, arch, root, relations, rpm_scripts(what, version)))
    return built


def rpm_scripts(what: str, version: str) -> dict[str, str]:
    if what in ("open", "proprietary"):
        name = {"open": "nvidia-open", "proprietary": "nvidia"}[what]
        build = f"dkms add -m {name} -v {version} -q --rpm_safe_upgrade || :\n"
        build += f"for k in /lib/modules/*/build; do dkms install -m {name} -v {version} -q --force -k $(basename $(dirname $k)) || :; done\n"
        return {"post": build, "preun": f"dkms remove -m {name} -v {version} -q --all --rpm_safe_upgrade || :\n"}
    if what in ("persistence", "fabric"):
        name = {"persistence": "nvidia-persistenced", "fabric": "nvidia-fabricmanager"}[what]
        user = "useradd --system --no-create-home --shell /usr/sbin/nologin nvidia-persistenced 2>/dev/null || :\n"
        stop = f'[ "$1" != 0 ] || systemctl disable --now {name} || :\n'
        return {"post": f"{user}systemctl daemon-reload || :\n", "preun": stop}
    return {}


def prebuilt(version: str, release: str) -> Package:
    """NVIDIA's proprietary modules made for one kernel."""
    abi = release.removesuffix(".x86_64").rpartition(".el")[0]
    root = tree(f"kmod-nvidia-{version}-{abi}", version)
    facts = {"name": "nvidia", "version": version, "license": "NVIDIA", "alias": "pci:v000010DEd*sv*sd*bc03sc*i*"}
    kernels.readable_module(root / f"lib/modules/{release}/extra/drivers/video/nvidia/nvidia.ko", release, facts)
    facts = {"name": "nvidia_uvm", "version": version, "license": "Dual MIT/GPL", "depends": "nvidia"}
    kernels.readable_module(root / f"lib/modules/{release}/extra/drivers/video/nvidia/nvidia-uvm.ko", release, facts)
    same = f"= 3:{version}-1.el9"
    relations = {
        "Provides": f"nvidia-kmod {same}",
        "Requires": f"nvidia-kmod-common {same}",
        "Conflicts": "kmod-nvidia-open-dkms",
    }
    scripts = {"post": f"depmod {release}\n", "postun": f"depmod {release}\n"}
    return Package(f"kmod-nvidia-{version}-{abi}", f"3:{version}-3.el9", "x86_64", root, relations, scripts)


def streams(packages: list[Package]) -> str:
    """A stream per branch and kind of modules: all of the branch, less the modules of the other kinds."""
    text = ""
    for branch in sorted({version.partition(".")[0] for version in VERSIONS}):
        kinds = {"-open": "kmod-nvidia-open-dkms", "-dkms": "kmod-nvidia-latest-dkms", "": f"kmod-nvidia-{branch}"}
        for suffix, kind in kinds.items():
            names = [
                f'"{package.name}-{"" if ":" in package.version else "0:"}{package.version}.{package.arch}"'
                for package in packages
                if package.version.removeprefix("3:").startswith(f"{branch}.")
                and package.name.startswith(kind if package.name.startswith("kmod-") else "")
            ]
            text += STREAM.format(stream=branch + suffix, first="nvidia-driver-cuda", rpms=", ".join(names))
    return text


def build(folder: Path) -> None:
    packages = [package for version in VERSIONS for package in rpms(version)]
    packages += [prebuilt(VERSIONS[1], release) for release in sys.argv[1:]]
    for package in packages:
        build_rpm(package, folder)
    publish_dnf(folder, streams(packages))


def build_base(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for release in sys.argv[1:]:
        for package in kernels.rpms(release):
            build_rpm(package, folder)
    for name, relations in (
        ("bash", {"Provides": "/bin/sh"}),
        ("rocky-release", {"Provides": "system-release = 9.6, system-release(releasever) = 9"}),
        ("dkms", {}),
        ("python3-dnf-plugin-versionlock", {"Provides": "dnf-command(versionlock)"}),
    ):
        root = tree(name, "1")
        (root / "usr/share/stand-in").mkdir(parents=True)
        (root / "usr/share/stand-in" / name).write_text("Debian's own is there already\n")
        build_rpm(Package(name, "3.0-1.el9", "noarch", root, relations), folder)
    subprocess.run(["createrepo_c", "--quiet", folder], check=True)
    subprocess.run(["dnf", "-y", "install", "rocky-release"], check=True)


def main() -> None:
    WORK.mkdir(parents=True, exist_ok=True)
    Path("/etc/yum.repos.d").mkdir(exist_ok=True)
    Path("/etc/yum.repos.d/base.repo").write_text(BASE_REPO)
    Path("/etc/dnf/plugins/local.conf").write_text("[main]\nenabled = false\n")
    build_base(BASE)
    release = Path("/etc/os-release")
    release.unlink()
    release.write_text(RELEASE)
    publish("rhel9/x86_64", build)


if __name__ == "__main__":
    main()
