"""Whose a process is, by its control group: the systemd unit, and the container where it runs in one.

What runtimes name their groups: docker and podman with systemd `docker-<id>.scope` and `libpod-<id>.scope`, without it
`/docker/<id>` (Docker's documentation, "Runtime metrics"; containers/podman, libpod/container_linux.go); Kubernetes
`cri-containerd-<id>.scope` or `crio-<id>.scope` below `kubepods…-pod<uid>.slice`, or `/kubepods/…/pod<uid>/<id>`
(kubernetes, pkg/kubelet/cm/cgroup_manager_linux.go); LXC `lxc.payload.<name>` or `/lxc/<name>`; systemd-nspawn
`systemd-nspawn@<name>.service` or `machine-<name>.scope`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = r"(?P<id>[0-9a-f]{64})"
# Runtime and pattern, the narrower ones first. A group `name` holds what people call the container.
_PATTERNS = tuple(
    (runtime, re.compile(pattern))
    for runtime, pattern in (
        (
            "kubernetes",
            rf"kubepods.*[-/]pod(?P<name>[0-9a-f_-]{{32,36}})(?:\.slice)?/(?:[a-z-]+-)?{_ID}(?:\.scope)?(?:/|$)",
        ),
        ("docker", rf"/docker[-/]{_ID}(?:\.scope)?(?:/|$)"),
        ("podman", rf"/libpod-{_ID}(?:\.scope)?(?:/|$)"),
        ("containerd", rf"/(?:nerdctl|cri-containerd)-{_ID}(?:\.scope)?(?:/|$)"),
        ("cri-o", rf"/crio-{_ID}(?:\.scope)?(?:/|$)"),
        ("lxc", r"/lxc(?:\.payload)?[./](?P<name>[^/]+)"),
        ("systemd-nspawn", r"/systemd-nspawn@(?P<name>[^/]+)\.service(?:/|$)"),
        ("machine", r"/machine\.slice/machine-(?P<name>[^/]+)\.scope(?:/|$)"),
        ("container", rf"/{_ID}(?:\.scope)?(?:/|$)"),
    )
)
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


@dataclass(frozen=True)
class Place:
    """`unit` is the innermost service or scope ("vllm-qwen.service", "session-3.scope"), "" outside of any; `runtime`
    names the kind of container ("docker", "kubernetes", …), "" outside of one; `container` its whole id where it has
    one, `name` what the group itself calls it (the pod's UID, the machine's name)."""

    unit: str = ""
    runtime: str = ""
    container: str = ""
    name: str = ""


def place(text: str) -> Place:
    """What `/proc/<pid>/cgroup` says: lines of `number:controllers:path`. Any text will do."""
    rows = [line.split(":", 2) for line in text.splitlines() if line.count(":") >= 2]
    # Every controller of version 1 has its path; units are named by systemd's own and by version 2, whichever systemd uses.
    named = [row[2] for row in rows if row[1] in ("name=systemd", "")]
    found = next(filter(None, map(_container, [*named, *(row[2] for row in rows)])), Place())
    unit = next(filter(None, map(_unit, named)), "")
    return Place(unit, found.runtime, found.container, found.name)


def _container(path: str) -> Place | None:
    for runtime, pattern in _PATTERNS:
        match = pattern.search(path)
        if match:
            given = match.groupdict()
            name = given.get("name") or ""
            # A pod's UID has `_` for `-` in the name of a slice.
            name = name.replace("_", "-") if runtime == "kubernetes" else _plain(name)
            return Place(runtime=runtime, container=given.get("id") or "", name=name)
    return None


def _unit(path: str) -> str:
    parts = [part for part in path.split("/") if part.endswith((".service", ".scope"))]
    return _plain(parts[-1]) if parts else ""


def _plain(name: str) -> str:
    """A name without systemd's escapes: `\\x2d` is `-`."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), name)
