"""A unit as it is planned: the control node renders it, the host completes it, runs it and keeps it in its generations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import stated_digest

# The first line of every unit of ours, by which units that are no longer planned are known.
MARK = "# Managed by baremetal.vllm"
# Addresses to listen on and not to connect to, with those to reach them from the host itself.
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (recognised, not bound)


class ProvedBy(TypedDict):
    """What a unit's endpoint is proved by, in the plan's JSON form, as endpoint_check takes it.

    `prove` is the form of `Proofs` (plugins/plugin_utils/planned/service.py), of the release that planned the unit.
    """

    name: str
    unit: str
    kind: str
    address: str
    port: int
    served_names: list[str]
    prove: Mapping[str, object]


@dataclass(frozen=True)
class PlannedUnit:
    """A unit that shall run: its text, and the digest of all that its process depends on, which it must have been started with.

    `service` is what its endpoint is proved by, None where that is not known.
    """

    unit: str
    text: str
    digest: str
    name: str = ""
    release: str = ""
    weights: str = ""
    revision: str = ""
    service: ProvedBy | None = None

    def changed_to(self, text: str) -> PlannedUnit:
        """The same unit with another text, and the digest that this text states."""
        return self if text == self.text else replace(self, text=text, digest=stated_digest(text))


def as_dict(unit: PlannedUnit) -> dict[str, object]:
    """A unit's JSON form, as the module model_service takes it among its `units`: `PlannedUnit(**form)` is the unit again."""
    return asdict(unit)
