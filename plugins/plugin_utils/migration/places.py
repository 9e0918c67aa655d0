"""What a container's inside is on the host: directories behind mounts, published ports, GPUs by index."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.start import Mount, Start

_INDICES = re.compile(r"\d+(,\d+)*,?")
# The server's own.
_PORT = 8000


class Places:
    """Paths of a start's container as the host has them. `notes`: what was changed, and what cannot be."""

    def __init__(self, start: Start, notes: list[str]) -> None:
        self.start, self.notes = start, notes
        # The longest target first: a mount may lie within another.
        self.mounts = sorted(start.mounts, key=lambda mount: -len(mount.target.rstrip("/")))

    def on_host(self, value: Any) -> Any:
        """A value of an option with every path under a mount as the host has it, inside JSON too."""
        if isinstance(value, Mapping):
            return {key: self.on_host(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.on_host(item) for item in value]
        return self._path(value) if isinstance(value, str) else value

    def model(self, path: str) -> str:
        """The same for the model, of which it is told when it is not the host's."""
        if not self.start.container or not path.startswith("/"):
            return self._absolute(path)
        found = self._path(path)
        if found == path and not any(mount.source == mount.target for mount in self.mounts) and not self._named(path):
            self.notes.append(f"{path} is a path inside the container: write the host's")
        return found

    def _absolute(self, path: str) -> str:
        directory = self.start.directory
        if path.startswith(("./", "../")) and directory and directory.startswith("/") and not self.start.container:
            self.notes.append(f"The model's path {path} is relative to {directory}")
            return posixpath.normpath(posixpath.join(directory, path))
        return path

    def _named(self, path: str) -> bool:
        return any(mount.named and _within(path, mount) for mount in self.mounts)

    def _path(self, text: str) -> str:
        for mount in self.mounts:
            if not _within(text, mount):
                continue
            if mount.named:
                self._note(
                    f"{text} lies in the volume {mount.source}, and is no directory of the host: write where it is there"
                )
                return text
            rest = text[len(mount.target.rstrip("/")) :]
            found = mount.source.rstrip("/") + rest if rest.strip("/") or mount.source != "/" else mount.source
            if found != text:
                self._note(f"{text} is a path inside the container: on the host it is {found}")
            if not mount.source.startswith("/"):
                self._note(f"{mount.source} is no absolute path: write one")
            return found
        return text

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def port(self, inside: Any) -> Any:
        """The port that clients reach: the host's, where the server's own is published."""
        if not self.start.ports:
            return inside
        own = str(_PORT if inside is None else inside)
        for host, container in (pair for given in self.start.ports for pair in _each(*given)):
            if container == own:
                if not host:
                    self.notes.append(
                        f"The container's port {own} is published on a port that its engine chooses: left out"
                    )
                    return None
                if not host.isdigit():
                    self.notes.append(f"The port is {host}, which only the shell knows: write it as `port`")
                    return None
                if host != own:
                    self.notes.append(f"Clients reach it on port {host}, which is published for {own} of the container")
                return int(host)
        published = ", ".join(f"{host}:{container}" for host, container in self.start.ports)
        self.notes.append(f"Port {own} of the container is not among the published ones ({published})")
        return inside


def _within(path: str, mount: Mount) -> bool:
    target = mount.target.rstrip("/")
    return target != "" and (path == target or path.startswith(f"{target}/"))


def _each(host: str, container: str) -> list[tuple[str, str]]:
    """`8000-8003:9000-9003` as pairs."""
    ranges = [re.fullmatch(r"(\d+)-(\d+)", text) for text in (host, container)]
    if ranges[0] is None or ranges[1] is None:
        return [(host, container)]
    first, last, inner = int(ranges[0][1]), int(ranges[0][2]), int(ranges[1][1])
    return [(str(first + step), str(inner + step)) for step in range(min(last - first, 1000) + 1)]


def visible(outer: str, inner: str) -> str:
    """GPUs as the host counts them. `outer`: those that a container has; `inner`: which of these the process sees."""
    if not outer or outer == "all" or not inner or inner == "all":
        return inner if inner and inner != "all" else outer
    if not (_INDICES.fullmatch(outer) and _INDICES.fullmatch(inner)):
        return inner if outer.startswith("count=") else outer
    have = [one for one in outer.split(",") if one]
    wanted = [int(one) for one in inner.split(",") if one]
    # A process counts from 0 among the GPUs that its container has.
    return ",".join(have[index] for index in wanted) if all(index < len(have) for index in wanted) else inner
