"""Waiting until the engines of a host have no request left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, NoAnswer
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.load import Load, read_load
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.smallest import ask_one

# Seconds: between two looks; for one look; for which numbers stand still before they are doubted; for a request that
# makes the engine count anew.
PAUSE, LOOK, STILL, NUDGE = 0.5, 3.0, 2.0, 3.0


@dataclass(frozen=True)
class EndpointSight:
    """One endpoint as seen once: its load, or why it is not known; `gone`: nobody listens."""

    load: Load | None
    told: str = ""
    gone: bool = False

    @property
    def idle(self) -> bool:
        """Whether it works on nothing and has nothing waiting; so does one that is gone. Unknown load is not idle."""
        return self.gone or (self.load is not None and self.load.requests == 0)


def look(client: Client) -> EndpointSight:
    """One endpoint's load by its /metrics; where that cannot be had, the reason in the sight's `told`."""
    try:
        reply = client.get("/metrics")
    except NoAnswer as none:
        return EndpointSight(None, none.observed, gone="refused" in none.observed)
    load = read_load(reply.body.decode(errors="replace")) if reply.status == 200 else None
    return EndpointSight(load, "" if load else f"/metrics tells no number of requests ({reply})")


class Endpoint:
    """One endpoint while it is waited for."""

    def __init__(self, service: Service, key: str | None) -> None:
        self.service = service
        self.client = Client(service.host, service.port, key, LOOK)
        self.sight = EndpointSight(None, "not looked at")
        self.since = 0.0
        self.seconds = 0.0

    def look(self, began: float, nudge: bool) -> None:
        """See how it stands now; where its numbers stand still, have it count anew first."""
        now = time.monotonic()
        before, self.sight = self.sight, look(self.client)
        if self.sight.load != before.load:
            self.since = now
        elif nudge and self.sight.load is not None and not self.sight.idle and now - self.since >= STILL:
            self.since = now
            try:
                ask_one(Client(self.service.host, self.service.port, self.client.key, NUDGE), self.service)
                self.sight = look(self.client)
            except NoAnswer:
                pass
        if not (before.idle and self.sight.idle):
            self.seconds = time.monotonic() - began

    def told(self) -> dict[str, object]:
        """Its JSON form: requests, whether it is idle, the seconds until it was, and why the load is unknown."""
        load = self.sight.load or Load(0, 0, ())
        return {
            "running": load.running,
            "waiting": load.waiting,
            "idle": self.sight.idle,
            "seconds": round(self.seconds, 1),
            "told": self.sight.told,
        }


def wait(services: Sequence[Service], bound: float, key: str | None) -> dict[str, dict[str, object]]:
    """Each unit as last seen, once all are idle or after `bound` seconds; with 0 they are looked at once and asked nothing."""
    began = time.monotonic()
    endpoints = [Endpoint(service, key) for service in services]
    with ThreadPoolExecutor(max_workers=max(1, len(endpoints))) as pool:
        while True:
            # All of them each time: what was idle may have been given something again.
            list(pool.map(_looking(began, bound > 0), endpoints))
            if all(endpoint.sight.idle for endpoint in endpoints) or time.monotonic() - began >= bound:
                return {endpoint.service.unit: endpoint.told() for endpoint in endpoints}
            time.sleep(PAUSE)


def _looking(began: float, nudge: bool) -> Callable[[Endpoint], None]:
    return lambda endpoint: endpoint.look(began, nudge)
