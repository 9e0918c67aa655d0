#!/usr/bin/python3
"""STAND-IN for what a boot does with GPUs: the next kernel runs, and the modules that its initramfs, udev and modules-load.d ask for
are loaded. Run by standin-gpu.service before anything else; `count` keeps the reference counts true while the machine runs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import machine


def newest() -> str:
    """The kernel that the boot loader would start: the newest, as Debian's grub orders them."""
    names = sorted(path.name.removeprefix("vmlinuz-") for path in Path("/boot").glob("vmlinuz-*"))
    ordered = subprocess.run(["sort", "-V"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return ordered.split("\n")[-2] if ordered.count("\n") > 1 else ordered.strip()


def run_kernel(release: str) -> None:
    machine.RUN.mkdir(exist_ok=True)
    shown = machine.RUN / "osrelease"
    shown.write_text(f"{release}\n")
    subprocess.run(["mount", "--bind", shown, "/proc/sys/kernel/osrelease"], check=True)


def early_nouveau(release: str) -> bool:
    """Whether the initramfs loads nouveau: it is in it, and nothing in it forbids it."""
    image = Path(f"/boot/initrd.img-{release}")
    if not image.exists():
        return False
    listing = subprocess.run(["lsinitramfs", image], capture_output=True, text=True, check=False).stdout
    if "/nouveau.ko" not in listing:
        return False
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["unmkinitramfs", image, place], capture_output=True, check=False)
        texts = [path.read_text() for path in Path(place).rglob("modprobe.d/*.conf")]
    return not any("blacklist nouveau" in text or "install nouveau" in text for text in texts)


def load_modules() -> None:
    if early_nouveau(machine.kernel()):
        subprocess.run(["modprobe", "nouveau"], check=False)
    for __, number, kind in machine.devices(machine.read()):
        subprocess.run(["modprobe", "-b", "-q", machine.modalias(number, kind)], capture_output=True, check=False)
    for place in ("/usr/lib/modules-load.d", "/etc/modules-load.d"):
        for path in sorted(Path(place).glob("*.conf")):
            for line in path.read_text().splitlines():
                if line.startswith("nvidia"):
                    subprocess.run(["modprobe", "-b", line.strip()], check=False)
    # udev rules that make nodes when the driver has bound to a GPU: of packages by nvidia-modprobe (-u is for nvidia-uvm and its
    # nodes), of ours by a unit that loads it, too.
    rules = [path.read_text() for place in ("/usr/lib", "/etc") for path in Path(place, "udev/rules.d").glob("*.rules")]
    if (machine.MODULES / "nvidia").exists() and any(
        re.search(r"nvidia-modprobe\b.*-u|nvidia-device-nodes\.service", text) for text in rules
    ):
        subprocess.run(["modprobe", "nvidia-uvm"], check=False)


def main() -> None:
    if sys.argv[1:] == ["count"]:
        while True:
            machine.count_users()
            time.sleep(0.3)
    release = newest()
    if release:
        run_kernel(release)
    machine.appear(machine.read())
    load_modules()


if __name__ == "__main__":
    main()
