"""`vllm_proxy` and `vllm_no_proxy` of a host, judged before anything is fetched; nothing of the address is repeated."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.host import proxy
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import has_password
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import names

_WRITE = (
    "Write http://proxy.example.com:3128, with the port. A user and a password come before the host, http://user:password@…, "
    "with %40 for @, %3A for :, %2F for / and %25 for %"
)


def check_proxy(declared: Values, problems: Problems, host: str = "") -> None:
    """Problems of the variables that say how a host fetches from elsewhere."""
    url = declared.get("vllm_proxy") or ""
    if url and (wrong := proxy.fault(url)):
        problems.add(f"{HOSTS}.vllm_proxy", wrong, _WRITE, host)
    direct = declared.get("vllm_no_proxy") or ()
    for name in names(direct) if isinstance(direct, (str, list, tuple)) else (direct,):
        if wrong := proxy.direct_fault(name):
            problems.add(
                f"{HOSTS}.vllm_no_proxy",
                f"{str(name)[:60]!r} {wrong}",
                "Write [mirror.lan, .corp.example, 10.0.0.0/8]",
                host,
            )
    own = declared.get("vllm_engine_environment")
    for name, value in own.items() if isinstance(own, Mapping) else ():
        if has_password(str(value)):
            problems.add(
                f"{HOSTS}.vllm_engine_environment.{name}",
                "holds a user and a password, which tools and logs would show",
                "Give the proxy in vllm_proxy, from a vault",
                host,
            )
