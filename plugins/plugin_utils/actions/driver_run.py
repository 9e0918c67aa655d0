"""Runs a host's driver commands one after the other, showing each: step of baremetal.vllm.driver."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.causes import cause, stage
from ansible_collections.baremetal.vllm.plugins.module_utils.host import proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action, lost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import follow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result

# Lines of a failed command that are shown beside its cause.
SHOWN = 12


class Run:
    """Several module calls for each command, made by `action`."""

    def __init__(self, action: Action) -> None:
        self._action = action

    def run(self) -> Result:
        """Return the titles of the commands; failed with the end of the log where one of them failed."""
        given = self._action.given
        commands = given.get("commands", [])
        self._proxy = {key: given[key] for key in proxy.ARGUMENTS if given.get(key)}
        result: Result = {"changed": bool(commands), "commands": [command["title"] for command in commands]}
        told = []
        for command in commands:
            if self._action._task.check_mode:
                told += self._simulated(command)
                continue
            failed = self._carried_out(command)
            if failed and not command.get("optional"):
                return {**result, "failed": True, **failed}
        if self._action._task.diff and commands:
            text = told or [f"{command['title']}: {' '.join(command['argv'])}" for command in commands]
            result["diff"] = {
                "before": "",
                "after": "\n".join([*text, ""]),
                "after_header": f"commands on {self._action.host}",
            }
        return result

    def _module(self, **arguments: object) -> Result:
        return self._action.ask_host("driver", {"step": "run", **arguments})

    def _simulated(self, command: Arguments) -> list[str]:
        lines = [f"{command['title']}: {' '.join(command['argv'])}"]
        if command.get("simulate"):
            said = self._module(phase="simulate", argv=command["simulate"])
            # apt -s says much beside what it would do.
            lines += [f"  {line}" for line in said.get("lines", []) if line.startswith(("Inst ", "Remv ", "E: "))]
        return lines

    def _carried_out(self, command: Arguments) -> Result:
        """Start a command and watch it to its end; {} when it went well, else `msg` and `rc`."""
        title, begun = command["title"], time.monotonic()
        self._show(title, begun)
        started = self._module(phase="start", title=title, argv=command["argv"], **self._proxy)
        if lost(started):
            return {"msg": f"{title}: {started.get('msg', started)}", **started}
        if started.get("busy"):
            return {
                "msg": f"{title}: another run is at work on this host ({started['busy']}). Run again when it has ended"
            }
        lines: deque[str] = deque(maxlen=2000)

        def show(seen: Result, quiet: bool) -> bool:
            new = seen.get("lines", [])
            lines.extend(new)
            news = [text for text in map(stage, new) if text]
            if news or quiet:
                self._show(news[-1] if news else title, begun)
            return bool(news or quiet)

        seen = follow(self._looks(started["offset"]), show)
        if "done" not in seen:
            return {"msg": f"{title}: lost sight of it ({seen.get('msg', seen)}). Run again: it goes on by itself"}
        if not seen["rc"]:
            return {}
        last = "\n".join(f"    {line}" for line in [*lines][-SHOWN:])
        text = f"{title} failed (status {seen['rc']}): {cause([*lines])}. The whole log is /var/log/vllm-driver.log; its end:"
        return {"msg": f"{text}\n{last}", "rc": seen["rc"]}

    def _looks(self, begin: int) -> Iterator[Result]:
        """What is seen of the command until it has ended, or cannot be seen any more: no `done` then."""
        seen: Result = {"offset": begin, "done": False}
        while not seen.get("done", True):
            seen = self._module(phase="watch", offset=seen["offset"], begin=begin)
            yield seen

    def _show(self, text: str, begun: float) -> None:
        self._action.show(text, time.monotonic() - begun)
