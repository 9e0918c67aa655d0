"""One thing that is wrong with a host's GPUs or their driver, and what becomes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Finding:
    """`name` identifies the kind of fault (`version-mismatch`), `message` says what was seen and what was expected,
    `remedy` what to do where no healing is possible.

    `heal` names the step that mends it, "" where nothing of ours can: packages, hold, modules, initramfs, load, reboot,
    services, files. `fatal` findings must be gone before the host may serve; others are told and passed over.
    """

    name: str
    message: str
    remedy: str
    heal: str = ""
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.name}: {self.message}. {self.remedy}."


def as_dicts(findings: tuple[Finding, ...] | list[Finding]) -> list[dict[str, object]]:
    """Their JSON form, in the same order."""
    return [asdict(finding) for finding in findings]
