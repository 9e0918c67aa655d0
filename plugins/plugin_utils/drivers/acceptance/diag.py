"""What `dcgmi diag --json` tells, in the layouts of DCGM 2 to 4.

DCGM has no published stable schema (https://docs.nvidia.com/datacenter/dcgm/latest/reference/diagnostics/errors.html).
Known layouts: DCGM 4, dcgmi/Diag.cpp and testing/python3/dcgm_diag_schema.json of https://github.com/NVIDIA/DCGM; DCGM 2
and 3, dcgmi/Diag.cpp of these releases, where `gpu_ids` stands for the entity and `warnings` is one text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PASS, SKIP, WARN, NOT_RUN, FAIL = "pass", "skip", "warn", "not run", "fail"
# From best to worst: a test is as bad as its worst result.
_ORDER = (PASS, SKIP, WARN, NOT_RUN, FAIL)
# DCGM_FE_NONE and values that stand for "nothing was read".
_BLANK = ("", "<<<NOT_SUPPORTED>>>", "<<<NULL>>>")


@dataclass(frozen=True)
class Complaint:
    """DCGM's own words, its error number and severity (0 where it gives none; see judge.REMEDIES)."""

    text: str
    error: int = 0
    severity: int = 0


@dataclass(frozen=True)
class DiagResult:
    """A test on one GPU ("GPU 3"), or on the whole host (""). `status` is lower case: pass, fail, warn, skip, not run."""

    entity: str
    status: str
    complaints: tuple[Complaint, ...] = ()


@dataclass(frozen=True)
class DiagCheck:
    """`category` is Deployment, Integration, Hardware or Stress; `name` as this release of DCGM writes it."""

    name: str
    category: str
    status: str
    results: tuple[DiagResult, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """One run. `error` is DCGM's reason for not finishing, or the last words of an output that holds no results, else ""."""

    tests: tuple[DiagCheck, ...] = ()
    error: str = ""
    version: str = ""
    driver: str = ""


def read(text: str) -> Diagnosis:
    """Read an output. Never raises: one without results has an `error`."""
    data = _json(text)
    if data is None:
        return Diagnosis(error=_last_words(text) or "it printed nothing")
    root = _dict(data.get("DCGM Diagnostic", data.get("DCGM GPU Diagnostic")))
    about = _dict(data.get("metadata")) or root
    # DCGM 3 has written null between tests (nvvs' own JsonResult tests in its repository hold such an output).
    tests = tuple(
        _test(test, str(category.get("category", "")))
        for category in map(_dict, _list(root.get("test_categories")))
        for test in _list(category.get("tests"))
        if isinstance(test, dict)
    )
    error = str(root.get("runtime_error") or data.get("runtime_error") or "")
    if not tests and not error:
        # dcgmi says in plain text before the JSON why nothing could be run.
        error = _last_words(text[: text.find("{")]) or "it lists no test"
    return Diagnosis(
        tests=tests,
        error=" ".join(error.split()),
        version=str(about.get("version", about.get("DCGM Version", ""))),
        driver=str(about.get("Driver Version Detected", "")),
    )


def _test(data: dict[str, object], category: str) -> DiagCheck:
    summary = _dict(data.get("test_summary"))
    results = tuple(result for entry in map(_dict, _list(data.get("results"))) for result in _results(entry))
    told = {complaint.text for result in results for complaint in result.complaints}
    # Newer releases repeat in the summary what they say of each GPU; its information explains only what nothing else does.
    rest = tuple(c for c in _complaints(summary, informed=not told) if c.text not in told)
    status = _worst([result.status for result in results] + ([_status(summary)] if "status" in summary else []))
    if rest:
        results = (*results, DiagResult("", status, rest))
    return DiagCheck(str(data.get("name", "")), category, status, results)


def _results(entry: dict[str, object]) -> Iterator[DiagResult]:
    status, complaints = _status(entry), _complaints(entry)
    if "entity_id" in entry:
        yield DiagResult(f"{entry.get('entity_group', 'GPU')} {entry['entity_id']}", status, complaints)
        return
    ids = str(entry.get("gpu_ids", entry.get("gpu_id", "")))
    names = [f"GPU {number.strip()}" for number in ids.split(",") if number.strip()]
    for name in names or [""]:
        yield DiagResult(name, status, complaints)


def _complaints(entry: dict[str, object], informed: bool = True) -> tuple[Complaint, ...]:
    """Warnings as one text (DCGM 2, 3), as texts, or as objects (4); where there are none, `informed`, what else it says."""
    found = []
    for warning in _list(entry.get("warnings")):
        if isinstance(warning, dict):
            numbers = (_number(warning.get("error_id")), _number(warning.get("error_severity")))
            found.append(Complaint(" ".join(str(warning.get("warning", "")).split()), *numbers))
        else:
            found.append(Complaint(" ".join(str(warning).split())))
    if informed and not found and _status(entry) in (SKIP, WARN, NOT_RUN, FAIL):
        found = [Complaint(" ".join(str(info).split())) for info in _list(entry.get("info"))]
    return tuple(complaint for complaint in found if complaint.text)


def _status(entry: dict[str, object]) -> str:
    return " ".join(str(entry.get("status", NOT_RUN)).lower().replace("_", " ").split())


def _worst(statuses: list[str]) -> str:
    """The worst status; one that is not known here counts as the very worst."""
    ranks = {status: rank for rank, status in enumerate(_ORDER)}
    return max(statuses, key=lambda status: ranks.get(status, len(ranks)), default=NOT_RUN)


def _json(text: str) -> dict[str, object] | None:
    """The object that stands in the text; dcgmi prints plain lines around it when something is wrong."""
    try:
        data = json.loads(text[text.find("{") : text.rfind("}") + 1])
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _dict(value: Any) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None or value in _BLANK else [value]


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
