"""Filters of the playbook in which hosts bring content to each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.filter.fleet import NOBODY

_HERE = "host"


def sharing_hosts(
    planned: Mapping[str, Any], group: str, weights_from: str = "hosts", lacking: Sequence[str] | None = None
) -> str | list[str]:
    """The fleet's `group` where a host could bring something to another one, else nobody; as the pattern of a play.

    `planned` is what module plan returned, {} before it ran; `weights_from` is `upstream` where nobody is to; `lacking` are
    the hosts that lack something, None where nobody knows.
    """
    hosts = (planned.get("plan") or {}).get("hosts", {})
    if weights_from == "upstream" or not hosts or lacking == []:
        return NOBODY
    needed = {host: set(_needed(part)) for host, part in hosts.items()}
    times = Counter(content for contents in needed.values() for content in contents)
    asking = hosts if lacking is None else [host for host in lacking if host in hosts]
    return group if any(times[content] > 1 for host in asking for content in needed[host]) else NOBODY


def lacking_hosts(difference: Mapping[str, Any]) -> list[str]:
    """The hosts whose engine or weights differ; `difference` is what module report (subject difference) returned, or {}."""
    topics = difference.get("topics", {})
    return sorted({*topics.get("engine", ()), *topics.get("weights", ())})


def _needed(part: Mapping[str, Any]) -> Iterator[str]:
    """What a host's plan has that another host could bring it."""
    if part.get("engine"):
        yield f"{part['engine']['path']} {part['engine']['accelerator']}"
    yield from (item["path"] for item in part.get("weights", ()) if item["source"] != _HERE)


class FilterModule:
    """Filters by name."""

    def filters(self) -> dict[str, object]:
        return {"sharing_hosts": sharing_hosts, "lacking_hosts": lacking_hosts}
