"""The releases that the fleet runs, and what the catalogue knows of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release, releases
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import DeclaredHost


def known_releases(hosts: Sequence[DeclaredHost], unchecked: Any, problems: Problems) -> dict[str, Release | None]:
    """Facts of every release that a host shall run; None for those that the operator chose to run unchecked.

    `unchecked` is `vllm_unchecked_releases`: a list of releases whose `args` are taken as written.
    """
    skipped = _read_unchecked(unchecked, problems)
    found: dict[str, Release | None] = {}
    for host in hosts:
        if host.release in skipped:
            found[host.release] = None
            problems.warn(
                f"vllm_unchecked_releases.{host.release}",
                f"no option of vLLM {host.release} on {HOSTS} is checked before it starts",
                "Leave the release out as soon as the catalogue knows it",
                host.name,
            )
            continue
        if host.release not in found:
            found[host.release] = release(host.release)
        if found[host.release] is None:
            problems.add(
                "vllm_version",
                f"the catalogue of options does not know vLLM {host.release} ({HOSTS}); it knows {', '.join(releases())}",
                f"Run one of these, add it (`make catalogue RELEASE={host.release}` in a checkout of this collection), or go on "
                f'without checks: vllm_unchecked_releases: ["{host.release}"]',
                host.name,
            )
    return found


def _read_unchecked(given: Any, problems: Problems) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, (list, tuple)) and all(isinstance(item, str) for item in given):
        return tuple(given)
    problems.add("vllm_unchecked_releases", f"{given!r} is not a list of releases", 'Write a list: ["0.34.0"]')
    return ()
