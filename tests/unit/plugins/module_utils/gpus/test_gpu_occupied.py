"""Whether planned models find room on GPUs that others are on, and how that is told."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.holders import Holder
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts, Gpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.occupied import Demand, RunningUnit, demands, findings
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Memory, Service
from hypothesis import given
from hypothesis import strategies as st

MIB, GIB = 2**20, 2**30
TOTAL = 80 * GIB
ID = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d"
QWEN, BGE = "vllm-qwen.service", "vllm-bge.service"


def gpu(used: int, index: int = 0, mode: str = "Default", **others: object) -> Gpu:
    values: dict[str, object] = {"memory": TOTAL, "memory_used": used, "compute_mode": mode, **others}
    return Gpu(index, "nvidia", "NVIDIA H100 80GB HBM3", f"U{index}", f"0000:{index}a:00.0", **values)  # type: ignore[arg-type]


def facts(*gpus: Gpu) -> Facts:
    return Facts("nvidia-smi", returncode=0, gpus=gpus)


def holder(pid: int = 4242, held: int | None = 38 * GIB, **others: object) -> Holder:
    given: dict[str, object] = {"memory": {"0": held}, "found": True, "kind": "C", "executable": "/usr/bin/python3.12"}
    return Holder(pid, **{**given, **others})  # type: ignore[arg-type]


def ours(unit: str = QWEN, held: int | None = 73 * GIB, pid: int = 100) -> Holder:
    return holder(pid, held, unit=unit, user="vllm", executable="/opt/vllm/0.33.0/bin/python3.12")


def docker(held: int = 38 * GIB, **others: object) -> Holder:
    named: dict[str, object] = {"runtime": "docker", "container": ID, "name": "old-vllm", "restart": "unless-stopped"}
    named.update(user="root", title="VLLM::EngineCore", unit=f"docker-{ID}.scope")
    return holder(4242, held, **{**named, **others})


def demand(share: float = 0.92, unit: str = QWEN, takes: int | None = None, gpus: tuple[int, ...] = (0,)) -> Demand:
    return Demand(unit, unit[5:-8], gpus, share, takes)


def named(found: list[Finding]) -> list[str]:
    return [finding.name for finding in found]


NEW, RESTARTED, KEPT = RunningUnit("start", "inactive"), RunningUnit("restart", "active"), RunningUnit("keep", "active")
FOREIGN = Holder(31, kind="C", memory={"0": 73 * GIB})
MIG, SPARE = gpu(60 * GIB, mig="enabled"), gpu(1 * GIB)

CASES = {
    # what is on the GPU, what units there are, what is planned -> names of findings
    "an idle GPU": (gpu(4 * MIB), [], {QWEN: NEW}, [demand()], []),
    "Docker's engine where ours shall start": (
        gpu(38 * GIB), [docker()], {QWEN: NEW}, [demand()], ["gpu-no-room", "gpu-occupied"]),
    "a model that fits beside it": (gpu(38 * GIB), [docker()], {QWEN: NEW}, [demand(0.5)], ["gpu-occupied"]),
    "a desktop beside a usual share": (
        gpu(600 * MIB), [holder(1, 300 * MIB, kind="G")], {QWEN: NEW}, [demand()], ["gpu-occupied"]),
    "our own engine, to be restarted": (gpu(74 * GIB), [ours()], {QWEN: RESTARTED}, [demand()], []),
    "our own engine, that stays": (gpu(74 * GIB), [ours()], {QWEN: KEPT}, [demand()], []),
    "ours stays, a stranger came: nothing starts, so nothing is refused": (
        gpu(79 * GIB), [ours(held=41 * GIB), docker()], {QWEN: KEPT}, [demand()], ["gpu-occupied"]),
    "ours restarts, and the stranger has taken what it would need": (
        gpu(79 * GIB), [ours(held=41 * GIB), docker()], {QWEN: RESTARTED}, [demand()], ["gpu-no-room", "gpu-occupied"]),
    "ours starts still": (
        gpu(79 * GIB), [ours(held=41 * GIB), docker()], {QWEN: RunningUnit("wait", "activating")}, [demand()],
        ["gpu-no-room", "gpu-occupied"]),
    "a unit that nobody plans any more makes room": (
        gpu(74 * GIB), [ours("vllm-old.service")], {QWEN: NEW, "vllm-old.service": RunningUnit("remove", "active")}, [demand()], []),
    "the second of two sharers finds no room": (
        gpu(20 * GIB), [docker(20 * GIB)], {QWEN: NEW, BGE: NEW}, [demand(0.46), demand(0.46, BGE)],
        ["gpu-no-room", "gpu-occupied"]),
    "the first takes less than it asks": (
        gpu(20 * GIB), [docker(20 * GIB)], {QWEN: NEW, BGE: NEW}, [demand(0.46, takes=4 * GIB), demand(0.46, BGE)],
        ["gpu-occupied"]),
    "planned on another GPU": (gpu(38 * GIB), [docker()], {QWEN: NEW}, [demand(gpus=(1,))], ["gpu-occupied"]),
    "nothing is planned": (gpu(38 * GIB), [docker()], {}, [], ["gpu-occupied"]),
    "memory that no listed process holds": (
        gpu(38 * GIB), [], {QWEN: NEW}, [demand()], ["gpu-no-room", "gpu-memory-unseen"]),
    "what an old driver keeps for itself": (gpu(620 * MIB), [], {QWEN: NEW}, [demand()], []),
    "a worker left behind": (
        gpu(38 * GIB), [ours("session-3.scope", 38 * GIB)], {QWEN: NEW}, [demand()], ["gpu-no-room", "gpu-orphan"]),
    "a worker left behind in its unit's group": (
        gpu(38 * GIB), [ours(held=38 * GIB)], {QWEN: RunningUnit("start", "failed")}, [demand()], ["gpu-no-room", "gpu-orphan"]),
    "an engine of ours' name in a container is a stranger": (
        gpu(38 * GIB), [docker(executable="/opt/vllm/bin/python3", user="vllm")], {}, [], ["gpu-occupied"]),
    "an operator's own service may run our engine": (
        gpu(38 * GIB), [ours("ray.service", 38 * GIB)], {}, [], ["gpu-occupied"]),
    "the exporter of this collection": (
        gpu(500 * MIB), [holder(9, 400 * MIB, unit="nvidia-dcgm.service")], {QWEN: NEW}, [demand()], []),
    "memory that the tool does not tell": (
        gpu(79 * GIB), [docker(None)], {QWEN: NEW}, [demand()], ["gpu-no-room", "gpu-occupied"]),
    "our own part of it is not told": (
        gpu(79 * GIB), [ours(held=None), docker()], {QWEN: RESTARTED}, [demand()], ["gpu-occupied"]),
    "a GPU that is shared with the system": (
        gpu(0, memory=None, memory_used=None), [docker()], {QWEN: NEW}, [demand()], ["gpu-occupied"]),
    "slices hold what their processes are listed with": (MIG, [], {}, [], []),
    "Exclusive_Process, and a small stranger": (
        gpu(GIB, mode="Exclusive_Process"), [docker(GIB // 2)], {QWEN: NEW}, [demand()], ["gpu-no-room", "gpu-occupied"]),
    "Exclusive_Process, and only a desktop": (
        gpu(GIB, mode="Exclusive_Process"), [holder(1, 300 * MIB, kind="G")], {QWEN: NEW}, [demand(0.8)], ["gpu-occupied"]),
    "Exclusive_Process, and our own": (gpu(74 * GIB, mode="Exclusive_Process"), [ours()], {QWEN: RESTARTED}, [demand()], []),
    # In a container and in a guest with a vGPU our engines are listed without a name, or not at all.
    "our own engine, that is not listed": (
        gpu(74 * GIB), [], {QWEN: RESTARTED}, [demand()], ["gpu-memory-unseen", "gpu-room-unknown"]),
    "our own engine, listed by the PID of another namespace": (
        gpu(74 * GIB), [FOREIGN], {QWEN: RESTARTED}, [demand()], ["gpu-occupied", "gpu-room-unknown"]),
    "the same in Exclusive_Process": (
        gpu(74 * GIB, mode="Exclusive_Process"), [FOREIGN], {QWEN: RESTARTED}, [demand()], ["gpu-occupied", "gpu-room-unknown"]),
    "ours is not listed and makes room for another": (
        gpu(74 * GIB), [], {QWEN: NEW, "vllm-old.service": RunningUnit("remove", "active")}, [demand()],
        ["gpu-memory-unseen", "gpu-room-unknown"]),
    "what is not listed may be ours, and a stranger has too much all the same": (
        gpu(79 * GIB), [docker()], {QWEN: RESTARTED}, [demand()], ["gpu-no-room", "gpu-occupied", "gpu-memory-unseen"]),
    "what is not listed is not ours, which is": (
        gpu(79 * GIB), [ours(held=41 * GIB)], {QWEN: RESTARTED}, [demand()], ["gpu-no-room", "gpu-memory-unseen"]),
    "ours is not listed and stays": (
        gpu(74 * GIB), [], {QWEN: KEPT, BGE: NEW}, [demand(0.3, BGE)], ["gpu-no-room", "gpu-memory-unseen"]),
    # One that tries to start again and again has no process, and what is in its way is another's.
    "ours starts still and is not listed": (
        gpu(74 * GIB), [], {QWEN: RunningUnit("wait", "activating")}, [demand()], ["gpu-no-room", "gpu-memory-unseen"]),
    # Shares that cannot start for what the driver keeps are the plan's business: nobody is in the way.
    "the whole GPU, and nobody on it": (gpu(4 * MIB), [], {QWEN: NEW}, [demand(1.0)], []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_cannot_start_is_refused_and_nothing_else(
    case: tuple[Gpu, list[Holder], dict[str, RunningUnit], list[Demand], list[str]],
) -> None:
    there, holders, units, planned, expected = case
    found = findings(facts(there), holders, units, planned)
    assert named(found) == expected
    assert [finding.name for finding in found if finding.fatal] == [name for name in expected if name == "gpu-no-room"]


def test_the_refusal_names_who_is_there_the_key_and_what_would_fit() -> None:
    [refused, told] = findings(facts(gpu(38 * GIB)), [docker(seconds=259300.0)], {QWEN: NEW}, [demand()])
    for words in (
        "vllm_models.qwen asks 75366 MiB of GPU 0 (0000:0a:00.0) at its start (gpu-memory-utilization 0.92 of 81920 MiB)",
        "43008 MiB are left",
        "pid 4242 (VLLM::EngineCore, /usr/bin/python3.12, user root, docker container old-vllm, for 3 d): GPU 0 38912 MiB",
        "lower vllm_models.qwen.args.gpu-memory-utilization to 0.52 at most",
        "docs/takeover.md",
    ):
        assert words in str(refused)
    assert "docker update --restart=no old-vllm, docker stop old-vllm" in told.remedy


def test_room_that_is_not_known_is_told_with_the_unit_that_may_hold_it() -> None:
    found = findings(facts(gpu(74 * GIB)), [], {QWEN: RESTARTED}, [demand()])
    assert "75776 MiB are held by processes that cannot be named, and vllm-qwen.service runs and is not listed" in str(
        found[1]
    )


def test_the_server_of_mps_is_named_with_its_own_way_to_end() -> None:
    server = holder(9, 3 * GIB, executable="/usr/bin/nvidia-cuda-mps-server", user="root", unit="nvidia-mps.service")
    [told] = findings(facts(gpu(3 * GIB)), [server], {}, [])
    assert "echo quit | nvidia-cuda-mps-control" in told.remedy


def test_what_would_fit_does_fit() -> None:
    [refused, __] = findings(facts(gpu(38 * GIB)), [docker()], {QWEN: NEW}, [demand()])
    share = float(refused.remedy.partition("gpu-memory-utilization to ")[2].split()[0])
    assert named(findings(facts(gpu(38 * GIB)), [docker()], {QWEN: NEW}, [demand(share)])) == ["gpu-occupied"]


def test_a_full_gpu_has_no_share_to_offer() -> None:
    [refused, __] = findings(facts(gpu(79 * GIB)), [docker(79 * GIB)], {QWEN: NEW}, [demand()])
    assert "lower" not in refused.remedy


def test_a_model_over_two_gpus_is_refused_for_the_one_that_is_taken() -> None:
    found = findings(
        facts(gpu(4 * MIB), gpu(38 * GIB, 1)), [docker(memory={"1": 38 * GIB})], {QWEN: NEW}, [demand(gpus=(0, 1))]
    )
    assert named(found) == ["gpu-no-room", "gpu-occupied"]
    assert "of GPU 1 (0000:1a:00.0)" in found[0].message


def service(*options: str, release: str = "0.33.0", weights: int | None = None) -> Service:
    argv = ("/opt/vllm/0.33.0/bin/vllm", "serve", "/m", "--port", "8100", *options)
    return Service("qwen", unit=QWEN, argv=argv, release=release, gpus=(0, 1), memory=Memory(weights=weights))


@pytest.mark.parametrize(
    ("planned", "share", "takes"),
    [
        # Defaults of the releases: 0.9 up to 0.19.1, 0.92 from 0.20.0 on (vllm/config/cache.py).
        (service(), 0.92, None),
        (service(release="0.19.0"), 0.9, None),
        (service("--gpu-memory-utilization", "0.4"), 0.4, None),
        # The share is asked for all the same.
        (service("--kv-cache-memory-bytes", "8G", weights=16 * GIB), 0.92, 24 * GIB),
        (service("--kv-cache-memory-bytes", "8G"), 0.92, 8 * GIB),
    ],
)
def test_a_plans_units_ask_what_vllm_asks(planned: Service, share: float, takes: int | None) -> None:
    assert demands([planned]) == [Demand(QWEN, "qwen", (0, 1), share, takes)]


@pytest.mark.parametrize(
    "options",
    [
        ("--load-format", "ipc_cache"),
        ("--distributed-executor-backend", "ray"),
        ("--data-parallel-backend", "ray"),
    ],
)
def test_what_an_engine_asks_beside_what_lies_elsewhere_is_not_guessed(options: tuple[str, ...]) -> None:
    assert demands([service(*options)]) == []


held = st.integers(0, TOTAL)
shares = st.floats(0.02, 1.0)
verbs = st.sampled_from(["start", "restart", "keep", "wait", "remove", ""])
states = st.sampled_from(["active", "activating", "inactive", "failed", ""])


@given(
    stranger=held,
    own=held,
    planned=st.lists(shares, min_size=1, max_size=3),
    verb=verbs,
    state=states,
    mode=st.sampled_from(["Default", "Exclusive_Process", ""]),
)
def test_more_memory_in_others_hands_never_lets_more_start(
    stranger: int, own: int, planned: list[float], verb: str, state: str, mode: str
) -> None:
    names = [f"vllm-m{number}.service" for number in range(len(planned))]
    units = {name: RunningUnit(verb, state) for name in names}
    asked = [demand(share, name) for share, name in zip(planned, names)]

    def refused(strangers: int) -> int:
        there = [docker(strangers), ours(names[0], own)]
        used = min(TOTAL, strangers + own)
        return named(findings(facts(gpu(used, mode=mode)), there, units, asked)).count("gpu-no-room")

    assert refused(stranger // 2) <= refused(stranger) or mode == "Exclusive_Process"
    if verb in ("keep", "remove", ""):
        assert refused(stranger) == 0
