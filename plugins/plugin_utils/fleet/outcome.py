"""What became of a rollout: for people a few lines, for machines one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.judge import Verdict
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.hosts import folded
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.screen import CHANGED, PAPER, WRONG, Screen
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.table import Column, Row, fleet_table

SCHEMA = 1
AGAIN = "run the same playbook with the same options again: it begins with this host"


@dataclass(frozen=True)
class HostResult:
    """What was registered of one host: its verdict, the verdict of its way back, and whether a gateway was told to drain
    it (`drained`), to do so once more before it went back (`drained_again`), and all to undrain it (`undrained`).
    `action` and `why` are the schedule's."""

    action: str
    why: str = ""
    verdict: Verdict | None = None
    back: Verdict | None = None
    drained: bool = False
    drained_again: bool = False
    undrained: bool = False


@dataclass(frozen=True)
class Ending:
    """`what`: one of ENDINGS; `told`: the causes; `drained`: whether clients are still kept away from the host by this
    rollout; `remedy`: what the operator does now, "" for nothing."""

    what: str
    told: tuple[str, ...] = ()
    drained: bool = False
    remedy: str = ""


class Ended(TypedDict):
    """An `Ending` in the document; `causes` are what it tells."""

    what: str
    causes: list[str]
    drained: bool
    remedy: str


class Document(TypedDict):
    """A rollout's report: `id` is the rollout's, `plan_digest` names the plan, `time` is ISO 8601."""

    schema: int
    id: str
    time: str
    plan_digest: str
    complete: bool
    stopped: bool
    hosts: dict[str, Ended]
    skipped: dict[str, str]
    unreachable: list[str]
    gaps: list[str]


@dataclass(frozen=True)
class Summary:
    """`endings`: of the hosts in the schedule; `skipped`: the others and why; `lost`: those of them that do not answer."""

    endings: Mapping[str, Ending]
    skipped: Mapping[str, str]
    lost: Sequence[str]
    gaps: Sequence[str]

    @property
    def good(self) -> bool:
        """Nothing went wrong so far."""
        ended = [end for end in self.endings.values() if end.what != "waiting"]
        return all(end.what in DONE and not end.drained for end in ended)

    @property
    def finished(self) -> bool:
        """No host waits for its batch."""
        return all(ending.what != "waiting" for ending in self.endings.values())

    @property
    def whole(self) -> bool:
        """Every host of the play is as planned, proven and open to clients."""
        return self.good and self.finished and not self.lost


# In the order of the summary's count, with what a person reads.
ENDINGS = {
    "switched": "switched and proven",
    "proven": "proven",
    "undrained": "undrained",
    "back": "taken back to what served before, and proven",
    "kept": "not switched",
    "held": "good, but not finished",
    "broken": "BAD, and not taken back",
    "unreachable": "UNREACHABLE",
    "waiting": "untouched",
}
DONE = ("switched", "proven", "undrained")
COLUMNS = (Column("HOST"), Column("WHAT HAPPENED", wraps=True))
_GOOD = {"switch": "switched", "prove": "proven", "undrain": "undrained"}


def ending(happened: HostResult) -> Ending:
    """How one host of the schedule ended."""
    verdict, back = happened.verdict, happened.back
    if verdict is None:
        # An earlier rollout may have drained it; this one did not come that far.
        return Ending("waiting", drained=happened.drained, remedy=AGAIN if happened.drained else "")
    left = happened.drained and not happened.undrained
    # One that went back was undrained after that only where it was found good.
    left = left or (happened.drained_again and not (back is not None and back.good and happened.undrained))
    if verdict.good and happened.action != "take_back":
        return Ending(_GOOD[happened.action], drained=left, remedy=AGAIN if left else "")
    causes = verdict.causes or (happened.why,)
    if not verdict.reachable or (back is not None and not back.reachable):
        remedy = f"bring the host back, then {AGAIN}"
        return Ending("unreachable", (*causes, *(back.causes if back else ())), left, remedy)
    if verdict.good or (back is not None and back.good):
        return Ending("back", causes, left, AGAIN if left else "")
    if verdict.phase in ("undrain", "mark"):
        return Ending("held", causes, left, AGAIN)
    if not verdict.take_back:
        return Ending("kept", causes, left, AGAIN if left else "")
    way: tuple[str, ...] = back.causes if back else ()
    if back is None and happened.action != "take_back":
        way = ("there is no way back: no earlier generation served here",)
    remedy = "mend what is told above, or playbooks/rollback.yml to another generation"
    return Ending("broken", (*causes, *(f"going back: {cause}" for cause in way)), left, f"{remedy}; then {AGAIN}")


def lines(summary: Summary, screen: Screen = PAPER) -> list[str]:
    """The summary for the terminal: each host, under it its causes and what to do, and one sentence at the end."""
    hosts = [(host, [_row(end)]) for host, end in summary.endings.items()]
    hosts += [(h, [Row((f"unchanged: {why}",))]) for h, why in summary.skipped.items() if h not in summary.lost]
    hosts += [(h, [Row((f"UNREACHABLE, not switched: {summary.skipped[h]}",), WRONG)]) for h in summary.lost]
    return [
        *fleet_table(COLUMNS, hosts, screen),
        *(screen.sentence(f"gap: {gap}") for gap in summary.gaps),
        screen.sentence(told(summary)),
    ]


def _row(end: Ending) -> Row:
    below = [text for cause in end.told for text in cause.splitlines()]
    below += [f"to do: {end.remedy}"] if end.remedy else []
    tone = "" if end.what == "waiting" else CHANGED if end.what in DONE and not end.drained else WRONG
    return Row((_what(end),), tone, tuple(below))


def told(summary: Summary) -> str:
    """How it ended, in one sentence."""
    counts = {what: sum(1 for end in summary.endings.values() if end.what == what) for what in ENDINGS}
    parts = [f"{count} {ENDINGS[what]}" for what, count in counts.items() if count]
    parts += (
        [f"{len(summary.skipped) - len(summary.lost)} unchanged"] if len(summary.skipped) > len(summary.lost) else []
    )
    parts += [f"{len(summary.lost)} unreachable and not switched"] if summary.lost else []
    drained = [host for host, end in summary.endings.items() if end.drained]
    parts += [f"left drained: {folded(drained)}" if drained else "nothing is left drained by this rollout"]
    word = "complete" if summary.whole else "STOPPED" if not summary.good else "INCOMPLETE"
    return f"Rollout {word}: {'; '.join(parts)}."


def progress(summary: Summary) -> str:
    """One line while batches wait."""
    waiting = [host for host, end in summary.endings.items() if end.what == "waiting"]
    return f"{len(summary.endings) - len(waiting)} of {len(summary.endings)} hosts are done; next is {waiting[0]}."


def document(summary: Summary, identity: str, digest: str, time: str) -> Document:
    """The same for a file. `identity` is the rollout's id, `digest` names the plan, `time` is ISO 8601."""
    return {
        "schema": SCHEMA,
        "id": identity,
        "time": time,
        "plan_digest": digest,
        "complete": summary.whole,
        "stopped": not summary.good,
        "hosts": {
            host: {"what": end.what, "causes": list(end.told), "drained": end.drained, "remedy": end.remedy}
            for host, end in summary.endings.items()
        },
        "skipped": dict(summary.skipped),
        "unreachable": list(summary.lost),
        "gaps": list(summary.gaps),
    }


def _what(end: Ending) -> str:
    return ENDINGS[end.what] + (", and LEFT DRAINED" if end.drained else "")
