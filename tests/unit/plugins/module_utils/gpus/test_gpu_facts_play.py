"""The role under real Ansible, with a stand-in nvidia-smi that replays recordings on this machine, and the module alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ansible.plugins", reason="ansible-test runs what lies here as on a host: without the control node")

import ansible_runs
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu
from recorded_gpus import H100, report

# Its one run is not made by several workers.
pytestmark = pytest.mark.xdist_group("gpu_facts_play")
PLAY = """
- name: Look
  hosts: sick, crowded
  gather_facts: false
  environment:
    PATH: "{{ standin }}:/usr/bin:/bin"
  tasks:
    - name: Look
      baremetal.vllm.gpu_facts:
      register: seen

    - name: Keep
      ansible.builtin.copy:
        content: "{{ seen | to_json }}"
        dest: "{{ standin }}/seen.json"
        mode: "0644"

- name: Check
  hosts: all
  gather_facts: false
  environment:
    PATH: "{{ standin }}:/usr/bin:/bin"
  roles:
    - role: baremetal.vllm.gpu_check
"""
CSV = "0, 00000000:18:00.0, 9.0\n1, 00000000:2A:00.0, 9.0\n"
DECLARED = {
    "accelerator": "cuda",
    "release": "0.8.5",
    "gpu_count": 2,
    "gpu_name": "H100-80GB",
    "gpu_memory": None,
    "driver": "565",
}


def standin(directory: Path, text: str, returncode: int = 0) -> str:
    """A directory with an nvidia-smi that prints `text` as its report."""
    directory.mkdir()
    (directory / "report").write_text(text)
    (directory / "query").write_text(CSV)
    script = directory / "nvidia-smi"
    script.write_text(
        f'#!/bin/sh\ncase "$1" in -q) cat {directory}/report; exit {returncode};; --query*) cat {directory}/query;; *) exit 2;; esac\n'
    )
    script.chmod(0o755)
    return str(directory)


def held(pid: int, mib: int) -> str:
    """The two H100s with a process on the first one."""
    process = f"<process_info><pid>{pid}</pid><type>C</type><process_name>python3 --api-key sk-secret</process_name>"
    text = report(H100, used=f"{mib + 500} MiB")
    return text.replace("<processes>", f"<processes>{process}<used_memory>{mib} MiB</used_memory></process_info>", 1)


def services(**args: Any) -> list[dict[str, Any]]:
    """What a plan gives for one model on both GPUs."""
    models = {"qwen": {"model": "/m", "kind": "chat", "args": {"tensor-parallel-size": 2, **args}}}
    host = {"vllm_accelerator": "cuda", "vllm_version": "0.8.5", "gpu_count": 2}
    outcome = plan_fleet(Inventory(menu=read_menu(models), hosts={"h": host}, match=lambda pattern: []))
    assert not outcome.problems
    planned: list[dict[str, Any]] = plain(outcome.plan["hosts"]["h"]["services"])
    return planned


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The output of one run over hosts of all kinds, and what the module alone gives on the sick one."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        try:
            yield play(tmp_path_factory.mktemp("play"), stranger.pid)
        finally:
            stranger.communicate(b"\n")


def play(base: Path, pid: int) -> tuple[str, dict[str, Any]]:
    sick = report(H100, dram_uncorrectable="2", current_link_width="8x")
    hosts: dict[str, dict[str, Any]] = {
        "good": {"standin": standin(base / "good", report(H100)), "gpu_check_declared": DECLARED},
        "sick": {"standin": standin(base / "sick", sick), "gpu_check_declared": {**DECLARED, "gpu_count": 3}},
        "accepted": {
            "standin": standin(base / "accepted", sick),
            "gpu_check_declared": DECLARED,
            "gpu_check_accept": ["ecc-uncorrectable"],
        },
        "silent": {
            "standin": standin(base / "silent", "Failed to initialize NVML: Driver/library version mismatch\n", 18),
            "gpu_check_declared": DECLARED,
        },
        "crowded": {
            "standin": standin(base / "crowded", held(pid, 40000)),
            "gpu_check_declared": DECLARED,
            "gpu_check_services": services(),
        },
        "roomy": {
            "standin": standin(base / "roomy", held(pid, 40000)),
            "gpu_check_declared": DECLARED,
            "gpu_check_services": services(**{"gpu-memory-utilization": 0.4}),
        },
        "undeclared": {"standin": standin(base / "undeclared", held(pid, 40000)), "gpu_check_services": services()},
        "cpu": {"standin": str(base), "gpu_check_declared": {**DECLARED, "accelerator": "cpu", "gpu_count": 0}},
        "bare": {"standin": str(base), "gpu_check_declared": DECLARED},
        "wrong": {"standin": str(base), "gpu_check_declared": {"accelerator": "tpu"}},
    }
    shared = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
    inventory = {"all": {"hosts": hosts, "vars": shared}}
    (base / "inventory.json").write_text(json.dumps(inventory))
    (base / "play.yml").write_text(PLAY)
    done = ansible_runs.run("ansible-playbook", "--forks=4", "-i", base / "inventory.json", base / "play.yml")
    return done.stdout + done.stderr, {
        name: json.loads((base / name / "seen.json").read_text()) for name in ("sick", "crowded")
    }


def recap(output: str) -> dict[str, bool]:
    lines = output[output.index("PLAY RECAP") :].splitlines()[1:]
    return {line.split()[0]: "failed=0" not in line for line in lines if ":" in line and "failed=" in line}


def test_hosts_that_may_not_serve_fail(played: tuple[str, dict[str, Any]]) -> None:
    assert recap(played[0]) == {
        "good": False, "sick": True, "accepted": False, "silent": True, "crowded": True, "roomy": False, "undeclared": True, "cpu": False, "bare": True,
        "wrong": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        "The GPUs of sick are not as they should be:",
        "ecc-uncorrectable: GPU 0 (0000:18:00.0) had 2 uncorrectable memory errors since the last reset, expected none.",
        "fewer-gpus: nvidia-smi lists 2 of the 3 GPUs that gpu_count declares",
        "accepted: ecc-uncorrectable: GPU 0 (0000:18:00.0) had 2 uncorrectable",
        "accepted: pcie-narrow: the PCIe link of GPU 0 (0000:18:00.0) runs at x8 of x16",
        "nvidia-smi tells of no GPU: Failed to initialize NVML: Driver/library version mismatch",
        "declared.accelerator: expected one of cuda, rocm, cpu",
        "gpu-no-room: vllm_models.qwen asks 73403 MiB of GPU 0 (0000:18:00.0) at its start (gpu-memory-utilization 0.9 of 81559 MiB)",
        "lower vllm_models.qwen.args.gpu-memory-utilization to 0.5 at most",
        "The GPUs of undeclared are not as they should be: gpu-no-room: vllm_models.qwen asks",
        "roomy: gpu-occupied: memory of the GPUs is held by others: pid",
    ],
)
def test_everything_is_told(played: tuple[str, dict[str, Any]], words: str) -> None:
    assert words in " ".join(played[0].replace("\\n", " ").split())


def test_the_module_alone_refuses_nothing_and_tells_all(played: tuple[str, dict[str, Any]]) -> None:
    seen = played[1]["sick"]
    assert (seen["changed"], seen["failed"]) == (False, False)
    assert [gpu["name"] for gpu in seen["facts"]["gpus"]] == ["NVIDIA H100 80GB HBM3"] * 2
    assert seen["facts"]["gpus"][1]["capability"] == "9.0"
    assert [finding["name"] for finding in seen["findings"]] == ["ecc-uncorrectable", "pcie-narrow"]


def test_whoever_is_on_a_gpu_is_told_without_arguments(played: tuple[str, dict[str, Any]]) -> None:
    seen = played[1]["crowded"]
    [holder] = seen["holders"]
    assert (holder["memory"], holder["found"], holder["kind"]) == ({"0": 40000 * 2**20}, True, "C")
    assert Path(holder["executable"]).name.startswith("python")
    assert [finding["name"] for finding in seen["findings"]] == ["gpu-occupied"]
    assert "sk-secret" not in json.dumps(seen) + played[0]
