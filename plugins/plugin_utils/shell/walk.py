"""What commands and loops need of whoever follows a script (run.py does), so that neither has to know the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.conditions import Truth
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.state import ShellState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import Node


class Walk(Protocol):
    """`notes`: what concerns the whole script; `depth`: of calls in calls; `returns`: by function that is followed, its ends."""

    notes: list[str]
    depth: int
    returns: list[list[ShellState]]

    @property
    def read(self) -> Callable[[str], str | None]:
        """The text of a file beside the script, None where it is not there."""

    def nodes(self, body: Sequence[Node], state: ShellState) -> Truth:
        """Follow commands one after the other."""

    def ways(
        self, state: ShellState, ways: Sequence[tuple[Callable[[ShellState], object], str, str]], taken: int | None
    ) -> None:
        """Go several ways and join what comes of them."""
