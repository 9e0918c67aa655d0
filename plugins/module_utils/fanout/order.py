"""What the control node orders of one member: which content, where to, whom to ask, within which bounds.

All of it lies in one folder below /run that only root may enter; so does what the agent answers.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.choice import Neighbour
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values

_SHA256 = re.compile("[0-9a-f]{64}")
# Of the bounds, what is counted in whole ones.
_WHOLE = ("receivers", "rate", "floor")


class OrderError(ValueError):
    """An order that nobody can carry out; names the keys and what they should be, one line each."""


@dataclass(frozen=True)
class Bounds:
    """What one member may do, and for how long.

    receivers: how many others it sends to at once
    rate:      bytes a second that it sends at most, 0 for no bound
    silence:   seconds without a word after which the other side of a connection is dead
    wait:      seconds that a question for a chunk that is not there yet may last
    window:    seconds between two looks at whether another neighbour would be faster
    floor:     bytes a second under which a neighbour is slow, whatever others do
    give_up:   seconds without a chunk after which nobody is asked any more
    lease:     seconds without a word of the control node, and without a byte in or out, after which all ends
    """

    receivers: int = 2
    rate: int = 0
    silence: float = 10
    wait: float = 20
    window: float = 10
    floor: int = 1 << 20
    give_up: float = 300
    lease: float = 300


@dataclass(frozen=True)
class Order:
    """`name` is the member's, `content` the SHA-256 of the manifest, `target` the absolute path that the content gets; `listen`
    is the address and `port` (0: any that is free) where it sends from."""

    name: str
    content: str
    target: str
    listen: str = "0.0.0.0"  # noqa: S104 - the firewall opens the port for members, and TLS takes nobody else
    port: int = 0
    bounds: Bounds = field(default_factory=Bounds)


def read_order(data: Values) -> Order:
    """The order from its JSON form. Raises OrderError with all that is wrong."""
    wrong = [f"{key}: no such key" for key in sorted(set(data) - {each.name for each in fields(Order)})]
    name, content, target = (data.get(key) for key in ("name", "content", "target"))
    if not isinstance(name, str) or not 0 < len(name.encode("utf-8", "replace")) <= 255:
        wrong.append(f"name: {name!r} is no name of a host")
    if not isinstance(content, str) or not _SHA256.fullmatch(content):
        wrong.append(f"content: {content!r} is not the SHA-256 of a manifest (64 hexadecimal digits)")
    if not isinstance(target, str) or not target.startswith("/") or os.path.normpath(target) != target or target == "/":
        wrong.append(f"target: {target!r} is not an absolute, plain path")
    port = data.get("port", 0)
    if type(port) is not int or not 0 <= port < 65536:
        wrong.append(f"port: {port!r} is no port (0 for any that is free)")
    given = data.get("bounds", {})
    known = [each.name for each in fields(Bounds)]
    for key, value in given.items() if isinstance(given, Mapping) else [("", given)]:
        if key not in known:
            wrong.append(f"bounds.{key}: no such key; known are {', '.join(known)}")
        elif (
            isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0 or (not value and key != "rate")
        ):
            wrong.append(f"bounds.{key}: {value!r} is no number above 0")
        elif key in _WHOLE and value != int(value):
            wrong.append(f"bounds.{key}: {value!r} is no whole number")
    if wrong or not isinstance(given, Mapping):
        raise OrderError("\n".join(wrong))
    whole: dict[str, Any] = {key: int(value) if key in _WHOLE else float(value) for key, value in given.items()}
    listen = str(data.get("listen") or Order.listen)
    return Order(str(name), str(content), str(target), listen, int(str(port)), Bounds(**whole))


def read_neighbours(data: object) -> tuple[Neighbour, ...]:
    """A list of neighbours from its JSON form, nearest first. Raises OrderError with all that is wrong."""
    wrong, found = [], []
    for number, each in enumerate(data) if isinstance(data, list) else [(0, data)]:
        given = each if isinstance(each, Mapping) else {}
        name, address, port, later = (given.get(key) for key in ("name", "address", "port", "later"))
        texts = isinstance(name, str) and isinstance(address, str) and name and address
        if not texts or type(port) is not int or not 0 < port < 65536 or not isinstance(later, (bool, type(None))):
            wrong.append(f"neighbours[{number}]: {each!r} has not a name, an address and a port")
            continue
        found.append(Neighbour(str(name), str(address), port, bool(later)))
    if wrong:
        raise OrderError("\n".join(wrong))
    return tuple(found)


@dataclass(frozen=True)
class RunFolder:
    """The files of one member's run."""

    path: Path

    @property
    def order(self) -> Path:
        """What is ordered; written once, before the agent starts."""
        return self.path / "order.json"

    @property
    def credential(self) -> Path:
        """The run's certificate and key; the agent removes it as soon as it has read it."""
        return self.path / "credential.pem"

    @property
    def neighbours(self) -> Path:
        """Whom to ask; replaced whole, at any time."""
        return self.path / "neighbours.json"

    @property
    def lease(self) -> Path:
        """Its time of change is when the control node was last heard of."""
        return self.path / "lease"

    @property
    def end(self) -> Path:
        """Once it is there, the agent ends."""
        return self.path / "end"

    @property
    def status(self) -> Path:
        """What the agent tells; replaced whole."""
        return self.path / "status.json"

    @property
    def log(self) -> Path:
        """What it prints where something is wrong with it."""
        return self.path / "log"

    def write_order(self, order: Order) -> None:
        """Write the order. Raises OSError."""
        replace(self.order, json.dumps(asdict(order)))

    def write_neighbours(self, neighbours: Sequence[Neighbour]) -> None:
        """Write the list of neighbours. Raises OSError."""
        replace(self.neighbours, json.dumps([each._asdict() for each in neighbours]))

    def heard(self) -> None:
        """The control node was here. Raises OSError."""
        self.lease.touch(mode=0o600)


def replace(path: Path, text: str) -> None:
    """Write a file of root's whole, so that whoever reads it reads the one before or this one. Raises OSError."""
    draft = path.with_name(f".{path.name}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    draft.replace(path)
