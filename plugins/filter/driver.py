"""Sentences about drivers for the person at the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Variables


def waiting_hosts(hosts: Iterable[str], variables: Variables) -> str:
    """Which of the hosts wait for a reboot, and why; "" where none does."""
    lines = []
    for host in hosts:
        why = variables[host].get("__nvidia_driver", {}).get("waits")
        if why:
            lines.append(f"  {host}: {why}")
    return "\n".join(["These hosts wait for a reboot:", *lines]) if lines else ""


def went_back(failure: Mapping[str, object], back: Mapping[str, object]) -> str:
    """What failed, and whether the earlier driver is installed again (`back` is the result of the task that did it)."""
    text = str(failure.get("msg", failure))
    if back.get("skipped"):
        return text
    if back.get("msg"):
        return f"{text}\nGoing back to what was there before failed too: {back['msg']}"
    return f"{text}\nWhat was there before is back."


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"waiting_hosts": waiting_hosts, "went_back": went_back}
