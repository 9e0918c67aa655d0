"""The script that makes CUDA's device nodes, run below a tree of its own; and its unit, as systemd reads it."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import DriverState, System
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import rules
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.start_order import FIRST, WANTS
from offered import B200, H100

# The form of these files: open-gpu-kernel-modules, kernel-open/nvidia/nv-procfs.c and nv-caps.c; NVIDIA's driver README.
DEVICES = """\
Character devices:
  1 mem
195 {frontend}
195 nvidia-modeset
195 nvidiactl
234 nvidia-caps-imex-channels
237 nvidia-caps
511 nvidia-uvm

Block devices:
  8 sd
"""
PARAMS = "ResmanDebugLevel: 4294967295\nModifyDeviceFiles: {modify}\nDeviceFileUID: 0\nDeviceFileGID: {gid}\nDeviceFileMode: {mode}\n"
INFORMATION = (
    "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 185\nDevice Minor: \t {minor}\nGPU Firmware: \t 580.95.05\n"
)
CAPABILITY = "DeviceFileMinor: {minor}\nDeviceFileMode: {mode}\nDeviceFileModify: 1\n"
HGX = DriverState(System("ubuntu", "24.04"), gpus=(H100,) * 8)
TRAY = replace(HGX, system=System("ubuntu", "24.04", arch="aarch64"), gpus=(replace(B200, device="2941"),) * 4)
# STAND-INs: only root makes nodes, and not in every container.
STAND_IN = '#!/bin/sh\necho "mknod $*" >>"$CALLS"\n: >"$3"\n'


def tree(root: Path, gpus: int = 8, modify: int = 1, mode: int = 438, gid: int = 0, frontend: str = "nvidia") -> Path:
    """/proc of a host whose driver has just been loaded."""
    texts = {"devices": DEVICES.format(frontend=frontend)}
    texts["driver/nvidia/params"] = PARAMS.format(modify=modify, mode=mode, gid=gid)
    for n in range(gpus):
        # The driver numbers GPUs as it finds them, not along the bus.
        texts[f"driver/nvidia/gpus/0000:{n + 0x1B:02x}:00.0/information"] = INFORMATION.format(minor=gpus - 1 - n)
    texts["driver/nvidia/capabilities/mig/config"] = CAPABILITY.format(minor=1, mode=256)
    texts["driver/nvidia/capabilities/gpu0/mig/gi1/access"] = CAPABILITY.format(minor=12, mode=292)
    for name, text in texts.items():
        path = root / "proc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def run(root: Path, state: DriverState = HGX, stand_ins: bool = True) -> list[str]:
    """Run the script as the role writes it for this host; what it made, with stand-ins for mknod and chown."""
    texts = {file.path: file for file in rules.files(state, ())}
    script, tools, calls = root / "script", root / "bin", root / "calls"
    script.write_text(texts[rules.NODES].content)
    assert texts[rules.NODES].mode == 0o755
    tools.mkdir(exist_ok=True)
    path = os.environ["PATH"]
    if stand_ins:
        (tools / "mknod").write_text(STAND_IN)
        (tools / "chown").write_text('#!/bin/sh\necho "chown $*" >>"$CALLS"\n')
        for tool in tools.iterdir():
            tool.chmod(0o755)
        path = f"{tools}:{path}"
    calls.write_text("")
    done = subprocess.run(
        ["sh", str(script), str(root)],
        env={"PATH": path, "CALLS": str(calls)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.replace(f"{root}/dev/", "") for line in calls.read_text().splitlines() if line.startswith("mknod")]


EVERY = [
    "mknod -m 0666 nvidiactl c 195 255",
    *(f"mknod -m 0666 nvidia{7 - n} c 195 {7 - n}" for n in range(8)),
    "mknod -m 0666 nvidia-uvm c 511 0",
    "mknod -m 0666 nvidia-uvm-tools c 511 1",
]
CAPS = {"mknod -m 0400 nvidia-caps/nvidia-cap1 c 237 1", "mknod -m 0444 nvidia-caps/nvidia-cap12 c 237 12"}
CHANNEL = "mknod -m 0666 nvidia-caps-imex-channels/channel0 c 234 0"


def test_every_node_of_every_gpu_is_made(tmp_path: Path) -> None:
    made = run(tree(tmp_path))
    assert made[: len(EVERY)] == EVERY
    assert set(made[len(EVERY) :]) == CAPS


def test_a_channel_is_made_where_hosts_share_a_fabric(tmp_path: Path) -> None:
    assert run(tree(tmp_path, gpus=4), TRAY)[-1] == CHANNEL


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        # The name of the class before 545.
        ({"frontend": "nvidia-frontend"}, "mknod -m 0666 nvidiactl c 195 255"),
        # options nvidia NVreg_DeviceFileMode=0660, and NVreg_ModifyDeviceFiles=0: nodes are somebody else's.
        ({"mode": 0o660, "gid": 44}, "mknod -m 0660 nvidiactl c 195 255"),
        ({"modify": 0}, None),
    ],
)
def test_what_the_options_of_the_module_say(changes: Mapping[str, int], first: str | None, tmp_path: Path) -> None:
    made = run(tree(tmp_path, **changes))  # type: ignore[arg-type]
    assert (made[0] if made else None) == first
    if changes.get("gid"):
        assert f"chown 0:44 {tmp_path}/dev/nvidiactl" in (tmp_path / "calls").read_text()


def test_without_a_driver_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/devices").write_text("Character devices:\n  1 mem\n")
    assert run(tmp_path) == []


def may_make_nodes(root: Path) -> bool:
    try:
        os.mknod(root / "node", stat.S_IFCHR | 0o600, os.makedev(195, 0))
    except OSError:
        return False
    return True


def test_nodes_are_left_alone_and_mended_where_their_number_is_another(tmp_path: Path) -> None:
    """With the real mknod. nvidia-uvm gets another number when it is loaded again."""
    if not may_make_nodes(tmp_path):
        pytest.skip("no nodes can be made here (not root, or a container)")
    run(tree(tmp_path), stand_ins=False)
    dev = tmp_path / "dev"
    names = {str(path.relative_to(dev)) for path in dev.rglob("*") if not path.is_dir()}
    assert names == {
        *(f"nvidia{n}" for n in range(8)),
        *("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"),
        *("nvidia-caps/nvidia-cap1", "nvidia-caps/nvidia-cap12"),
    }
    before = {name: (dev / name).stat() for name in names}
    assert before["nvidia5"].st_rdev == os.makedev(195, 5)
    assert stat.filemode(before["nvidia5"].st_mode) == "crw-rw-rw-"
    devices = tmp_path / "proc/devices"
    devices.write_text(devices.read_text().replace("511 nvidia-uvm", "509 nvidia-uvm"))
    run(tmp_path, stand_ins=False)
    after = {name: (dev / name).stat() for name in names}
    moved = {
        name
        for name in names
        if (before[name].st_rdev, before[name].st_ino) != (after[name].st_rdev, after[name].st_ino)
    }
    assert moved == {"nvidia-uvm", "nvidia-uvm-tools"}
    assert after["nvidia-uvm"].st_rdev == os.makedev(509, 0)


def test_an_engine_waits_for_the_nodes_and_the_nodes_for_the_slices() -> None:
    unit = {file.path: file.content for file in rules.files(HGX, ())}[rules.NODES_UNIT]
    name = Path(rules.NODES_UNIT).name
    assert name in FIRST["cuda"]
    assert name in WANTS["cuda"]
    assert f"ExecStart=/bin/sh {rules.NODES}\n" in unit
    ordered = re.findall(r"^After=(.*)$", unit, re.MULTILINE)[0].split()
    assert {"gpu-mig.service", "systemd-modules-load.service"} <= set(ordered)
    # It runs anew with every start of an engine, not once a boot.
    assert "RemainAfterExit" not in unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    text = {file.path: file.content for file in rules.files(HGX, ())}[rules.NODES_UNIT]
    unit = tmp_path / Path(rules.NODES_UNIT).name
    unit.write_text(text.replace(rules.NODES, "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert unit.name not in done.stderr, done.stderr
