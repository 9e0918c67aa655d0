"""Whether a diagnostic run lets a host serve, each failure in DCGM's own words."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.acceptance.diag import (
    FAIL,
    PASS,
    SKIP,
    WARN,
    Complaint,
    DiagCheck,
    Diagnosis,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

# What DCGM's error severities ask for: dcgm_errors.h and
# https://docs.nvidia.com/datacenter/dcgm/latest/reference/diagnostics/errors.html
REMEDIES = {
    1: "Watch this GPU and run the diagnostic again; replace it if this comes back",
    2: "Take this GPU out of service and have it replaced; playbooks/driver.yml and a reboot rule out all else",
    4: "Run the diagnostic again at level 4 and follow NVIDIA's GPU debug guidelines",
    5: "Correct this setting of the host, then accept it again",
    6: "Reset this GPU (nvidia-smi --gpu-reset) or reboot the host, then accept it again",
}
_UNKNOWN = "Read /var/log/nvidia-dcgm/nvvs.log and dmesg on the host; a test that fails twice on an idle host is the hardware's"
_BROKEN = "systemctl status nvidia-dcgm and /var/log/nvidia-dcgm/nvvs.log on the host say more"
# https://github.com/NVIDIA/DCGM/issues/55, https://docs.nvidia.com/datacenter/dcgm/latest/installation.html (feature
# availability by GPU class).
_SKIPPED = (
    "DCGM tests the hardware of GPUs for data centres that its release knows, others at level 1 alone: install a newer DCGM,"
    " write acceptance_level: 1, or allow tests, such as acceptance_parameters: memory.is_allowed=true;pcie.is_allowed=true"
)
_VERDICTS = {
    FAIL: ("diagnostic-failed", True, "failed", _UNKNOWN),
    WARN: ("diagnostic-warned", False, "warned", "It does not keep the host from serving"),
    SKIP: ("diagnostic-skipped", False, "was skipped", "DCGM skips what a GPU does not support; the other tests count"),
}
# The software checks that every level begins with; what comes after them runs on the GPUs.
_DEPLOYMENT = "deployment"


def judge(diagnosis: Diagnosis, status: int, level: int, gpus: int) -> list[Finding]:
    """Findings of a run that ended with exit status `status` on a host with `gpus` GPUs; fatal ones refuse the host.

    Warnings and skipped tests are told. Refused are: a failed test, one that did not run, a run that broke off, GPUs on
    which nothing of the hardware was tested above level 1, and an exit status that no test explains.
    """
    findings = [finding for test in diagnosis.tests for finding in _of_test(test)]
    if diagnosis.error:
        findings.insert(
            0,
            Finding(
                "diagnostic-broken",
                f"dcgmi diag gave no whole result: {diagnosis.error} (exit status {status})",
                _SKIPPED if "unsupported" in diagnosis.error else _BROKEN,
            ),
        )
    elif level > 1:
        findings += _untested(diagnosis, gpus)
    elif all(test.status == SKIP for test in diagnosis.tests):
        findings.append(_nothing("every test was skipped"))
    # DCGM ends with a status other than 0 for warnings, too (DCGM_ST_NVVS_ERROR, 226 as an exit status).
    if status and not diagnosis.error and all(test.status in (PASS, SKIP) for test in diagnosis.tests):
        findings.append(
            Finding(
                "diagnostic-status",
                f"dcgmi diag ended with status {status}, although no test failed",
                "Read /var/log/nvidia-dcgm/nvvs.log on the host, then accept it again",
            )
        )
    return findings


def _of_test(test: DiagCheck) -> list[Finding]:
    # GPUs that say the same are told together. A test may pass and complain.
    alike: dict[tuple[str, tuple[Complaint, ...]], list[str]] = {}
    for result in test.results:
        if result.status != PASS or result.complaints:
            status = WARN if result.status == PASS else result.status
            alike.setdefault((status, result.complaints), []).append(result.entity)
    if not alike and test.status != PASS:
        alike[test.status, ()] = [""]
    findings = []
    for (status, complaints), entities in alike.items():
        where = f" on {', '.join(entities)}" if any(entities) else ""
        text = "; ".join(complaint.text.rstrip(". ") for complaint in complaints) or "DCGM gives no reason"
        name, fatal, verb, remedy = _VERDICTS.get(
            status, ("diagnostic-not-run", True, f"has no result ({status})", _UNKNOWN)
        )
        findings.append(
            Finding(name, f"{_title(test)} {verb}{where}: {text}", _remedy(complaints, remedy), fatal=fatal)
        )
    return findings


def _title(test: DiagCheck) -> str:
    return f'Test "{test.name}" ({test.category})' if test.category else f'Test "{test.name}"'


def _remedy(complaints: tuple[Complaint, ...], otherwise: str) -> str:
    """The weightiest of what the complaints ask for: replace, reset, triage, configure, watch."""
    severities = {complaint.severity for complaint in complaints}
    return next((REMEDIES[severity] for severity in (2, 6, 4, 5, 1) if severity in severities), otherwise)


def _untested(diagnosis: Diagnosis, gpus: int) -> list[Finding]:
    """GPUs on which no test of the hardware has a verdict: all of them skipped, or fewer tested than are there."""
    beyond = [test for test in diagnosis.tests if test.category.lower() != _DEPLOYMENT]
    seen = {r.entity for test in beyond for r in test.results if r.entity.startswith("GPU ")}
    tested = {r.entity for test in beyond for r in test.results if r.status not in (SKIP, "not run")} & seen
    if not beyond:
        failed = any(test.status not in (PASS, SKIP, WARN) for test in diagnosis.tests)
        # DCGM goes no further where its software checks fail; they say why.
        return [] if failed else [_nothing("no test of the hardware ran")]
    if seen - tested:
        return [
            _nothing(f"every test of the hardware was skipped on {', '.join(sorted(seen - tested, key=_by_number))}")
        ]
    if len(seen) < gpus:
        return [
            Finding(
                "hardware-untested",
                f"dcgmi diag tested {len(seen)} of the host's {gpus} GPUs ({', '.join(sorted(seen, key=_by_number))})",
                "dcgmi discovery -l on the host shows what DCGM sees; systemctl restart nvidia-dcgm makes it look again",
            )
        ]
    return []


def _by_number(entity: str) -> tuple[int, str]:
    digits = "".join(char for char in entity if char.isdigit())
    return (int(digits or 0), entity)


def _nothing(what: str) -> Finding:
    return Finding("hardware-untested", f"dcgmi diag says nothing about the hardware: {what}", _SKIPPED)
