#!/usr/bin/python3
"""STAND-IN for nv-fabricmanager: it stays where there are NVSwitches and a driver of its own version, and else ends as the real one.

The words are those of the Fabric Manager User Guide, https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/.
"""

import os
import sys
import time
from pathlib import Path

VERSION = "@VERSION@"

if {"-v", "--version"} & set(sys.argv):
    print(f"Fabric Manager version is : {VERSION}")
    sys.exit()
shown = Path("/proc/driver/nvidia/version")
if not shown.exists():
    sys.exit(
        "request to query NVSwitch device information from NVSwitch driver failed with error:NVSwitch driver not loaded"
    )
loaded = Path("/sys/module/nvidia/version").read_text().strip()
if loaded != VERSION:
    sys.exit(
        f"fabric manager NVIDIA GPU driver interface version {VERSION} don't match with driver version {loaded}. "
        "Please update with matching NVIDIA driver package."
    )
if not any((path / "class").read_text().startswith("0x068000") for path in Path("/sys/bus/pci/devices").iterdir()):
    sys.exit("failed to detect any NVSwitch devices, aborting fabric manager: NV_WARN_NOTHING_TO_DO")
held = [path.open() for path in sorted(Path("/dev").glob("nvidia[0-9c]*"))]
if os.fork():
    os._exit(0)
os.setsid()
while True:
    time.sleep(3600)
