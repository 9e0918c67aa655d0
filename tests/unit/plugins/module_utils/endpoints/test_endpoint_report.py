"""What the operator reads of a fleet's proof: table, document, failing lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report import endpoints as report


def check(name: str, passed: bool = True, skipped: str = "") -> dict[str, Any]:
    return {"name": name, "passed": passed, "skipped": skipped, "observed": "HTTP 200", "expected": "HTTP 401"}


def endpoint(model: str, *checks: dict[str, Any], first: float | None = None) -> dict[str, Any]:
    passed = all(item["passed"] or item["skipped"] for item in checks)
    return {
        "model": model,
        "kind": "chat",
        "url": "http://127.0.0.1:8000",
        "passed": passed,
        "checks": list(checks),
        "first_token_seconds": first,
    }


REGISTERED: dict[str, Any] = {
    "lab1": {"results": [endpoint("smollm2", check("answer"), check("usage"), first=0.0612)]},
    "lab2": {"results": [endpoint("bge", check("norm"), check("key_required", False), check("x", False, "no key"))]},
    "lab3": {"unreachable": True, "msg": "no route"},
    "lab4": None,
    "lab5": {"failed": True, "msg": "parameters"},
    "idle": {"results": []},
}


def test_gather_names_hosts_and_what_is_missing() -> None:
    endpoints, missing = report.gather(REGISTERED)
    assert [(item["host"], item["model"]) for item in endpoints] == [("lab1", "smollm2"), ("lab2", "bge")]
    assert missing == {"lab3": "not reached", "lab4": "no result", "lab5": "no result"}


def test_table_is_aligned_explains_failures_only_and_ends_with_how_many_passed() -> None:
    assert report.table(*report.gather(REGISTERED)) == [
        "HOST  MODEL    KIND  CHECKS           PROOF  FIRST TOKEN  VERDICT",
        "lab1  smollm2  chat  2/2              full   0.06 s       passed",
        "lab2  bge      chat  1/2 (1 skipped)  full   -            FAILED",
        "    key_required: observed HTTP 200, expected HTTP 401",
        "lab3  -        -     -                -      -            not reached",
        "lab4  -        -     -                -      -            no result",
        "lab5  -        -     -                -      -            no result",
        "",
        "1 of 2 endpoints passed on 2 hosts, 3 hosts without results",
    ]


def test_what_starts_compiled_has_a_column_where_a_log_tells() -> None:
    told = [
        {"compiled": 1, "seconds": 33.1, "loaded": 0, "refused": ""},
        {"compiled": 0, "seconds": 0, "loaded": 1, "refused": ""},
        None,
        {"compiled": 1, "seconds": 0, "loaded": 0, "refused": ""},
        {"compiled": 1, "seconds": 21, "loaded": 0, "refused": "", "kernels": 0},
    ]
    results = {
        f"h{n}": {"results": [{**endpoint("m", check("answer"), first=0.05), "compile": each}]}
        for n, each in enumerate(told)
    }
    assert report.table(*report.gather({**results, "h5": None}))[:7] == [
        "HOST  MODEL  KIND  CHECKS  PROOF  FIRST TOKEN  VERDICT    COMPILED",
        "h0    m      chat  1/1     full   0.05 s       passed     33 s",
        "h1    m      chat  1/1     full   0.05 s       passed     0 s",
        "h2    m      chat  1/1     full   0.05 s       passed     -",
        "h3    m      chat  1/1     full   0.05 s       passed     yes",
        "h4    m      chat  1/1     full   0.05 s       passed     21 s, no kernel",
        "h5    -      -     -       -      -            no result  -",
    ]


def test_failed_checks_is_one_line_for_each_failure() -> None:
    assert report.failed_checks(REGISTERED["lab1"]["results"]) == []
    assert report.failed_checks(REGISTERED["lab2"]["results"]) == [
        "bge at http://127.0.0.1:8000: key_required: observed HTTP 200, expected HTTP 401"
    ]


def test_document_counts_and_keeps_everything() -> None:
    endpoints, missing = report.gather(REGISTERED)
    document = report.document(endpoints, missing, "2026-11-23T10:00:00+00:00", "abc")
    assert (document["time"], document["plan_digest"]) == ("2026-11-23T10:00:00+00:00", "abc")
    assert (document["endpoints"], document["passed"]) == (2, 1)
    assert document["failed"] == [
        "lab2: bge at http://127.0.0.1:8000: key_required: observed HTTP 200, expected HTTP 401",
        "lab3: not reached",
        "lab4: no result",
        "lab5: no result",
    ]
    assert document["hosts_without_results"] == missing
    assert document["results"] == endpoints


@pytest.mark.parametrize(
    ("path", "directory", "environment", "file"),
    [
        ("/tmp/mine.json", "/var/reports", {}, "/tmp/mine.json"),
        (None, "/var/reports", {"HOME": "/root"}, "/var/reports/vllm-report.json"),
        ("", "", {"HOME": "/root"}, "/root/.local/state/baremetal-vllm/reports/vllm-report.json"),
        (None, "", {"HOME": "/root", "XDG_STATE_HOME": "/state"}, "/state/baremetal-vllm/reports/vllm-report.json"),
    ],
)
def test_a_report_lies_where_it_is_asked_for_else_with_what_the_user_keeps(
    path: str | None, directory: str | None, environment: dict[str, str], file: str
) -> None:
    assert report.report_file(path, directory, environment) == Path(file)


def test_a_report_that_nobody_asked_for_is_not_written() -> None:
    assert report.report_file(None, None, {"HOME": "/root"}) is None
