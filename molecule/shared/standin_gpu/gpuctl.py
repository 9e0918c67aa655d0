#!/usr/bin/python3
"""The test's hand on the stand-in hardware: `gpuctl gpus='["2330"]' faults='["gpu-lost"]'`, `gpuctl xid 0000:1b:00.0 79`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import machine


def xid(address: str, code: str) -> None:
    """A line of the kernel's log, as the driver writes it."""
    place = address.removesuffix(".0")
    machine.say(f"NVRM: Xid (PCI:{place}): {code}, pid=0, name=<unknown>, GPU has fallen off the bus.")


def main() -> None:
    if sys.argv[1:2] == ["xid"]:
        xid(*sys.argv[2:])
        return
    here = machine.read()
    for word in sys.argv[1:]:
        name, __, value = word.partition("=")
        setattr(here, name, json.loads(value))
    machine.write(here)
    machine.appear(here)


if __name__ == "__main__":
    main()
