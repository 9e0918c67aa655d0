#!/usr/bin/python3
"""STAND-IN for nvidia-smi: it checks what the real one checks before it answers, and then answers with a recording.

The recording (/opt/standin-gpu/recording.xml) is of a real host; driver, addresses, identities and states that a test has
chosen are written over it. Words and exit statuses of failures: nvidia-smi(1), "RETURN VALUE", and its own output.
"""

from __future__ import annotations

import copy
import json
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from xml.etree.ElementTree import Element

sys.path.insert(0, "/opt/standin-gpu")
import machine

# By PCI device number: name as the tool prints it, compute capability. The recording is an A100's.
MODELS = {
    "15f8": ("Tesla P100-PCIE-16GB", "6.0"),
    "1db6": ("Tesla V100-PCIE-32GB", "7.0"),
    "20b2": ("NVIDIA A100-SXM4-80GB", "8.0"),
    "2330": ("NVIDIA H100 80GB HBM3", "9.0"),
    "2901": ("NVIDIA B200", "10.0"),
}
LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib/x86_64-linux-gnu/nvidia/current")
# Newest CUDA by branch: https://docs.nvidia.com/deploy/cuda-compatibility/
CUDA = {"535": "12.2", "570": "12.8", "580": "13.0", "590": "13.1"}
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n"
)
HERE = machine.read()
# Gone with the next boot, as in a GPU.
SETTINGS = machine.RUN / "settings.json"
MODES = {"DEFAULT": "Default", "EXCLUSIVE_PROCESS": "Exclusive_Process", "PROHIBITED": "Prohibited"}


def fail(text: str, status: int) -> None:
    print(text)
    sys.exit(status)


def library() -> str:
    """The version of the libnvidia-ml that a program would be given, "" for none."""
    for directory in LIBRARIES:
        link = Path(directory, "libnvidia-ml.so.1")
        if link.exists():
            return link.resolve().name.partition(".so.")[2]
    return ""


def checks() -> None:
    if "smi-hangs" in HERE.faults:
        time.sleep(3600)
    own = library()
    if not own:
        fail(
            "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA "
            "Display Driver is properly installed and present in your system.",
            12,
        )
    shown = machine.MODULES / "nvidia" / "version"
    if not shown.exists():
        fail(NO_DRIVER, 9)
    if shown.read_text().strip() != own:
        short = ".".join(own.split(".")[:2])
        fail(f"Failed to initialize NVML: Driver/library version mismatch\nNVML library version: {short}", 18)
    if not gpus():
        fail("No devices were found", 6)
    if "gpu-lost" in HERE.faults:
        address = machine.addresses(HERE)[-1]
        fail(
            f"Unable to determine the device handle for GPU0: {address.upper()}: GPU is lost.  Reboot the system to recover this GPU",
            15,
        )


def gpus() -> list[tuple[int, str, str]]:
    """(index, PCI address, device number) of the GPUs that the driver sees."""
    found = list(enumerate(zip(machine.addresses(HERE), HERE.gpus)))
    seen = [(index, address, number) for index, (address, number) in found]
    return seen[:-1] if "fell-off" in HERE.faults else seen


def put(gpu: Element, path: str, text: str) -> None:
    element = gpu.find(path)
    if element is not None:
        element.text = text


def uuid(index: int) -> str:
    return f"GPU-00000000-0000-0000-0000-{index:012d}"


def settings() -> dict[str, dict[str, str]]:
    """What the GPUs were told since boot, by index."""
    found: dict[str, dict[str, str]] = json.loads(SETTINGS.read_text()) if SETTINGS.exists() else {}
    return found


def set_gpus(words: list[str]) -> None:
    """`-i 0,1` with one of -pl WATTS, -lgc MHZ,MHZ, -rgc and -c MODE."""
    option, told = dict(zip(words, words[1:])), settings()
    for index in option["-i"].split(","):
        gpu = told.setdefault(index, {})
        if "-pl" in option:
            if not 100 <= float(option["-pl"]) <= 500:
                fail(
                    f"Provided power limit {option['-pl']} W is not a valid power limit which should be between 100.00 W and 500.00 W",
                    2,
                )
            gpu["power"] = f"{float(option['-pl']):.2f} W"
        elif "-lgc" in option:
            gpu["clocks"] = option["-lgc"]
        elif "-rgc" in words:
            gpu.pop("clocks", None)
        elif "-c" in option:
            gpu["mode"] = MODES[option["-c"]]
        else:
            fail(f"stand-in nvidia-smi cannot set {words}", 2)
    SETTINGS.write_text(json.dumps(told))
    print("All done.")


