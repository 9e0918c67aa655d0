"""`make bench-growth`: runs on fleets of growing size, the floor beside each; docs/dev/growth.md.

python -m ansible_collections.baremetal.vllm.tools.growth [--hosts 3,30,100] [--runs site,status] [--times 1]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan
from ansible_collections.baremetal.vllm.tools.growth import fleet, record
from ansible_collections.baremetal.vllm.tools.growth.run import Cost, Run, play

SIZES = (3, 30, 100, 300, 1000)
FORKS = 25
FLOOR = """
- hosts: gpu_hosts
  tasks:
    - ansible.builtin.ping:
"""


@dataclass(frozen=True)
class Kind:
    """One kind of run: the arguments of its command, the modules that each host is asked for, a sentence that is printed where
    nothing differs (`{endpoints}`: their number), and what the run asks for besides, as `record.write` takes it."""

    words: tuple[str, ...]
    asked: tuple[str, ...] = ("host_state",)
    sentence: str = ""
    answers: bool = False
    gpus: bool = False


KINDS = {
    "floor": Kind((), ("ping", "setup")),
    "plan --diff": Kind(("playbooks/plan.yml", "--diff"), sentence="\n{endpoints} unchanged\n", gpus=True),
    "status": Kind(("playbooks/status.yml",), sentence="all as planned, all answer", answers=True, gpus=True),
    "site": Kind(
        ("playbooks/site.yml",),
        sentence="{endpoints} of {endpoints} endpoints passed",
        answers=True,
        gpus=True,
    ),
}


def main() -> None:
    """Measure, print the table; ends with status 1 where a run was not what it is to be."""
    parser = argparse.ArgumentParser(prog="make bench-growth", description=__doc__)
    parser.add_argument("--hosts", default=",".join(map(str, SIZES)), help="sizes of fleets, %(default)s by default")
    parser.add_argument("--runs", default=",".join(KINDS), help="kinds of runs, %(default)s by default")
    parser.add_argument("--times", type=int, default=1, help="runs of each kind; the median counts")
    given = parser.parse_args()
    kinds = dict.fromkeys(["floor", *given.runs.split(",")])
    if unknown := sorted(set(kinds) - set(KINDS)):
        parser.error(f"--runs: {', '.join(unknown)} is none of {', '.join(KINDS)}")
    print(f"{'hosts':>5}  {'run':<12} {'wall s':>7} {'CPU ms a host':>14} {'to floor':>9} {'memory MiB':>11}")
    for count in map(int, given.hosts.split(",")):
        for line in _measure(count, list(kinds), given.times):
            print(line, flush=True)


def _measure(count: int, kinds: Sequence[str], times: int) -> Iterator[str]:
    """The lines of one size. Kinds take turns, so that a computer that drifts drifts for all."""
    planned = fleet.plan(count)
    taken: dict[str, list[Cost]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as made:
        for __ in range(times):
            for kind in kinds:
                taken[kind].append(_run(Path(made), kind, count, planned))
    cpu = {kind: statistics.median(cost.cpu for cost in costs) for kind, costs in taken.items()}
    for kind, costs in taken.items():
        wall, memory = (statistics.median(getattr(cost, key) for cost in costs) for key in ("wall", "memory"))
        each, ratio = cpu[kind] / count * 1000, cpu[kind] / cpu["floor"]
        yield f"{count:>5}  {kind:<12} {wall:>7.1f} {each:>14.0f} {ratio:>9.2f} {memory:>11.0f}"


def _run(place: Path, name: str, count: int, planned: FleetPlan) -> Cost:
    """What one run costs, which is held to its outcome."""
    kind, answers = KINDS[name], place / "answers"
    answers.mkdir(exist_ok=True)
    (answers / "asked").unlink(missing_ok=True)
    record.write(answers, planned, kind.answers, kind.gpus)
    if not (answers / "setup.json").exists():
        record.write_setup(answers)
    floor, inventory = place / "floor.yml", place / "hosts.json"
    floor.write_text(FLOOR)
    fleet.write_inventory(inventory, count)
    words = [*(kind.words or (str(floor),)), "-i", str(inventory), "--forks", str(FORKS)]
    run = play([*words, "-e", f"vllm_report_path={place / 'report.json'}"], answers, place / "output")
    if wrong := list(_wrong(kind, run, count, (answers / "asked").read_text())):
        sys.exit(f"{name} on {count} hosts is not what it is to be: {'; '.join(wrong)}\n{run.text[-4000:]}")
    return run.cost


def _wrong(kind: Kind, run: Run, count: int, asked: str) -> Iterator[str]:
    """What a run of a fleet with nothing to do would not have."""
    if run.status:
        yield f"exit status {run.status}"
    for host, counts in run.recap.items():
        if bad := [key for key in ("changed", "failed", "unreachable", "ignored") if counts.get(key)]:
            yield f"{host} has {', '.join(bad)}"
    sentence = kind.sentence.format(endpoints=count * fleet.MODELS)
    if sentence not in run.text:
        yield f"it does not say: {sentence}"
    questions = Counter(asked.splitlines())
    for host in (*fleet.hosts(count), *(fleet.gateways() if kind.words else ())):
        found = {line.partition(" ")[2]: n for line, n in questions.items() if line.startswith(f"{host} ")}
        if found != dict.fromkeys(kind.asked, 1):
            yield f"{host} was asked {found}"
            return


if __name__ == "__main__":
    main()
