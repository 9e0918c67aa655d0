"""The line that names the cause, and the stage of a start, from logs of the real engine (journals/README.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.units.journal import cause, stage

JOURNALS = Path(__file__).parent / "journals"


def lines(name: str) -> list[str]:
    return (JOURNALS / f"{name}.txt").read_text().splitlines()


CAUSES = {
    "choice": "argument --dtype: invalid choice: 'float99'",
    "parser": "Reasoning parser 'nonesuch' not found",
    "length": "User-specified max_model_len (900000) is greater than the derived max_model_len",
    "empty": "Invalid repository ID or local directory specified: '/root/empty'",
    "bound": "gpu_memory_utilization Input should be less than or equal to 1",
    "kv": "No available memory for the cache blocks",
    "port": "Address already in use",
    "memory": "Available memory on node 0 (7.72/13.96 GiB) on startup is less than desired",
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_of_a_real_failure_is_one_line_that_names_it(name: str) -> None:
    found = cause(lines(name))
    assert CAUSES[name] in found
    assert "\n" not in found
    assert "pid=" not in found


MADE_UP = [
    (["(Worker_TP0 pid=9) ERROR 01-02 03:04:05 [x.py:1] torch.OutOfMemoryError: CUDA out of memory.",
      "RuntimeError: Engine core initialization failed. See root cause above."], "torch.OutOfMemoryError: CUDA out of memory."),
    # The helper cannot be read, so systemd ends an engine that was well.
    (["Application startup complete.", "/opt/vllm/1.0/bin/python: can't open file '/usr/local/libexec/x': [Errno 13] Permission denied",
      "vllm-m.service: Control process exited, code=exited, status=2/INVALIDARGUMENT", "asyncio.exceptions.CancelledError: stopped",
      "vllm-m.service: Main process exited, code=killed, status=15/TERM"],
     "can't open file '/usr/local/libexec/x': [Errno 13] Permission denied"),
    (["vllm-m.service: Failed to locate executable /opt/vllm/1.0/bin/python: Permission denied",
      "vllm-m.service: Main process exited, code=killed, status=15/TERM"], "Failed to locate executable /opt/vllm/1.0/bin/python"),
    (["/v1/embeddings answers 500: no such model", "The endpoint is up and cannot answer a request.",
      "vllm-m.service: Main process exited, code=killed, status=15/TERM"], "/v1/embeddings answers 500: no such model"),
    (["vllm-m.service: Main process exited, code=killed, status=9/KILL"], "status=9/KILL"),
    (["something", "ERROR 01-02 03:04:05 [x.py:1] the disk is on fire"], "the disk is on fire"),
    (["all is well"], ""),
    ([], ""),
]  # fmt: skip


@pytest.mark.parametrize(("log", "expected"), MADE_UP)
def test_consequences_are_passed_over_and_nothing_is_invented(log: list[str], expected: str) -> None:
    assert expected in cause(log)
    assert bool(cause(log)) == bool(expected)


def test_the_stages_of_a_real_start_follow_each_other() -> None:
    log = lines("good")
    seen = list(dict.fromkeys(stage(log[:n]) for n in range(len(log))))
    assert seen == [
        "importing vLLM",
        "reading its configuration",
        "starting workers",
        "loading weights",
        "weights loaded",
        "sizing the KV cache",
        "opening its port",
        "answering its first request",
    ]