def occupy(gpu: Element, index: int) -> None:
    """The processes that a test has put on a GPU, and the memory that they take of it."""
    for on, pid, mib in HERE.processes:
        if on == index:
            listed = ElementTree.SubElement(gpu.find("processes"), "process_info")
            told = {"pid": str(pid), "type": "C", "process_name": name_of(pid), "used_memory": f"{mib} MiB"}
            for tag, text in told.items():
                ElementTree.SubElement(listed, tag).text = text
    held = sum(mib for on, __, mib in HERE.processes if on == index)
    if held:
        put(gpu, "fb_memory_usage/used", f"{held + 500} MiB")


def name_of(pid: int) -> str:
    """The whole command line, as some releases print it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return "[Not Found]"


def report() -> str:
    root = ElementTree.parse("/opt/standin-gpu/recording.xml").getroot()
    recorded = root.find("gpu")
    for element in root.findall("gpu"):
        root.remove(element)
    put(root, "driver_version", library())
    put(root, "cuda_version", CUDA.get(library().partition(".")[0], "N/A"))
    put(root, "attached_gpus", str(len(gpus())))
    held = machine.open_files("nvidia[0-9]*") > 0
    for index, address, number in gpus():
        gpu = copy.deepcopy(recorded)
        gpu.set("id", f"0000{address.upper()}")
        for path in ("pci/pci_bus_id", "pci_bus_id"):
            put(gpu, path, f"0000{address.upper()}")
        put(gpu, "product_name", MODELS[number][0])
        if HERE.switches:
            ready = machine.runs("nv-fabricmanage")
            put(gpu, "fabric/state", "Completed" if ready else "In Progress")
            put(gpu, "fabric/status", "Success" if ready else "N/A")
        put(gpu, "minor_number", str(index))
        put(gpu, "gsp_firmware_version", library())
        put(gpu, "uuid", uuid(index))
        put(gpu, "serial", f"165000000000{index}")
        put(gpu, "persistence_mode", "Enabled" if held else "Disabled")
        told = settings().get(str(index), {})
        if "power" in told:
            put(gpu, "gpu_power_readings/current_power_limit", told["power"])
        if "mode" in told:
            put(gpu, "compute_mode", told["mode"])
        processes = gpu.find("processes")
        for process in list(processes if processes is not None else ()):
            processes.remove(process)
        occupy(gpu, index)
        if "ecc" in HERE.faults and index == 0:
            for element in gpu.findall("ecc_errors/volatile/*"):
                if "uncorrectable" in element.tag:
                    element.text = "3"
        if "remap-pending" in HERE.faults and index == 0:
            put(gpu, "remapped_rows/remapped_row_pending", "Yes")
        root.append(gpu)
    return '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n' + ElementTree.tostring(
        root, "unicode"
    )


def query(names: list[str]) -> str:
    lines = []
    for index, address, number in gpus():
        known = {"index": str(index), "pci.bus_id": f"0000{address.upper()}", "compute_cap": MODELS[number][1]}
        known |= {"driver_version": library(), "uuid": uuid(index)}
        for name in names:
            if name not in known:
                fail(f'Field "{name}" is not a valid field to query.', 2)
        lines.append(", ".join(known[name] for name in names))
    return "\n".join(lines)


def topology() -> str:
    count = len(gpus())
    lines = ["\t" + "\t".join(f"GPU{index}" for index in range(count)) + "\tCPU Affinity\tNUMA Affinity"]
    for row in range(count):
        cells = ["X" if column == row else "NV18" for column in range(count)]
        lines.append(f"GPU{row}\t" + "\t".join(cells) + "\t0-1\t0")
    return "\n".join(lines)


def links() -> str:
    lines = []
    for index, __, number in gpus():
        lines.append(f"GPU {index}: {MODELS[number][0]} (UUID: {uuid(index)})")
        lines += [f"\t Link {link}: 26.562 GB/s" for link in range(18)]
    return "\n".join(lines)


def main() -> None:
    arguments = sys.argv[1:]
    checks()
    asked = next((word.partition("=")[2] for word in arguments if word.startswith("--query-gpu=")), "")
    if "-q" in arguments and "-x" in arguments:
        print(report())
    elif asked:
        print(query(asked.split(",")))
    elif arguments[:2] == ["topo", "-m"]:
        print(topology())
    elif arguments[:2] == ["nvlink", "-s"]:
        print(links())
    elif arguments == ["-L"]:
        print("\n".join(f"GPU {index}: {MODELS[number][0]} (UUID: {uuid(index)})" for index, __, number in gpus()))
    elif arguments[:1] == ["-i"]:
        set_gpus(arguments)
    elif arguments:
        fail(f"stand-in nvidia-smi does not know {arguments}", 2)


if __name__ == "__main__":
    main()
