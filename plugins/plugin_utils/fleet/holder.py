"""Who changes the fleet: this run as the lock's record names it, beside the holder that a keeper names."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.gateway import lock
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.process import start_of, this_run, this_user

Record = Mapping[str, Any]


def record(what: str) -> dict[str, Any]:
    """This run, doing `what`, as module_utils/gateway/lock.py documents a record."""
    run = this_run()
    return {
        "id": run.identity,
        "who": this_user(),
        "what": what,
        "since": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "pid": run.pid,
        "started": run.started,
        "node": run.node,
        "boot": run.boot,
    }


def own(holder: Record, mine: Record) -> bool:
    """Whether a holder is the run of `mine`."""
    return bool(holder.get("id") == mine["id"])


def ended(holder: Record, mine: Record) -> bool:
    """Whether the holder's process is known to be gone: on this control node alone that can be known."""
    started = start_of(int(holder["pid"])) if str(holder.get("pid", "")).isdecimal() else None
    return lock.dead(holder, mine, started)


def stands_aside(holder: Record, take_over: str) -> bool:
    """Whether a holder is nobody that this run has to wait for: itself, one that has ended, or the one of the id `take_over`."""
    mine = record("")
    return own(holder, mine) or ended(holder, mine) or holder.get("id") == take_over
