"""Lines that tell a person how far a download is. Control node only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.weights.selection import in_units


class Fetching(TypedDict):
    """One model in the status of the download process: how many bytes of how many are `done`, and `state`, what it is at."""

    path: str
    repo: str
    state: str
    done: int
    total: int


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Meter:
    """Turns successive statuses of the download process into lines; says nothing where nothing moved, unless asked."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.last = ""
        self.before: dict[str, tuple[float, int]] = {}

    def line(self, items: Sequence[Fetching], now: float, elapsed: float, always: bool = False) -> str:
        """One line on the model that is at work, or an empty string: where nothing moved, and not `always`.

        `now` in seconds, of any clock that only grows.
        """
        at_work = [item for item in items if item["state"] in ("listing", "fetching", "checking", "interrupted")]
        if not at_work:
            return ""
        item = at_work[0]
        then, done = self.before.get(item["path"], (now, item["done"]))
        speed = (item["done"] - done) / (now - then) if now > then else 0.0
        self.before[item["path"]] = (now, item["done"])
        place = f" ({items.index(item) + 1} of {len(items)})" if len(items) > 1 else ""
        what = f"{item['state']} {in_units(item['done'])} of {in_units(item['total'])}"
        if item["state"] == "listing":
            what = "listing its files"
        if what == self.last and not always:
            return ""
        self.last = what
        rate = f", {in_units(speed)}/s" if speed > 0 and item["state"] == "fetching" else ""
        return f"{self.host} | {item['repo']}{place}: {what}{rate}, {clock(elapsed)}"
