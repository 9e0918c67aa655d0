"""Endpoints come back: from the death of any of their processes, and from a reboot."""

from __future__ import annotations

import subprocess
from functools import partial
from typing import Any

from testlab import STATE, argv, host, show, wait_until

VICTIMS = {
    "vllm-all-minilm-l6-v2.service": ("lab2", "VLLM::EngineCore"),
    "vllm-tiny-vision.service": ("lab2", "server"),
    "vllm-tiny-reasoning.service": ("lab1", "VLLM::Worker"),
}


def processes(target: Any, unit: str) -> dict[str, str]:
    """Process ids of a unit by what they are: the server, and vLLM's own names for the others."""
    group = show(target, unit, "ControlGroup")["ControlGroup"]
    found = {}
    for pid in target.check_output(
        "find /sys/fs/cgroup -path '*%s/cgroup.procs' -exec cat {} + | sort -u", group
    ).split():
        words = argv(target, pid)
        found[words[0] if words[0].startswith("VLLM::") else "server" if "serve" in words else "tracker"] = pid
    return found


def test_endpoints_return_after_the_death_of_any_of_their_processes() -> None:
    before = {unit: show(host(name), unit, "MainPID", "NRestarts") for unit, (name, __) in VICTIMS.items()}
    for unit, (name, victim) in VICTIMS.items():
        host(name).check_output("kill -9 %s", processes(host(name), unit)[victim])

    def back(unit: str, name: str) -> bool:
        now = show(host(name), unit, "SubState", "MainPID")
        return now["SubState"] == "running" and now["MainPID"] != before[unit]["MainPID"]

    for unit, (name, victim) in VICTIMS.items():
        wait_until(partial(back, unit, name), 240, f"{unit} is active again after the death of {victim}")
    for unit, (name, __) in VICTIMS.items():
        assert int(show(host(name), unit, "NRestarts")["NRestarts"]) == int(before[unit]["NRestarts"]) + 1


def test_every_unit_is_back_after_a_reboot_without_anybodys_help(site: Any, menu: dict[str, Any]) -> None:
    target = host("lab2")
    boot = target.check_output("cat /proc/sys/kernel/random/boot_id; stat -c %%Y /proc/1")
    subprocess.run(["ssh", "-F", str(STATE / "ssh" / "config"), "lab2", "systemctl reboot"], check=False)

    def answers() -> bool:
        done = subprocess.run(
            ["ssh", "-F", str(STATE / "ssh" / "config"), "lab2", "systemctl is-active vllm-all-minilm-l6-v2 vllm-tiny-vision"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout.split() == ["active", "active"] and boot != host("lab2").check_output(
            "cat /proc/sys/kernel/random/boot_id; stat -c %%Y /proc/1"
        )

    wait_until(answers, 400, "both units of lab2 are active after the reboot")
    run = site(menu)
    assert run.rc == 0, "the scenario's own menu is proven again, the reranker and the first options included"
