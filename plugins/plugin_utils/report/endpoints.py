"""The proof of a whole fleet, as a table for the terminal and a document for machines (control node)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.look.form import FULL, SHORT
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.proved import (
    Compile,
    Endpoint,
    HostEndpoint,
    explained,
    failed,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.screen import PAPER, WRONG, Screen
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.table import (
    Column,
    Figure,
    Row,
    counted,
    fleet_table,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Registered

NOT_REACHED = "not reached"
NO_RESULT = "no result"

# The last is there where an engine's log says of any endpoint what it compiled.
COLUMNS, COMPILED = ("HOST", "MODEL", "KIND", "CHECKS", "PROOF", "FIRST TOKEN", "VERDICT"), "COMPILED"
# The file in a directory of reports.
FILE = "vllm-report.json"


def report_file(path: str | None, directory: str | None, environment: Mapping[str, str]) -> Path | None:
    """Where the JSON file lies: at `path`, else in `directory`; None without both.

    An empty directory stands for $XDG_STATE_HOME/baremetal-vllm/reports.
    """
    if path:
        return Path(path)
    if directory is None:
        return None
    state = environment.get("XDG_STATE_HOME") or f"{environment.get('HOME') or Path.home()}/.local/state"
    return Path(directory or f"{state}/baremetal-vllm/reports") / FILE


def state_of(registered: Registered | None) -> str:
    """Why a host has no results: empty when it has some. `registered` is what the host's check task left, if it ran."""
    if registered is None:
        return NO_RESULT
    if registered.get("unreachable"):
        return NOT_REACHED
    return "" if "results" in registered and not registered.get("failed") else NO_RESULT


def gather(
    registered: Mapping[str, Registered | None], short: Mapping[str, Sequence[Endpoint]] | None = None
) -> tuple[list[HostEndpoint], dict[str, str]]:
    """Every endpoint with its host in front, and for each host without results why (by host).

    `short`: by host the results of endpoints that were asked one question; such a host needs no others.
    """
    endpoints: list[HostEndpoint] = []
    missing: dict[str, str] = {}
    for host, result in registered.items():
        asked, state = (short or {}).get(host), state_of(result)
        if state and (asked is None or result is not None):
            missing[host] = state
            continue
        proved: list[Endpoint] = [*(asked or ()), *(result["results"] if result is not None else ())]
        endpoints += [{"host": host, **endpoint} for endpoint in proved]
    return endpoints, missing


def failed_checks(results: Sequence[Endpoint]) -> list[str]:
    """One line for each failed check: endpoint, check, observed, expected."""
    return [
        f"{endpoint['model']} at {endpoint['url']}: {explained(check)}"
        for endpoint in results
        for check in failed(endpoint)
    ]


def summary(endpoints: Sequence[HostEndpoint], missing: Mapping[str, str]) -> dict[str, object]:
    """Counts of endpoints, and what failed as `HOST: line`."""
    lines = [f"{endpoint['host']}: {line}" for endpoint in endpoints for line in failed_checks([endpoint])]
    return {
        "endpoints": len(endpoints),
        "passed": sum(1 for endpoint in endpoints if endpoint["passed"]),
        "failed": lines + [f"{host}: {state}" for host, state in missing.items()],
    }


def table(endpoints: Sequence[HostEndpoint], missing: Mapping[str, str], screen: Screen = PAPER) -> list[str]:
    """One line each endpoint, under one that failed a sentence for each failed check; how many passed at the end."""
    compiling = any(endpoint.get("compile") for endpoint in endpoints)
    names = [*COLUMNS, *[COMPILED] * compiling]
    hosts: dict[str, list[Row]] = {}
    for endpoint in endpoints:
        hosts.setdefault(str(endpoint["host"]), []).append(_row(endpoint, compiling))
    rest = ("-",) * compiling
    hosts.update({host: [Row(("-", "-", "-", "-", "-", state, *rest), WRONG)] for host, state in missing.items()})
    return [*fleet_table([Column(name) for name in names], hosts.items(), screen), "", _total(endpoints, missing)]


def _total(endpoints: Sequence[HostEndpoint], missing: Mapping[str, str]) -> str:
    passed = sum(1 for endpoint in endpoints if endpoint["passed"])
    hosts = len({endpoint["host"] for endpoint in endpoints})
    without = f", {counted(len(missing), 'host')} without results" if missing else ""
    short = [str(endpoint["proved"]) for endpoint in endpoints if endpoint.get("proof") == SHORT and endpoint["proved"]]
    before = f"; {len(short)} with one question, proved in full since {min(short)} or later" if short else ""
    return f"{passed} of {counted(len(endpoints), 'endpoint')} passed on {counted(hosts, 'host')}{without}{before}"


def document(
    endpoints: Sequence[HostEndpoint],
    missing: Mapping[str, str],
    time: str,
    digest: str,
    changes: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """What the JSON file holds. `time` is ISO 8601, `digest` names the plan that was proved; `changes`: by host what the run
    found to change there, None of one that changes nothing."""
    return {
        "time": time,
        "plan_digest": digest,
        **summary(endpoints, missing),
        "changes": changes,
        "hosts_without_results": dict(missing),
        "results": list(endpoints),
    }


def _row(endpoint: Endpoint, compiling: bool) -> Row:
    tried = [check for check in endpoint["checks"] if not check["skipped"]]
    skipped = len(endpoint["checks"]) - len(tried)
    count = f"{sum(1 for check in tried if check['passed'])}/{len(tried)}" + (
        f" ({skipped} skipped)" if skipped else ""
    )
    first = endpoint.get("first_token_seconds")
    values = (
        endpoint["model"],
        endpoint["kind"],
        count,
        endpoint.get("proof", FULL),
        "-" if first is None else Figure(first, lambda seconds: f"{seconds:.2f} s"),
        "passed" if endpoint["passed"] else "FAILED",
        *[_compiled(endpoint.get("compile"))] * compiling,
    )
    return Row(values, "" if endpoint["passed"] else WRONG, tuple(explained(check) for check in failed(endpoint)))


def _compiled(found: Compile | None) -> Figure | str:
    if found is None:
        return "-"
    if found["compiled"] and found.get("kernels") == 0:
        # It had to follow the model's code once more, and found every kernel.
        return Figure(found["seconds"], lambda seconds: f"{seconds:.0f} s, no kernel")
    timed = found["seconds"] or not found["compiled"]
    return Figure(found["seconds"], lambda seconds: f"{seconds:.0f} s") if timed else "yes"
