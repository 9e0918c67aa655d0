#!/usr/bin/python3
"""STAND-IN for nvidia-persistenced: it holds the device nodes open, and fails as the real one where no driver is loaded."""

import os
import sys
import time
from pathlib import Path

VERSION = "@VERSION@"

if "--version" in sys.argv:
    print(f"nvidia-persistenced:  version {VERSION}")
    sys.exit()
if not Path("/proc/driver/nvidia/version").exists():
    print("nvidia-persistenced failed to initialize. Check syslog for more details.", file=sys.stderr)
    sys.exit(1)
held = [path.open() for path in sorted(Path("/dev").glob("nvidia[0-9c]*"))]
if os.fork():
    os._exit(0)
os.setsid()
while True:
    time.sleep(3600)
