#!/usr/bin/python3
"""STAND-IN kernel images, `kernels.py 6.1.0-55-amd64 …`: packages with the name and the hooks of Debian's, an empty vmlinuz, and
as their only module a nouveau.ko that can be read and not run. Headers are Debian's own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import package_repository as repository
from package_repository import Package

PLACE = Path("/srv/kernels")
# Newer than any of Debian's, so that no upgrade puts a real one in its place.
VERSION = "99"


def empty(name: str) -> Path:
    shutil.rmtree(PLACE / name, ignore_errors=True)
    (PLACE / name).mkdir(parents=True)
    return PLACE / name


def readable_module(path: Path, kernel: str, facts: dict[str, str]) -> None:
    """A kernel module that depmod and modinfo can read, and that has nothing to run."""
    facts = {**facts, "vermagic": f"{kernel} SMP preempt mod_unload modversions "}
    lines = [
        f'static const char info{number}[] __attribute__((section(".modinfo"), used)) = "{name}={value}";'
        for number, (name, value) in enumerate(facts.items())
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["gcc", "-c", "-x", "c", "-", "-o", str(path)]
    subprocess.run(command, input="\n".join(lines) + "\n", text=True, check=True)


def installed(root: Path, release: str) -> None:
    """What a kernel's package installs: nouveau.ko as its only module, vmlinuz, its configuration."""
    modules = root / "lib/modules" / release
    nouveau = "kernel/drivers/gpu/drm/nouveau/nouveau.ko"
    facts = {"name": "nouveau", "license": "GPL and additional rights", "alias": "pci:v000010DEd*sv*sd*bc03sc*i*"}
    readable_module(modules / nouveau, release, facts)
    (modules / "modules.order").write_text(f"{nouveau}\n")
    for name in ("modules.builtin", "modules.builtin.modinfo"):
        (modules / name).write_text("")
    (root / "boot").mkdir()
    (root / "boot" / f"vmlinuz-{release}").write_text("stand-in\n")
    (root / "boot" / f"config-{release}").write_text("CONFIG_MODULES=y\nCONFIG_RD_GZIP=y\n")


def image(release: str) -> Package:
    """Debian's `linux-image-…`."""
    root = empty(f"linux-image-{release}")
    installed(root, release)
    hooks = 'export DEB_MAINT_PARAMS="$*"; run-parts --report --exit-on-error --arg={0} --arg=/boot/vmlinuz-{0} /etc/kernel/{1}.d\n'
    scripts = {
        "postinst": f"depmod {release}\n" + hooks.format(release, "postinst"),
        "prerm": f'[ "$1" != remove ] || [ ! -d /etc/kernel/prerm.d ] || {{ {hooks.format(release, "prerm").strip()}; }}\n',
        "postrm": f'[ "$1" != remove ] || {{ {hooks.format(release, "postrm").strip()}; }}\n',
    }
    return Package(f"linux-image-{release}", VERSION, "amd64", root, {}, scripts)


def rpms(release: str) -> list[Package]:
    """`kernel-core` and `kernel-devel` of the RHEL family; the headers are Debian's, under this kernel's name."""
    version = release.removesuffix(".x86_64")
    core, devel = empty(f"kernel-core-{release}"), empty(f"kernel-devel-{release}")
    installed(core, release)
    (core / "lib/modules" / release / "build").symlink_to(f"/usr/src/kernels/{release}")
    scripts = {"post": f"depmod {release}\nfor hook in /etc/kernel/postinst.d/*; do $hook {release} || :; done\n"}
    # vermagic comes from utsrelease.h alone; everything else is linked to.
    tree, headers = devel / "usr/src/kernels" / release, max(Path("/usr/src").glob("linux-headers-*-amd64"))
    generated = Path("include/generated")
    for folder in (Path(), generated.parent, generated):
        (tree / folder).mkdir(parents=True, exist_ok=True)
        for path in (headers / folder).iterdir():
            if folder / path.name not in (generated.parent, generated, generated / "utsrelease.h"):
                (tree / folder / path.name).symlink_to(path)
    (tree / generated / "utsrelease.h").write_text(f'#define UTS_RELEASE "{release}"\n')
    return [
        Package("kernel-core", version, "x86_64", core, {"Provides": "installonlypkg(kernel)"}, scripts),
        Package(
            "kernel-devel",
            version,
            "x86_64",
            devel,
            {"Provides": f"kernel-devel-uname-r = {release}, installonlypkg(kernel)"},
        ),
    ]


def main() -> None:
    shutil.rmtree(PLACE, ignore_errors=True)
    for release in sys.argv[1:]:
        repository.build_deb(image(release), PLACE)


if __name__ == "__main__":
    main()
