"""A look at GPUs asks each tool once, and one that hangs no more."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import TIMED_OUT, Answer
from ansible_collections.baremetal.vllm.plugins.module_utils.look.gpus import once


def test_a_program_that_hangs_holds_a_look_up_once() -> None:
    asked = []

    def run(argv: list[str]) -> Answer:
        asked.append(argv)
        return (TIMED_OUT, "", "smi did not answer within 30 s") if argv[0] == "smi" else (0, "fine", "")

    ask = once(run)
    assert ask(["smi", "--list"]) == ask(["smi", "--query"]) == (TIMED_OUT, "", "smi did not answer within 30 s")
    assert ask(["lspci"]) == ask(["lspci"]) == (0, "fine", "")
    assert asked == [["smi", "--list"], ["lspci"]]
