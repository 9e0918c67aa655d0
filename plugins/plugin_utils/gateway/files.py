"""The gateway's sets of files as module unit_files takes them: which lie where, who may read them, how they are tried."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.text.address import is_loopback
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import MARK
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.config import DIRECTORY
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import Settings
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments
from ansible_collections.baremetal.vllm.plugins.plugin_utils.templates import environment

DOOR, BODIES, FLOATING = "haproxy-vllm.service", "haproxy-vllm-bodies.service", "keepalived-vllm.service"
RENEWED, RENEWAL = "haproxy-vllm-certificate.path", "haproxy-vllm-certificate.service"
STATE, RUN = "/var/lib/haproxy-vllm", "/run/haproxy-vllm"
# By what the host's firewall knows the door.
OPENING = "gateway"
# Of module fleet_lock; empty on a host that has no engine and that nobody holds.
LOCKS = "/var/lib/vllm"
KEEPALIVED = "/etc/keepalived/vllm.conf"
_UNITS = "/etc/systemd/system"
# Read by needrestart alone: no change of it is one for HAProxy.
_UPDATES = "/etc/needrestart/conf.d/vllm-gateway.conf"
_KEEPER, _CHECK = "/usr/local/libexec/haproxy-vllm-state", "/usr/local/libexec/haproxy-vllm-check"
# What the policy has to be told where SELinux is on. HAProxy is held to ports that are labelled for the web (haproxy_t), and
# engines listen on others; its kept state lies beside /var/lib/haproxy, not in it; nothing below /usr/local/libexec is a program
# to systemd; and keepalived may ask no port of HAProxy's but from a script of this type.
SELINUX = {
    "booleans": ["haproxy_connect_any"],
    "contexts": {
        f"{STATE}(/.*)?": "haproxy_var_lib_t",
        _KEEPER: "bin_t",
        _CHECK: "keepalived_unconfined_script_exec_t",
    },
}
# A unit whose file changed goes on as it runs: what is new in it counts from its next start.
_EFFECT = {"effect": "none"}


def haproxy(
    templates: Path,
    public: Mapping[str, str],
    secrets: Mapping[str, str],
    opening: Mapping[str, object] | None = None,
    labelled: bool = True,
) -> Arguments:
    """The door and the reader of its large bodies. `public` and `secrets`: texts by path; `opening`: what the host's firewall
    lets in, nothing where it is None; `labelled`: whether SELinux is told what it must know."""
    units = {unit: _template(templates, f"{_UNITS}/{unit}") for unit in (DOOR, BODIES)}
    return {
        "files": [
            {"path": _KEEPER, "content": _text(templates, _KEEPER), "mode": "0755", **_EFFECT},
            {"path": _UPDATES, "content": _text(templates, _UPDATES), **_EFFECT},
            *({"path": path, "content": text} for path, text in public.items()),
            *({"path": path, "secret": True, "mode": "0600"} for path in secrets),
            *({"path": f"{_UNITS}/{unit}", "content": text, **_EFFECT} for unit, text in units.items()),
        ],
        "secrets": dict(secrets),
        "directories": [{"path": DIRECTORY, "only": True}, {"path": STATE, "mode": "0700"}],
        "programs": ["haproxy"],
        "validate": [_KEEPER, "try"],
        "unit": DOOR,
        "opening": dict(opening or {"name": OPENING}),
        "selinux": {**SELINUX, "manage": labelled},
    }


def let_in(settings: Settings, peers: Sequence[str], managed: bool) -> Arguments:
    """The door as the host's firewall must know it: its port for everybody, and with a floating address the other gateways."""
    listens = settings.address
    inside = is_loopback(listens)
    return {
        "name": OPENING,
        "ports": [] if inside else [settings.port],
        "peers": list(peers) if settings.floating_address else [],
        "manage": managed,
    }


def keepalived(text: str = "", templates: Path | None = None) -> Arguments:
    """The floating address, with the configuration `text`; without one, a set to be removed."""
    unit, check = (
        (_template(templates, f"{_UNITS}/{FLOATING}"), _text(templates, _CHECK)) if templates is not None else ("", "")
    )
    return {
        "files": [
            {"path": _CHECK, "content": check, "mode": "0755"},
            {"path": KEEPALIVED, "content": text},
            {"path": f"{_UNITS}/{FLOATING}", "content": unit, "effect": "restart"},
        ],
        "programs": ["keepalived"],
        # No trial: 2.2.7, Debian 12's, ends itself on --config-test (acassen/keepalived issue 2587).
        "unit": FLOATING,
    }


def renewal(path: str = "", templates: Path | None = None) -> Arguments:
    """What reloads HAProxy when somebody else renews the certificate at `path` of the gateway; without one, a set that goes."""
    if templates is None:
        texts = dict.fromkeys((RENEWED, RENEWAL), "")
    else:
        made = environment(templates)
        texts = {
            unit: made.get_template(f"{_UNITS.lstrip('/')}/{unit}.j2").render(mark=MARK, path=quoted_path(path))
            for unit in (RENEWED, RENEWAL)
        }
    effects = {RENEWED: "restart", RENEWAL: "none"}
    return {
        "files": [
            {"path": f"{_UNITS}/{unit}", "content": text, "effect": effects[unit]} for unit, text in texts.items()
        ],
        "unit": RENEWED,
    }


def quoted_path(path: str) -> str:
    """A path as systemd takes it in a setting: `%` begins one of its specifiers."""
    return path.replace("%", "%%")


def merged(*requests: Arguments) -> Arguments:
    """Several sets that are to go, as one: its units are all those that have a file in it."""
    return {"files": [file for request in requests for file in request["files"]]}


def absent(request: Arguments) -> Arguments:
    """A set as one that is to go, with all that lies in its directories, and that of locks where it is empty."""
    directories = [{**directory, "only": True} for directory in request.get("directories", [])]
    if directories:
        directories += [{"path": RUN, "only": True}, {"path": LOCKS}]
        # Where needrestart's package has not made them.
        directories += [
            {"path": path} for path in (os.path.dirname(_UPDATES), os.path.dirname(os.path.dirname(_UPDATES)))
        ]
    return {**request, "state": "absent", "directories": directories, "programs": [], "validate": []}


def _text(templates: Path, path: str) -> str:
    return (templates / path.lstrip("/")).read_text()


def _template(templates: Path, path: str) -> str:
    return environment(templates).get_template(f"{path.lstrip('/')}.j2").render(mark=MARK)
