"""The variables of other hosts, as a task or the header of a play has them in `hostvars`."""

from __future__ import annotations

from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Variables


def raw_variables(hostvars: Variables, host: str) -> Variables:
    """A host's variables without what templating would make of them: for results of tasks, which hold no templates.

    Templated, a result is walked through to its last value each time it is read (`HostVarsVars.__getitem__`,
    ansible/vars/hostvars.py of ansible-core 2.19 to 2.21). Raises KeyError for a host that is not known.
    """
    raw = getattr(hostvars, "raw_get", None)
    found: Any = raw(host) if raw and host in hostvars else hostvars[host]
    variables: Variables = found
    return variables
