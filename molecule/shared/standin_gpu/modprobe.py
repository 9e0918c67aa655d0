#!/usr/bin/python3
"""STAND-IN for modprobe and rmmod: the real modprobe says what would be loaded for the stand-in's kernel, and from which
file; whether a kernel with this hardware would take that file is decided here, and told in the words of the real one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import machine

REAL = str(machine.HOME / "real" / "modprobe")
VERSION = """\
NVRM version: NVIDIA UNIX {kind}  {version}  Thu Jan  1 00:00:00 UTC 2026
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""


class Refused(Exception):
    """The kernel would not: errno's words, and what it writes to its log."""

    def __init__(self, errno: str, log: str = "") -> None:
        super().__init__(errno)
        if log:
            machine.say(log)


def information(path: str, key: str) -> str:
    done = subprocess.run(["modinfo", "-F", key, path], capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0].strip()


def real(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [REAL, "-S", machine.kernel(), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def load(name: str, options: list[str]) -> int:
    """Load what the configuration says for a name or a modalias; the exit status of modprobe."""
    done = real("--show-depends", *options, name)
    if done.returncode:
        print(done.stderr.rstrip() or f"modprobe: FATAL: Module {name} not found", file=sys.stderr)
        return 1
    for line in done.stdout.splitlines():
        verb, __, rest = line.partition(" ")
        if verb == "install":
            status = subprocess.run(["sh", "-c", rest], check=False).returncode
            if status:
                return status
        elif verb == "insmod":
            try:
                insert(rest.split()[0])
            except Refused as error:
                print(f"modprobe: ERROR: could not insert '{name}': {error}", file=sys.stderr)
                return 1
    return 0


def insert(path: str) -> None:
    name = (information(path, "name") or Path(path).name.partition(".")[0]).replace("-", "_")
    shown = machine.MODULES / name
    if shown.exists():
        return
    here = machine.read()
    refuse(path, name, here)
    version, licence = information(path, "version"), information(path, "license")
    (shown / "holders").mkdir(parents=True)
    facts = {"version": version, "refcnt": "0", "initstate": "live", "taint": "OE" if "GPL" in licence else "POE"}
    for key, value in facts.items():
        (shown / key).write_text(f"{value}\n")
    for other in filter(None, information(path, "depends").split(",")):
        holders = machine.MODULES / other.replace("-", "_") / "holders"
        if holders.parent.exists():
            (holders / name).mkdir()
    if name == "nvidia":
        kind = "Open Kernel Module for x86_64" if "GPL" in licence else "x86_64 Kernel Module"
        (machine.DRIVER / "nvidia").mkdir(exist_ok=True)
        (machine.DRIVER / "nvidia" / "version").write_text(VERSION.format(kind=kind, version=version))
        machine.make_nodes(machine.nodes(here))
        machine.number(here)
    if name == "nvidia_uvm":
        machine.make_nodes([Path("/dev/nvidia-uvm"), Path("/dev/nvidia-uvm-tools")])
    machine.bind()
    machine.count_users()


def refuse(path: str, name: str, here: machine.Machine) -> None:
    """:raises Refused: where a kernel with this hardware would refuse this file"""
    if information(path, "vermagic").split(" ")[0] != machine.kernel():
        raise Refused("Exec format error", f"{name}: version magic is not that of this kernel")
    if here.secure_boot and "/kernel/" not in path and information(path, "signer") not in here.trusted:
        raise Refused("Key was rejected by service", "Loading of module with unavailable key is rejected")
    numbers = [int(number, 16) for number in here.gpus]
    if name == "nouveau" and not numbers:
        raise Refused("No such device")
    if name == "nvidia":
        opened = "GPL" in information(path, "license")
        fit = [n for n in numbers if (n >= machine.TURING if opened else n < machine.BLACKWELL)]
        if (machine.MODULES / "nouveau").exists():
            words = f"NVRM: The NVIDIA probe routine was not called for {len(numbers)} device(s)."
            raise Refused("No such device", words)
        if numbers and not fit:
            kind = "is not supported by open nvidia.ko" if opened else "requires use of the NVIDIA open kernel modules"
            raise Refused("No such device", f"NVRM: The NVIDIA GPU installed in this system {kind}.")
        if not numbers:
            raise Refused("No such device", "NVRM: No NVIDIA GPU found.")


def remove(name: str, command: str) -> int:
    name = name.replace("-", "_")
    shown = machine.MODULES / name
    if not shown.exists():
        if command == "rmmod":
            print(f"rmmod: ERROR: Module {name} is not currently loaded", file=sys.stderr)
        return int(command == "rmmod")
    machine.count_users()
    holders = sorted(path.name for path in (shown / "holders").iterdir())
    if (shown / "refcnt").read_text().strip() != "0":
        by = f" by: {' '.join(holders)}" if holders else ""
        kind = "rmmod: ERROR" if command == "rmmod" else "modprobe: FATAL"
        print(f"{kind}: Module {name} is in use{by or '.'}", file=sys.stderr)
        return 1
    shutil.rmtree(shown)
    stood_on = list(machine.MODULES.glob(f"*/holders/{name}"))
    for holder in stood_on:
        holder.rmdir()
    if name == "nvidia":
        shutil.rmtree(machine.DRIVER / "nvidia")
    machine.bind()
    machine.count_users()
    if command == "modprobe":  # it goes on with what nobody needs any more
        for holder in stood_on:
            if (holder.parents[1] / "refcnt").read_text().strip() == "0":
                remove(holder.parents[1].name, command)
    return 0


def removal(name: str) -> str:
    """The command that the configuration has in place of a plain removal, "" for none."""
    for line in real("--showconfig").stdout.splitlines():
        words = line.split(" ", 2)
        if len(words) == 3 and words[0] == "remove" and words[1].replace("-", "_") == name.replace("-", "_"):
            return words[2]
    return ""


def main() -> int:
    command, arguments = Path(sys.argv[0]).name.removesuffix(".py"), sys.argv[1:]
    flags = [word for word in arguments if word.startswith("-")]
    names = [word for word in arguments if not word.startswith("-") and "=" not in word]
    if command == "rmmod":
        return max([remove(name, command) for name in names], default=1)
    if {"-n", "--dry-run", "--show-depends", "-D", "-c", "--showconfig", "-V", "-S", "--set-version"} & set(flags):
        os.execv(REAL, [REAL, *([] if {"-S", "--set-version"} & set(flags) else ["-S", machine.kernel()]), *arguments])
    short = "".join(flag[1:] for flag in flags if not flag.startswith("--"))
    ignore = "i" in short or "--ignore-install" in flags or "--ignore-remove" in flags
    if "r" in short or "--remove" in flags:
        for name in names:
            text = "" if ignore else removal(name)
            status = subprocess.run(["sh", "-c", text], check=False).returncode if text else remove(name, command)
            if status:
                return status
        return 0
    options = ["-i"] * ignore + ["-b"] * ("b" in short or "--use-blacklist" in flags)
    several = "a" in short or "--all" in flags
    return max([load(name, options) for name in (names if several else names[:1])], default=0)


if __name__ == "__main__":
    sys.exit(main())
