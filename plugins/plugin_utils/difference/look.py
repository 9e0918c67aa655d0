"""The look at one host as it comes back: whole, of this version and of that host, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import one_line
from ansible_collections.baremetal.vllm.plugins.module_utils.look.form import SCHEMA
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.answer import HostAnswer

# What a look holds that was read at a host that is a gateway alone, and what that at any other holds.
OF_GATEWAY = ("filesets", "gateway", "holder")
PARTS = (
    "steps",
    "units",
    "endpoints",
    "generation",
    "canary",
    "upkeep",
    "files",
    "unread",
    *OF_GATEWAY,
    "doubts",
    "engine",
    "weights",
    "weights_files",
    "gpus",
    "answers",
    "refusals",
    "whole",
)
READ, FAILED, UNREACHABLE = "read", "failed", "unreachable"


def read_look(host: str, found: Mapping[str, Any] | None, parts: Sequence[str] = PARTS) -> HostAnswer:
    """What module host_state said of a host, with `status` and, where it is not `READ`, `why`. `parts`: what must be in it.

    A look that lacks a part, is of another version of the collection, or is of another host, is none: it failed.
    """
    look = dict(found or {})
    if look.get("unreachable"):
        return {"status": UNREACHABLE, "why": one_line(str(look.get("msg", "")))}
    if "status" not in look:
        return {"status": FAILED, "why": one_line(str(look.get("msg", "it was not asked")))}
    if look["status"] != READ:
        return cast("HostAnswer", look)
    if look.get("schema") != SCHEMA:
        return _none(f"its look has the form {look.get('schema')}, and this collection reads {SCHEMA}: look again")
    if look.get("host") != host:
        return _none(f"its look is of another host ({look.get('host')}): look again")
    lacks = [part for part in parts if part not in look]
    if lacks:
        return _none(f"its look is not whole (it lacks {', '.join(lacks)}): look again")
    return cast("HostAnswer", look)


def _none(why: str) -> HostAnswer:
    return {"status": FAILED, "why": why}
