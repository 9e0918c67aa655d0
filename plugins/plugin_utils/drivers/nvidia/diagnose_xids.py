"""Xids of this boot, judged by NVIDIA's catalogue (`data/xids.yml`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Xid
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose_case import Case, some
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose_devices import FALLEN
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA, read_yaml

FILE = DATA / "xids.yml"
# Its text says what the driver advises now: "GPU recovery action changed from 0x0 (None) to 0x4 (Drain and Reset)".
_ADVICE, _WELL = 154, "(None)"
# Of these the text says whether it was fatal: "NETIR_LINK_EVT  Nonfatal XC0 i0 Link 01 (…)".
_GRADED, _HARMLESS = range(144, 151), "nonfatal"


@dataclass(frozen=True)
class XidMeaning:
    """What one code means; `fatal`, `heal` and `remedy` as in a finding."""

    means: str
    fatal: bool
    remedy: str
    heal: str = ""


_UNKNOWN = XidMeaning("not in data/xids.yml", False, "See NVIDIA's Xid catalogue; if it returns, run dcgmi diag -r 3")


@lru_cache(maxsize=1)
def meanings() -> dict[int, XidMeaning]:
    """Every code of data/xids.yml; read once."""
    data = read_yaml(FILE)
    return {
        code: XidMeaning(means=entry["means"], **data["actions"][entry["action"]])
        for code, entry in data["codes"].items()
    }


def xids(case: Case) -> Iterator[Finding]:
    """One finding for each code, with all GPUs that had it."""
    seen = [xid for xid in case.state.xids if not (xid.code == FALLEN and _told(case, xid))]
    for code in sorted({xid.code for xid in seen}):
        yield _judged(case, code, [xid for xid in seen if xid.code == code])


def _judged(case: Case, code: int, seen: list[Xid]) -> Finding:
    meaning = meanings().get(code, _UNKNOWN)
    where = some(f"{xid.address} ({xid.count} times)" if xid.count > 1 else xid.address for xid in seen)
    fatal = meaning.fatal and any(_stands(case, xid) for xid in seen)
    return Finding(
        f"xid-{code}",
        f'Xid {code} in the kernel\'s log of this boot ({meaning.means}), GPU {where}: "{seen[-1].text}"',
        meaning.remedy,
        meaning.heal if fatal else "",
        fatal,
    )


def _told(case: Case, xid: Xid) -> bool:
    """Whether it is told as a GPU that nvidia-smi misses."""
    facts = case.state.facts
    return (
        case.consistent
        and facts is not None
        and bool(facts.gpus)
        and xid.address not in {g.address for g in facts.gpus}
    )


def _stands(case: Case, xid: Xid) -> bool:
    """Whether the error still matters: newer drivers say so themselves when a GPU needs nothing any more."""
    if xid.code == _ADVICE and xid.text.rstrip(". ").endswith(_WELL):
        return False
    if xid.code in _GRADED and _HARMLESS in xid.text.lower().replace("-", ""):
        return False
    gpus = case.state.facts.gpus if case.state.facts else ()
    return not any(gpu.address == xid.address and gpu.recovery == "none" for gpu in gpus)
