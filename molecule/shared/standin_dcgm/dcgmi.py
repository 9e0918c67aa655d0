#!/usr/bin/python3
"""STAND-IN for dcgmi: it takes its time and prints a report in DCGM 4's layout for the GPUs that nvidia-smi lists.

/etc/standin-dcgm.json says how it ends, {} or no file: everything passes after 3 s.
  {"seconds": 20}                                   how long a diagnostic takes
  {"until": "/run/enough"}                          it goes on until this file is there
  {"failures": {"memory": "A DBE was detected"}}    these tests fail on the last GPU, with these words
  {"skips": ["memory", "pcie"]}                     these are skipped on every GPU
  {"output": "/srv/report.json", "status": 226}     print this file instead, and end so
Layout: testing/python3/dcgm_diag_schema.json of https://github.com/NVIDIA/DCGM; tests by level: its documentation.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

VERSION = "4.4.2"
# DCGM_ST_NVVS_ERROR (-30) as an exit status.
NVVS_ERROR = 226
TESTS = [
    (1, "Deployment", "software"),
    (2, "Hardware", "memory"),
    (3, "Hardware", "diagnostic"),
    (3, "Hardware", "nvbandwidth"),
    (2, "Integration", "pcie"),
    (3, "Stress", "memory_bandwidth"),
    (3, "Stress", "targeted_stress"),
    (3, "Stress", "targeted_power"),
    (4, "Hardware", "memtest"),
    (4, "Hardware", "pulse_test"),
]


def gpus() -> int:
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return sum(line.startswith("GPU ") for line in listed.splitlines())


def results(name: str, count: int, setting: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    words = setting.get("failures", {}).get(name)
    status = "Skip" if name in setting.get("skips", ()) else "Pass"
    found: list[dict[str, Any]] = [
        {"entity_group": "GPU", "entity_group_id": 1, "entity_id": index, "status": status} for index in range(count)
    ]
    if words:
        status = found[-1]["status"] = "Fail"
        found[-1]["warnings"] = [{"error_category": 10, "error_id": 95, "error_severity": 2, "warning": words}]
    return status, found


def report(level: int, count: int, setting: dict[str, Any]) -> dict[str, Any]:
    categories: dict[str, list[dict[str, Any]]] = {}
    for first, category, name in TESTS:
        if level >= first:
            status, found = results(name, count, setting)
            test = {"name": name, "results": found, "test_summary": {"status": status}}
            categories.setdefault(category, []).append(test)
    return {
        "DCGM Diagnostic": {
            "test_categories": [{"category": category, "tests": tests} for category, tests in categories.items()]
        },
        "entity_groups": [],
        "metadata": {"version": VERSION},
    }


def main() -> None:
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print(f"\ndcgmi  version: {VERSION}\n")
        return
    if arguments[:1] != ["diag"] or "--json" not in arguments:
        print("ERROR: Invalid subsystem")
        sys.exit(255)
    path = Path("/etc/standin-dcgm.json")
    setting = json.loads(path.read_text()) if path.exists() else {}
    time.sleep(setting.get("seconds", 3))
    while "until" in setting and not Path(setting["until"]).exists():
        time.sleep(0.2)
    if "output" in setting:
        print(Path(setting["output"]).read_text())
        sys.exit(setting.get("status", 0))
    level = int(arguments[arguments.index("--run") + 1])
    print(json.dumps(report(level, gpus(), setting), indent=1))
    sys.exit(NVVS_ERROR if setting.get("failures") else 0)


if __name__ == "__main__":
    main()
