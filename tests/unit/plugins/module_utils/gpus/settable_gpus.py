"""A stand-in for nvidia-smi whose GPUs can be set: it keeps what it is told in a file and reports it as the real one does.

Written from documentation (nvidia-smi's help and man page, the MIG user guide); no GPU is behind it. A reboot is the file without
its settings: MIG mode stays on GPUs of the A100's kind alone, slices on none.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

KINDS: dict[str, dict[str, Any]] = {
    "H100": {"name": "NVIDIA H100 80GB HBM3", "mig": True, "keeps_mig": False, "power": (200, 700), "clock": 1980},
    "A100": {"name": "NVIDIA A100-SXM4-80GB", "mig": True, "keeps_mig": True, "power": (100, 400), "clock": 1410},
    "L40S": {"name": "NVIDIA L40S", "mig": False, "keeps_mig": False, "power": (100, 350), "clock": 2520},
}


class Box:
    """GPUs of one host. `log` holds the commands that changed something, in their order."""

    def __init__(self, kinds: list[str], persistence: bool = True) -> None:
        self.kinds = kinds
        self.persistence = persistence
        self.busy: dict[int, list[tuple[int, str]]] = {}
        self.log: list[list[str]] = []
        self.gpus: list[dict[str, Any]] = [{} for __ in kinds]
        for index in range(len(kinds)):
            self.fresh(index, mig=False)

    def fresh(self, index: int, mig: bool) -> None:
        limit = KINDS[self.kinds[index]]["power"][1]
        self.gpus[index] = {"power": limit, "clocks": None, "mode": "Default", "mig": mig, "pending": mig, "slices": []}

    def reboot(self) -> None:
        for index, kind in enumerate(self.kinds):
            self.fresh(index, self.gpus[index]["mig"] and KINDS[kind]["keeps_mig"])

    def run(self, argv: list[str], timeout: float = 30) -> tuple[int, str, str]:
        words = argv[1:]
        option = dict(zip(words, words[1:]))
        chosen = [int(index) for index in option.get("-i", ",".join(map(str, range(len(self.kinds))))).split(",")]
        if words[:2] == ["-q", "-x"]:
            return 0, self.report(), ""
        if words == ["-L"]:
            return 0, self.listing(), ""
        if any(word.startswith("--query-gpu=mig.mode") for word in words):
            return 0, "".join(f"{_on(self.gpus[i]['mig'])}, {_on(self.gpus[i]['pending'])}\n" for i in chosen), ""
        if any(word.startswith("--query-gpu=") for word in words):
            return 0, "".join(f"{i}, 00000000:{i + 1:02X}:00.0, 9.0\n" for i in range(len(self.kinds))), ""
        if words[0] in ("topo", "nvlink"):
            return 0, "", ""
        self.log.append(words)
        for index in chosen:
            answer = self.mig(index, option, words) if words[0] == "mig" else self.set(index, option, words)
            if answer[0]:
                return answer
        return 0, "All done.\n", ""

    def set(self, index: int, option: dict[str, str], words: list[str]) -> tuple[int, str, str]:
        gpu, kind = self.gpus[index], KINDS[self.kinds[index]]
        if "-pl" in option:
            low, high = kind["power"]
            if not low <= float(option["-pl"]) <= high:
                return (
                    2,
                    "",
                    f"Provided power limit {option['-pl']} W is not a valid power limit which should be between {low} and {high}",
                )
            gpu["power"] = float(option["-pl"])
        if "-lgc" in option:
            gpu["clocks"] = option["-lgc"]
        if "-rgc" in words:
            gpu["clocks"] = None
        if "-c" in option:
            gpu["mode"] = {"DEFAULT": "Default", "EXCLUSIVE_PROCESS": "Exclusive_Process", "PROHIBITED": "Prohibited"}[
                option["-c"]
            ]
        if "-mig" in option:
            if not kind["mig"]:
                return 3, "", f"Unable to enable MIG Mode for GPU 00000000:{index + 1:02X}:00.0: Not Supported"
            if option["-mig"] == "0" and gpu["slices"]:
                return 19, "", "Unable to disable MIG Mode: In use by another client"
            gpu["pending"] = option["-mig"] == "1"
            if not kind["keeps_mig"]:
                gpu["mig"] = gpu["pending"]
        if "--gpu-reset" in words:
            if self.busy.get(index):
                return 1, "", "GPU could not be reset: In use by another client"
            self.fresh(index, gpu["pending"])
        return 0, "", ""

    def mig(self, index: int, option: dict[str, str], words: list[str]) -> tuple[int, str, str]:
        gpu = self.gpus[index]
        if not gpu["mig"]:
            return 6, "No MIG-enabled devices found.\n", ""
        if "-cgi" in option:
            layout = option["-cgi"].split(",")
            if sum(int(profile[0]) for profile in [*gpu["slices"], *layout]) > 7:
                return 19, f"Unable to create a GPU instance on GPU {index}: Insufficient Resources\n", ""
            gpu["slices"] += layout
        elif "-dgi" in words:
            if not gpu["slices"]:
                return 6, "No GPU instances found: Not Found\n", ""
            gpu["slices"] = []
        return 0, "", ""

    def report(self) -> str:
        body = ""
        for index, (gpu, kind) in enumerate(zip(self.gpus, (KINDS[kind] for kind in self.kinds))):
            low, high = kind["power"]
            mode = (_on(gpu["mig"]), _on(gpu["pending"])) if kind["mig"] else ("N/A", "N/A")
            slices = "".join(
                f"<mig_device><index>{n}</index><gpu_instance_id>{n + 1}</gpu_instance_id><compute_instance_id>0</compute_instance_id></mig_device>"
                for n, __ in enumerate(gpu["slices"])
            )
            running = "".join(
                f"<process_info><pid>{pid}</pid><type>C</type><process_name>{name}</process_name><used_memory>512 MiB</used_memory></process_info>"
                for pid, name in self.busy.get(index, [])
            )
            body += (
                f'<gpu id="00000000:{index + 1:02X}:00.0"><product_name>{kind["name"]}</product_name>'
                f"<persistence_mode>{_on(self.persistence)}</persistence_mode>"
                f"<mig_mode><current_mig>{mode[0]}</current_mig><pending_mig>{mode[1]}</pending_mig></mig_mode>"
                f"<mig_devices>{slices}</mig_devices><uuid>GPU-{index}</uuid><minor_number>{index}</minor_number>"
                f"<compute_mode>{gpu['mode']}</compute_mode><gpu_power_readings>"
                f"<current_power_limit>{gpu['power']:.2f} W</current_power_limit><default_power_limit>{high}.00 W</default_power_limit>"
                f"<min_power_limit>{low}.00 W</min_power_limit><max_power_limit>{high}.00 W</max_power_limit></gpu_power_readings>"
                f"<max_clocks><graphics_clock>{kind['clock']} MHz</graphics_clock></max_clocks><processes>{running}</processes></gpu>"
            )
        return f"<?xml version='1.0' ?><nvidia_smi_log><driver_version>580.95.05</driver_version><cuda_version>13.0</cuda_version>{body}</nvidia_smi_log>"

    def listing(self) -> str:
        text = ""
        for index, gpu in enumerate(self.gpus):
            text += f"GPU {index}: {KINDS[self.kinds[index]]['name']} (UUID: GPU-{index})\n"
            for n, profile in enumerate(gpu["slices"]):
                text += f"  MIG {profile:<11} Device {n:>2}: (UUID: MIG-{index}-{n})\n"
        return text


def _on(value: bool) -> str:
    return "Enabled" if value else "Disabled"


def main() -> int:
    """On a host: GPUs and settings in /var/lib/settable-gpus.json, which a test writes first."""
    path = Path("/var/lib/settable-gpus.json")
    state = json.loads(path.read_text())
    box = Box(state["kinds"])
    box.gpus = state.get("gpus", box.gpus)
    box.busy = {int(index): [tuple(item) for item in items] for index, items in state.get("busy", {}).items()}
    status, out, err = box.run(sys.argv)
    path.write_text(json.dumps({**state, "gpus": box.gpus, "log": [*state.get("log", []), *box.log]}))
    print(out, end="")
    print(err, end="", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
