"""What a gateway says of the engines behind it, as JSON: for module gateway_server, and for the look at its host."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.gateway.replaced import outdated
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway.runtime import Gateway, GatewayError, GatewaySight
from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import SystemdError


def seen(sight: GatewaySight) -> dict[str, Any]:
    """Servers by model and host, drains by `model/host`, whether HAProxy runs."""
    servers = {
        model: {host: asdict(server) for host, server in servers.items()} for model, servers in sight.view.items()
    }
    return {"servers": servers, "drains": sight.drains, "running": sight.process is not None}


def query(gateway: Gateway) -> dict[str, Any]:
    """The same with `replaced`, what an update replaced under it, and `certificate`, how long what it shows is good for.

    Raises GatewayError, SystemdError and OSError: where it cannot be asked.
    """
    return {**seen(gateway.look()), "replaced": outdated(), "certificate": gateway.certificate()}


def view(gateway: Gateway) -> dict[str, Any]:
    """The same; where it cannot be asked `msg`, why."""
    try:
        return query(gateway)
    except (GatewayError, SystemdError) as error:
        return {"msg": str(error)}
    except OSError as error:
        return {"msg": f"{error.filename or 'the gateway'}: {error.strerror}"}
