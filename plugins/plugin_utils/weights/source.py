"""Where weights come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Where weights come from: a hub id at a commit, a directory of the control node, or a path on the host."""

    model: str
    revision: str = ""
    push_from: str = ""

    @property
    def origin(self) -> str:
        """hub, host (a path that is there already), or pushed from the control node."""
        if self.push_from:
            return "pushed"
        return "host" if self.model.startswith("/") else "hub"
