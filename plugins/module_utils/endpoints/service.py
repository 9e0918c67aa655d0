"""What is to be proved: one planned service and the promises of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import KINDS
from ansible_collections.baremetal.vllm.plugins.module_utils.text.address import with_port

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1", "[::]": "::1"}  # noqa: S104 (recognised, not bound)


@dataclass(frozen=True)
class Prove:
    """What the plan wants shown, beyond the kind itself.

    `meaning` is false for models with random weights, whose answers cannot make sense; `max_model_len` is in tokens and
    None where the plan leaves it to the engine; `outside` names the option that makes its engine exchange data with other
    hosts, "" for none, None where nobody says.
    """

    key: bool = False
    tools: bool = False
    reasoning: bool = False
    adapters: tuple[str, ...] = ()
    max_model_len: int | None = None
    meaning: bool = True
    structured: bool = True
    outside: str | None = None


@dataclass(frozen=True)
class Service:
    """One endpoint: the address it binds, the names clients use, what it must prove."""

    name: str
    kind: str
    port: int
    address: str = "127.0.0.1"
    served_names: tuple[str, ...] = ()
    unit: str = ""
    prove: Prove = Prove()

    @property
    def host(self) -> str:
        """The address to connect to: a wildcard is reached over loopback."""
        return _LOOPBACK.get(self.address, self.address).strip("[]")

    @property
    def url(self) -> str:
        """Where to connect, without a path: `http://127.0.0.1:8000`."""
        return f"http://{with_port(self.host, self.port)}"

    @property
    def model(self) -> str:
        """The name under which requests ask for the model."""
        return self.served_names[0] if self.served_names else self.name

    @property
    def generates(self) -> bool:
        """Whether its kind answers with text, token by token."""
        return KINDS[self.kind].chats


class Invalid(ValueError):
    """Parameters that cannot be used; `problems` has one line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


def parse_services(items: Sequence[Mapping[str, object]]) -> list[Service]:
    """Read the plan's `services`; keys that only other roles need are left aside.

    Raises:
        Invalid: naming every unusable value at once.
    """
    problems: list[str] = []
    services = [_service(item, f"services[{number}]", problems) for number, item in enumerate(items)]
    if problems:
        raise Invalid(problems)
    return services


def _service(item: Mapping[str, object], where: str, problems: list[str]) -> Service:
    name = str(item.get("name") or "")
    if not name:
        problems.append(f"{where}.name is missing: write the name under which clients ask for the model")
    else:
        where = f"{where} ({name})"
    prove: Any = item.get("prove") or {}
    names: Any = item.get("served_names") or (name,)
    if not isinstance(prove, Mapping):
        problems.append(f"{where}.prove is {prove!r}, not a mapping")
        prove = {}
    kind = str(prove.get("kind") or item.get("kind") or "")
    if kind not in KINDS:
        problems.append(f"{where}.kind is {kind!r}, not one of {', '.join(KINDS)}")
    port = _whole(item.get("port"))
    if port is None or not 0 < port < 65536:
        problems.append(f"{where}.port is {item.get('port')!r}, not a port number from 1 to 65535")
    length = prove.get("max_model_len")
    if length is not None and _whole(length) is None:
        problems.append(f"{where}.prove.max_model_len is {length!r}, not a number of tokens")
    return Service(
        name=name,
        kind=kind,
        port=port or 0,
        address=str(item.get("address") or ""),
        served_names=tuple(str(served) for served in names),
        unit=str(item.get("unit") or ""),
        prove=Prove(
            key=_flag(prove.get("key", False)),
            tools=_flag(prove.get("tools", False)),
            reasoning=_flag(prove.get("reasoning", False)) or kind == "reasoning",
            adapters=tuple(str(adapter) for adapter in prove.get("adapters") or ()),
            max_model_len=_whole(length),
            meaning=_flag(prove.get("meaning", True)),
            structured=_flag(prove.get("structured", True)),
            outside=None if prove.get("outside") is None else str(prove["outside"]),
        ),
    )


def _flag(value: bool | str | int | None) -> bool:
    """Truth as Ansible writes it: role arguments are validated but not converted, so a flag may arrive as text."""
    return value.strip().lower() in ("true", "yes", "on", "1", "y", "t") if isinstance(value, str) else bool(value)


def _whole(value: Any) -> int | None:
    try:
        return None if value is None or isinstance(value, bool) else int(value)
    except (TypeError, ValueError):
        return None
