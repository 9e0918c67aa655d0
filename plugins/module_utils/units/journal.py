"""What vLLM's log says: the stage of a start, and the one line that names the cause of a failed one.

The marks are of vLLM 0.8.5 to 0.32.0's own log messages, seen on real starts (tests/unit/plugins/module_utils/units/journals/).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# Latest stage first: the first mark found from the end of the log wins.
_STAGES = (
    ("answering its first request", r"Application startup complete"),
    ("opening its port", r"Starting vLLM (API )?server"),
    ("sizing the KV cache", r"[GC]PU KV cache size|Available KV cache memory|for KV cache on node"),
    ("capturing CUDA graphs", r"Capturing CUDA graph|Graph capturing"),
    (
        "compiling",
        r"Warming up model for|torch\.compile takes|Dynamo bytecode|Compiling a graph|Directly load (the compiled graph|AOT)",
    ),
    ("weights loaded", r"Loading weights took|Model loading took"),
    ("loading weights", r"Starting to load model|Loading (safetensors|pt) checkpoint"),
    ("starting workers", r"Initializing a V1 LLM engine|Waiting for core engine"),
    ("reading its configuration", r"vLLM API server version|non-default args|Resolved architecture"),
)
# "(VllmWorker-0 pid=5035) ERROR 11-23 10:07:44 [multiproc_executor.py:953] " and colours.
_PREFIX = re.compile(r"^(\x1b\[[0-9;]*m|\s|\([^()]*pid=\d+\)|(ERROR|CRITICAL)\s+[\d-]+ [\d:.]+ \[[^\]]*\])+")
# An exception's last line: a dotted name that ends in a word of failure, then what it says.
_EXCEPTION = re.compile(r"^([A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Timeout|NotFound|Warning))\b:?\s*(.*)$")
_USAGE = re.compile(r"^(vllm|vllm serve|api_server\.py)( serve)?: error: (.+)$")
# These say only that something else failed.
_CONSEQUENCE = re.compile(
    r"Engine core initialization failed|See root cause above|Engine core proc|EngineDeadError|Failed core proc|"
    r"WorkerProc initialization failed|The engine's process ended|resource_tracker|leaked .* objects",
)
# A unit's helper that could not be run: Python's own words, or systemd's.
_NO_HELPER = re.compile(
    r"^\S*python[\d.]*: (can't open file|No module named) .+|^\S+: (Failed to locate executable|Failed at step) .+"
)
# What vllm-wait-ready says of an endpoint that is up and refuses its first request.
_REFUSED = re.compile(r"^/\S+ answers \d{3}: .+")
_KILLED = re.compile(r"Main process exited, code=killed, status=(\d+/\w+)|oom-kill|Out of memory")


def stage(lines: Sequence[str]) -> str:
    """How far a start has come, in a few words."""
    # A warning tells of what will not be done ("disabling torch.compile"), never of what is being done.
    lines = [line for line in lines if " WARNING " not in line]
    for text, mark in _STAGES:
        if any(re.search(mark, line) for line in lines):
            return text
    return "importing vLLM"


def cause(lines: Sequence[str]) -> str:
    """The line that names why a start failed, without its log prefix; empty where nothing in the log does.

    Candidates are taken in this order: the parser's refusal; a helper of the unit that could not be run, for which systemd ends
    the engine; the first exception that is not a mere consequence (worker and engine fail before the server reports them); what
    the first request was answered; a kill by the kernel; the last error line.
    """
    clean = [_PREFIX.sub("", line).strip() for line in lines]
    for line in clean:
        if _USAGE.match(line):
            return line
    for line in clean:
        if _NO_HELPER.match(line):
            return line
    exceptions = [line for line in clean if _EXCEPTION.match(line) and not _CONSEQUENCE.search(line)]
    with_message = [line for line in exceptions if _EXCEPTION.match(line)[3]]  # type: ignore[index]
    if with_message or exceptions:
        return _with_detail(clean, (with_message or exceptions)[0])
    refused = [line for line in clean if _REFUSED.match(line)]
    if refused:
        return refused[-1]
    for line in clean:
        if _KILLED.search(line):
            return line
    errors = [
        c for c, raw in zip(clean, lines) if re.search(r"\b(ERROR|CRITICAL|error:)", raw) and not _CONSEQUENCE.search(c)
    ]
    return errors[-1] if errors else ""


def _with_detail(clean: Sequence[str], line: str) -> str:
    """pydantic puts the reason on the lines below its own: join the first of them."""
    if not re.search(r"validation errors? for", line):
        return line
    after = clean[list(clean).index(line) + 1 :][:2]
    return " ".join([line, *[text for text in after if text]])
