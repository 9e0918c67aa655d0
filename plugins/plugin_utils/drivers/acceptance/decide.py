"""What an acceptance does on a host: nothing, test it, go on with a test, or refuse. Pure; on the control node."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance import record as records
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.model import (
    AcceptanceSight,
    DiagnosticRun,
    WantedTest,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.record import Record
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import few
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.acceptance.diag import Diagnosis, read
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.acceptance.judge import judge
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus import health
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

# Run times by level: https://docs.nvidia.com/datacenter/dcgm/latest/reference/command-line-reference/dcgmi/dcgmi-diag.html
# (1 to 3) and the user guide's table of run levels (4).
TAKES = {1: "seconds", 2: "about 2 min", 3: "about 15 min", 4: "one to two hours"}
# After this many seconds a run is given up.
LIMITS = {1: 600, 2: 1800, 3: 7200, 4: 28800}
_SHOWN = 4


@dataclass(frozen=True)
class AcceptanceDecision:
    """`act` is accepted, test, health (level 0), follow (a run that is under way or was not collected) or refuse."""

    act: str
    reason: str
    findings: tuple[Finding, ...] = ()


def decide(sight: AcceptanceSight, wanted: WantedTest) -> AcceptanceDecision:
    """Judge a host before anything is run on it; `findings` hold everything that is wrong, not the first of it."""
    findings = health.findings(sight.facts)
    record = records.read(sight.record)
    why = records.why_not(record, sight.facts, wanted.level, wanted.again if wanted.test else _asked(wanted.again))
    if not wanted.test or not why:
        if why:
            findings.append(_not_accepted(why))
        return AcceptanceDecision("refuse" if _fatal(findings) else "accepted", why or _since(record), tuple(findings))
    run = sight.run
    same = (run.level, run.parameters) == (wanted.level, wanted.parameters)
    if run.state == "running" and not same:
        findings.append(_other_run(run))
    elif run.state and same:
        # Health is looked at again when it ends; a sick GPU is no reason to lose sight of what runs.
        return AcceptanceDecision("follow", why)
    findings += _in_the_way(sight, wanted)
    if _fatal(findings):
        return AcceptanceDecision("refuse", why, tuple(findings))
    return AcceptanceDecision("test" if wanted.level else "health", why, tuple(findings))


def conclude(run: DiagnosticRun, facts: Facts, dcgm: str, finished: str) -> tuple[Record, tuple[Finding, ...]]:
    """The record of a run that has ended, and its findings; GPUs are looked at again after what they went through."""
    diagnosis = read(run.output)
    findings = _cut_off(run) or judge(diagnosis, run.status, run.level, len(facts.gpus))
    return _record(run, facts, finished, [*findings, *health.findings(facts)], diagnosis, dcgm)


def conclude_health(facts: Facts, finished: str) -> tuple[Record, tuple[Finding, ...]]:
    """The record at level 0: nothing was run, the GPUs report no fault of their own."""
    return _record(DiagnosticRun(), facts, finished, health.findings(facts), Diagnosis(), "")


def _record(
    run: DiagnosticRun, facts: Facts, finished: str, findings: list[Finding], diagnosis: Diagnosis, dcgm: str
) -> tuple[Record, tuple[Finding, ...]]:
    record = Record(
        passed=not _fatal(findings),
        level=run.level,
        finished=finished,
        seconds=run.seconds,
        gpus=records.uuids(facts),
        driver=facts.driver,
        dcgm=diagnosis.version or dcgm,
        tests={test.name: test.status for test in diagnosis.tests},
        failures=tuple(str(finding) for finding in findings if finding.fatal),
        told=tuple(str(finding) for finding in findings if not finding.fatal),
    )
    return record, tuple(findings)


def _in_the_way(sight: AcceptanceSight, wanted: WantedTest) -> list[Finding]:
    findings = []
    if wanted.level and not sight.dcgm:
        findings.append(
            Finding(
                "dcgm-missing",
                "dcgmi is not installed, and a level above 0 is a diagnostic of DCGM",
                "playbooks/accept.yml installs it from NVIDIA's repository (dcgm_install: true); where it cannot be had,"
                " acceptance_level: 0 looks at what the GPUs report of themselves and runs no test",
            )
        )
    if not wanted.level:
        return findings
    cut = tuple(health.gpu_label(gpu) for gpu in sight.facts.gpus if gpu.mig == "enabled")
    if cut:
        # "… prevents access to the entire GPU": https://github.com/NVIDIA/DCGM/issues/31 and 94
        findings.append(
            Finding(
                "mig-enabled",
                f"DCGM tests whole GPUs, and these are in MIG mode: {few(cut, _SHOWN)}",
                "Accept a host before its GPUs are cut: take gpu_mig away for the test (a record of the whole GPU stands"
                " afterwards), or write acceptance_level: 0",
            )
        )
    if sight.units and not wanted.drain:
        findings.append(
            Finding(
                "not-idle",
                f"model units run here: {few(sight.units, _SHOWN)}",
                "The diagnostic needs the whole GPUs: stop them, or write acceptance_drain: true to have them stopped for"
                " the test and started again when it has passed",
            )
        )
    if sight.users:
        users = tuple(f"{user.name} (pid {user.pid}{f', {user.unit}' if user.unit else ''})" for user in sight.users)
        findings.append(
            Finding(
                "gpus-in-use",
                f"other processes use the GPUs: {few(users, _SHOWN)}",
                "Stop them, then accept the host again",
            )
        )
    return findings


def _other_run(run: DiagnosticRun) -> Finding:
    what = f"level {run.level}" + (f" with {run.parameters}" if run.parameters else "")
    return Finding(
        "diagnostic-running",
        f"a diagnostic at {what} has been running for {run.seconds} s",
        "Wait for it, ask for the same level, or end it on the host: systemctl stop gpu-acceptance",
    )


def _not_accepted(why: str) -> Finding:
    return Finding(
        "not-accepted",
        f"this host has not been accepted: {why}",
        "Run playbooks/accept.yml on it, or write vllm_acceptance: optional",
    )


def _cut_off(run: DiagnosticRun) -> list[Finding]:
    if run.result != "timeout":
        return []
    what = f"dcgmi diag did not end within {LIMITS[run.level] // 60} min and was stopped"
    return [Finding("diagnostic-timeout", what, "nvidia-smi and dmesg on the host show whether a GPU hangs")]


def _asked(again: str) -> str:
    """Who only asks for the record would never be content with `always`."""
    return "hardware" if again == "always" else again


def _since(record: Record | None) -> str:
    if record is None:
        return ""
    how = f"level {record.level}, DCGM {record.dcgm}" if record.level else "level 0, GPU health alone"
    return f"accepted since {record.finished} ({how})"


def _fatal(findings: list[Finding]) -> bool:
    return any(finding.fatal for finding in findings)
