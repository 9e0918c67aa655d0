"""The planned endpoints as a Markdown page: what runs, and how to ask it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.clients import curl
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.gateway import reached
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import GatewayPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

HEAD = """# The models of this fleet

Generated from the plan (`ansible-playbook baremetal.vllm.plan -i INVENTORY -e vllm_plan_document=FILE`); do not edit.
The key comes from your environment: `export VLLM_API_KEY=…`
"""


def models_page(plan: FleetPlan) -> str:
    """One section per model: where it runs, the command of its unit, and a `curl` to paste."""
    hosts_of: dict[str, list[str]] = {}
    first: dict[str, tuple[str, Service]] = {}
    for host, service in plan.endpoints:
        hosts_of.setdefault(service.name, []).append(host)
        first.setdefault(service.name, (host, service))
    sections = [_section(plan.gateway, hosts_of[name], host, service) for name, (host, service) in first.items()]
    return "\n".join([HEAD, *sections])


def _section(gateway: GatewayPlan | None, hosts: list[str], host: str, service: Service) -> str:
    url, keyed = reached(gateway, service, host)
    where = f"GPU {', '.join(map(str, service.gpus))}" if service.gpus else service.accelerator
    return f"""## {service.name}

A {service.kind} model, `{service.origin}`, on {", ".join(hosts)} ({where}), vLLM {service.release},
unit `{service.unit}`:

```sh
{_shell(service.argv)}
```

Ask it:

```sh
{curl(service, url, keyed=keyed)}
```
"""


def _shell(argv: Sequence[str]) -> str:
    lines: list[str] = []
    for word in argv:
        if not lines or word.startswith("--"):
            lines.append(shlex.quote(word))
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return " \\\n  ".join(lines)
