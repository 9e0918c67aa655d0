"""The planned gateways: how they are set up, and which replicas answer to which name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Every IPv4 address, in HAProxy's words.
ALL = "*"


@dataclass(frozen=True)
class Settings:
    """The gateways' settings, without any secret. Times are seconds.

    `name`: the DNS name that clients know, "" for none; `address`: "*" for every IPv4 address; `tls_certificate` and
    `tls_key`: files of the control node, `tls_path`: one of the gateway hosts (key and chain in one PEM); `open`: no key
    is asked for; `floating_address`: with its prefix length, "" for none; `floating_interface`: "" for the one that leads
    to the other gateways.
    """

    name: str = ""
    address: str = ALL
    port: int = 80
    tls: bool = False
    tls_certificate: str = ""
    tls_key: str = ""
    tls_path: str = ""
    open: bool = False
    body_limit_mib: int = 32
    timeout: int = 600
    body_timeout: int = 60
    max_connections: int = 4000
    metrics_address: str = "127.0.0.1"
    metrics_port: int = 8405
    floating_address: str = ""
    floating_interface: str = ""
    floating_router_id: int = 51


@dataclass(frozen=True)
class Replica:
    """One engine behind the gateways: `address` is where they reach its host."""

    host: str
    address: str = ""
    port: int = 0
    unit: str = ""


@dataclass(frozen=True)
class Route:
    """One model at the gateways: all its `names` (aliases and adapters route too), those of them that are `adapters`."""

    name: str
    kind: str = ""
    names: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    replicas: tuple[Replica, ...] = ()


@dataclass(frozen=True)
class GatewayPlan:
    """The fleet's one address. `hosts`: the gateways by name, `addresses`: where each is reached, in the same order;
    `models`: in the plan's order."""

    hosts: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    settings: Settings = Settings()
    models: tuple[Route, ...] = ()

    @property
    def names(self) -> Iterator[str]:
        """Every name that clients may ask for."""
        return (name for model in self.models for name in model.names)
