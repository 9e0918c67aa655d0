"""The variables of other hosts, as a task or the header of a play has them in `hostvars`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def registered_anywhere(hosts: Iterable[str], hostvars: Variables, name: str) -> Any:
    """What a task that ran once registered, as the first of these hosts has it; an empty dictionary where none does.

    Plays that follow need it in their headers, where no host is at hand, and on hosts that its play did not have. A result is
    taken as it is: templating the plan of a thousand hosts takes seconds each time.
    """
    for host in hosts:
        found = raw_variables(hostvars, host) if host in hostvars else {}
        if name in found:
            return found[name] if isinstance(found[name], Mapping) else hostvars[host][name]
    return {}
