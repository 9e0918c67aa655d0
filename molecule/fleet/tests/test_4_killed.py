"""Endpoints come back: from the death of any of their processes, and from a reboot."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from testlab import STATE, argv, host, show, wait_until

UNIT = "vllm-all-minilm-l6-v2.service"


def processes(target: Any) -> dict[str, str]:
    """Process ids of the unit by what they are: the server, and vLLM's own names for the others."""
    group = show(target, UNIT, "ControlGroup")["ControlGroup"]
    found = {}
    for pid in target.check_output(
        "find /sys/fs/cgroup -path '*%s/cgroup.procs' -exec cat {} + | sort -u", group
    ).split():
        words = argv(target, pid)
        found[words[0] if words[0].startswith("VLLM::") else "server" if "serve" in words else "tracker"] = pid
    return found


@pytest.mark.parametrize("victim", ["VLLM::EngineCore", "server", "VLLM::Worker"])
def test_an_endpoint_returns_after_the_death_of(victim: str) -> None:
    target = host("lab2")
    before = show(target, UNIT, "MainPID", "NRestarts")
    target.check_output("kill -9 %s", processes(target)[victim])

    def back() -> bool:
        now = show(target, UNIT, "ActiveState", "SubState", "MainPID", "NRestarts")
        return now["SubState"] == "running" and now["MainPID"] != before["MainPID"]

    wait_until(back, 240, f"{UNIT} is active again after the death of {victim}")
    after = show(target, UNIT, "NRestarts")
    assert int(after["NRestarts"]) == int(before["NRestarts"]) + 1


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
