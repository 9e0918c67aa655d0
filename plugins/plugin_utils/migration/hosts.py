"""Hosts that cannot run the release that a menu is moved to, as far as their own variables say it."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problem, Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.support import check_release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import read_host

# What of a host's variables is read.
READ = ("vllm_accelerator", "gpu_count", "gpu_name", "gpu_memory_gib", "nvidia_driver_version")


def judge(hosts: Mapping[str, Mapping[str, object]], to: str) -> tuple[list[Problem], list[Problem]]:
    """What stops hosts from running `to`, and what they would run it with less of; hosts of the same kind told once.

    `hosts`: name to its variables of READ. A host that declares too little, or something wrong, is the plan's to tell of.
    """
    problems, release = Problems(), load.release(to)
    for name, declared in hosts.items():
        host = read_host(name, {"gpu_count": 1, **declared, "vllm_version": to}, Problems())
        if host is None or host.accelerator != "cuda":
            continue
        for gpu in host.kinds(range(host.gpu_count)):
            check_release(gpu, host.driver, release, problems, name)
    return sorted(problems.found), sorted(problems.warned)
