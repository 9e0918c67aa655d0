"""One host's part in a wave: says what it gives, starts, follows, ends. Steps of baremetal.vllm.fan_out, which documents them.

Nothing here fails a host: what is not brought from host to host comes in the ordinary way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import one_line
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.selection import in_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action, lost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.fanout_share import (
    OF_WAVE,
    contents_of,
    result_of_step,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import follow, ticking
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import Step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Variables
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.progress import clock

# Seconds that a host is asked to wait for news; each question costs a round trip.
_PATIENCE = 10.0
_NOT_HERE: Result = {"skipped": True, "changed": False}


def describe(action: Action, given: Arguments, variables: Variables) -> Result:
    """The first of those that have a content says by which name all know it."""
    content = _own(action, given, variables)
    if content is None or action.host != content["givers"][0]:
        return _NOT_HERE
    with ticking(f"{action.host}: {content['name']}, reads what it gives"):
        answer = _ask(action, {"step": "describe", "path": content["path"]})
    return {"changed": False, "digest": answer.get("digest", ""), "why": answer.get("why", "")}


def start(action: Action, given: Arguments, variables: Variables) -> Result:
    """Start the host's agent, with whom to ask and whom to let in."""
    content = _own(action, given, variables)
    if content is None:
        return _NOT_HERE
    giver = content["givers"][0]
    described = result_of_step(variables, giver, given["results"], "describe")
    if not described.get("digest"):
        why = described.get("why") or "it could not be asked"
        return {"changed": False, "begun": False, "why": f"{giver} has nothing to give: {why}"}
    part = content["parts"][action.host]
    answer = _ask(
        action,
        {
            "step": "start",
            "order": {
                "name": action.host,
                "content": described["digest"],
                "target": content["path"],
                "listen": part["listen"],
                "port": part["port"],
                "bounds": {**content["bounds"], **given["bounds"]},
            },
            "credential": given["credential"],
            "peers": part["peers"],
            **({"neighbours": part["neighbours"]} if part["neighbours"] else {}),
        },
    )
    # `unreachable` would end the host's part in the whole run.
    begun = "status" in answer
    status = answer.get("status", {})
    why = answer.get("why") or status.get("problem") or ""
    return {"changed": False, "begun": begun, "lost": bool(why), "why": why, "digest": described["digest"]}


def watch(action: Action, given: Arguments, variables: Variables) -> Result:
    """Follow a host that takes content until it has it, or will not get it."""
    content = _own(action, given, variables)
    started = result_of_step(variables, action.host, given["results"], "start")
    if content is None or action.host not in content["receivers"] or not started.get("begun") or started["lost"]:
        return _NOT_HERE
    begun = time.monotonic()

    def show(status: Result, quiet: bool) -> bool:
        if quiet and status.get("size"):
            action.show(f"{content['name']}: {progress(status)}, {clock(time.monotonic() - begun)}")
        return quiet

    status = follow(_statuses(action, started["digest"]), show)
    whole = is_whole(status)
    why = "" if whole else status.get("problem") or "its agent ended before all was there"
    size, seconds = int(status.get("size") or 0), time.monotonic() - begun
    return {"changed": whole, "whole": whole, "why": one_line(str(why)), "size": size, "seconds": round(seconds, 1)}


def end(action: Action, given: Arguments, variables: Variables) -> Result:
    """End the host's agent, and close its port; a part of the content goes where the rest did not come."""
    content = _own(action, given, variables)
    started = result_of_step(variables, action.host, given["results"], "start")
    if content is None or not started.get("begun"):
        return _NOT_HERE
    gone = action.host in content["receivers"] and not result_of_step(
        variables, action.host, given["results"], "follow"
    ).get("whole")
    path = {"path": content["path"]} if gone else {}
    answer = _ask(action, {"step": "end", "content": started["digest"], **path})
    return {"changed": False, "why": answer.get("why", "")}


def progress(status: Mapping[str, Any]) -> str:
    """How far a host is, from whom, as a clause."""
    there = int(status.get("had") or 0) + int(status.get("received") or 0)
    rate, whom = float(status.get("rate") or 0), status.get("neighbour")
    words = [f"{in_units(there)} of {in_units(int(status['size']))}"]
    return ", ".join(words + ([f"{in_units(rate)}/s"] if rate else []) + ([f"from {whom}"] if whom else ["waits"]))


def is_whole(status: Mapping[str, Any]) -> bool:
    """Whether all of it is there; an agent that has it, and that nobody asks any more, has ended by itself."""
    return status.get("state") == "whole" or (status.get("state") == "ended" and not status.get("problem"))


def _statuses(action: Action, digest: str) -> Iterator[Result]:
    while True:
        answer = _ask(action, {"step": "follow", "content": digest, "patience": _PATIENCE})
        status: Result = answer.get("status") or {"state": "none", "problem": answer.get("why", "")}
        yield status
        if status.get("state") in ("whole", "ended", "failed", "none"):
            return


def _own(action: Action, given: Arguments, variables: Variables) -> Result | None:
    """The content of the wave in which this host takes part."""
    for content in contents_of(variables, given):
        if action.host in content["parts"]:
            found: Result = {**content, "parts": {action.host: content["parts"][action.host]}}
            return dict(plain(found))
    return None


def _ask(action: Action, arguments: Arguments) -> Result:
    """The module's answer; `why` where there is none, or it failed."""
    try:
        answer = action.ask_host("fan_out", arguments)
    except AnsibleConnectionFailure as error:
        return {"why": one_line(str(error))}
    if lost(answer):
        return {"why": one_line(str(answer.get("msg", "the host did not answer")))}
    return answer


_START = {
    **OF_WAVE,
    "credential": {"type": "str", "required": True, "no_log": True},
    "bounds": {"type": "dict", "default": {}},
}
DESCRIBE, START, FOLLOW, END = Step(OF_WAVE, describe), Step(_START, start), Step(OF_WAVE, watch), Step(OF_WAVE, end)
