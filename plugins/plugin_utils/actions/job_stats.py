"""What a run leaves for the job that follows it, as `ansible.builtin.set_stats` does; AWX hands it on in a workflow."""

from __future__ import annotations

from collections.abc import Mapping

# Not `vllm_…`: AWX hands these to the next playbook as extra variables, and the plan warns of those that nothing reads.
PREFIX = "baremetal_vllm_"


def job_stats(name: str, data: Mapping[str, object]) -> dict[str, object]:
    """Part of an action's result: the run's custom statistic `baremetal_vllm_<name>`, in place of an earlier one of the run.

    The strategy plugins of ansible-core 2.19 to 2.21 take `ansible_stats` from any task's result, not from `set_stats` alone.
    """
    return {"ansible_stats": {"data": {f"{PREFIX}{name}": dict(data)}, "per_host": False, "aggregate": False}}
