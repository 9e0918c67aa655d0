"""`make bench`: what the toolkit costs, as ratios measured side by side in one run on the lab of `make demo`.

(c) a first deployment against the same commands typed by hand, on one host, real engine;
(a) `site.yml` with nothing to do, and `status.yml`, against the floor: the same hosts, facts and one module call, real engines;
(b) the same with 8 models per host against 1, with the stand-in engine (24 real engines do not fit on one computer);
(e) the gateway: what it adds to the first token, and 2,000 streams at once, with the stand-in engine;
(d) the plan of 1,000 hosts with 8 models each, against reading the same menu from YAML and against an empty play on them.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "molecule" / "shared"))
import bench_gateway
import testlab
import yaml
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu

HOSTS = ("lab1", "lab2", "lab3")
HOST = "lab3"
PORT = 8999
FLOOR = """
- hosts: gpu_hosts
  tasks:
    - ansible.builtin.ping:
"""


def main() -> None:
    menu = demo_menu()
    rows = [*at_scale(), *first_deployment(menu), *nothing_to_do(menu), more_models()]
    lines = bench_gateway.measure()
    print("Back to the demo")
    site({})
    print(f"\n{'measured':<66} {'this':>8} {'against':>8} {'ratio':>6}  goal")
    for name, this, against, goal in rows:
        print(f"{name:<66} {this:>6.1f} s {against:>6.1f} s {this / against:>6.2f}  {goal}")
    print("\n".join(lines))


def demo_menu() -> dict[str, Any]:
    """The demo's menu with the embedding model on a third host too, so that three hosts serve."""
    done = subprocess.run(
        ["ansible", "-i", "inventories/lab", "lab1", "-m", "ansible.builtin.debug", "-a", "var=vllm_models"],
        cwd=ROOT, env=testlab.environment(ANSIBLE_CALLBACK_RESULT_FORMAT="json"), capture_output=True, text=True, check=True,
    )  # fmt: skip
    menu: dict[str, Any] = json.loads(done.stdout.partition("=>")[2])["vllm_models"]
    menu["all-minilm-l6-v2"]["hosts"] = "lab2,lab3"
    return menu


def played(name: str, variables: dict[str, Any], *arguments: str) -> float:
    """Seconds that a playbook took, as an operator starts it, in a process of its own; ends the benchmark where it failed."""
    words, started = testlab.command(name, *arguments, **variables), time.monotonic()
    done = subprocess.run(words, cwd=ROOT, env=testlab.environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{name}.yml failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - started


site, status = partial(played, "site"), partial(played, "status")


def ssh(script: str, **more: Any) -> None:
    subprocess.run(["ssh", "-F", str(testlab.STATE / "ssh" / "config"), HOST, script], check=True, **more)


def strip() -> None:
    """One host as it was before anything was deployed, uv's cache gone too; system packages stay, for both ways alike."""
    ssh(
        "systemctl list-units --plain --no-legend 'vllm-*' | cut -d' ' -f1 | xargs -r systemctl disable --now 2>/dev/null;"
        "rm -rf /etc/systemd/system/vllm-* /opt/vllm /var/lib/vllm /var/cache/vllm /root/by-hand /root/.cache;"
        "systemctl daemon-reload; sync"
    )


def first_deployment(menu: dict[str, Any]) -> list[tuple[str, float, float, str]]:
    """site.yml against typing it: once with the modules compiled at installation, as pip does, and once without."""
    print("First deployment: system packages are installed once, for all ways")
    site({"vllm_models": menu})
    by_hand = {}
    for flag in ("--compile-bytecode", ""):
        strip()
        print(f"  by hand, uv pip install {flag}")
        by_hand[flag] = timed(partial(bare_commands, Path(menu["all-minilm-l6-v2"]["push_from"]), flag))
        ssh("pkill -f '[v]llm serve'; sleep 3; true")
    strip()
    print("  by site.yml")
    own = site({"vllm_models": menu}, "--limit", HOST)
    return [
        ("a first deployment, against the bare commands by hand", own, by_hand["--compile-bytecode"], "at most 1.15"),
        ("  the same, where the person leaves out --compile-bytecode", own, by_hand[""], "none"),
    ]


def bare_commands(model: Path, flag: str) -> None:
    """What a person would type: copy, install, start, wait for the first answer."""
    house = wheelhouse()
    ssh("mkdir -p /root/by-hand/model && tar -C /root/by-hand -x", stdin=tar(house))
    ssh("tar -C /root/by-hand/model -x", stdin=tar(model))
    ssh(
        "cd /root/by-hand && python3 -m zipfile -e tools/uv-*.whl uv && UV=$(find uv -name uv -type f) && chmod +x $UV &&"
        "$UV venv -q --python python3 engine &&"
        "$UV pip install -q --python engine/bin/python --offline --no-index --find-links wheels --no-deps --require-hashes"
        f" {flag} -r requirements.lock"
    )
    ssh(
        "cd /root/by-hand && export OMP_NUM_THREADS=1 VLLM_CPU_OMP_THREADS_BIND=nobind HF_HUB_OFFLINE=1 &&"
        f"(PATH=$PWD/engine/bin:$PATH setsid nohup vllm serve model --port {PORT} --enforce-eager"
        " --kv-cache-memory-bytes 32M > log 2>&1 &)"
    )
    body = {"model": "model", "input": "ready?"}
    testlab.wait_until(
        lambda: testlab.ask(HOST, PORT, "/v1/embeddings", body)[0] == 200, 300, "the engine started by hand answers"
    )


def wheelhouse() -> Path:
    # One that could not be fetched whole has no manifest.
    found = sorted((testlab.CACHE / "wheelhouse").glob("*-cpu-*/manifest.json"))
    return found[-1].parent if found else sys.exit("There is no wheelhouse: run `make demo` first.")


def tar(directory: Path) -> Any:
    return subprocess.Popen(["tar", "-C", str(directory), "-c", "."], stdout=subprocess.PIPE).stdout


def nothing_to_do(menu: dict[str, Any], runs: int = 5) -> list[tuple[str, float, float, str]]:
    print("Nothing to do, three hosts, real engines")
    site({"vllm_models": menu})
    rows = []
    for what, run in (("nothing to do", site), ("status", status)):
        this, floor = pairs(partial(run, {"vllm_models": menu}), run_floor, runs)
        rows.append((f"{what} on 3 hosts, against facts and one module call", this, floor, "at most 1.5"))
    return rows


def run_floor() -> float:
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(FLOOR)
        file.flush()
        command = ["ansible-playbook", "-i", "inventories/lab", file.name]
        return timed(
            lambda: subprocess.run(command, cwd=ROOT, env=testlab.environment(), capture_output=True, check=True)
        )


def more_models(runs: int = 3) -> tuple[str, float, float, str]:
    print("8 models per host against 1, stand-in engine")
    for name in HOSTS:
        testlab.install_standin(name)
    one, eight = (
        {
            "vllm_version": testlab.STANDIN_RELEASE,
            "vllm_models": {f"m{i}": {"model": "/srv/stand-in", "kind": "chat"} for i in range(count)},
        }
        for count in (1, 8)
    )
    site(eight)
    many = statistics.median(site(eight) for __ in range(runs))
    site(one)
    few = statistics.median(site(one) for __ in range(runs))
    return ("nothing to do with 8 models per host, against 1", many, few, "at most 1.1")


def at_scale(runs: int = 3) -> list[tuple[str, float, float, str]]:
    print("The plan of 1,000 hosts with 8 models each")
    hosts = {f"gpu{number:04}": None for number in range(1000)}
    declared = {"vllm_accelerator": "cuda", "vllm_version": "0.33.0", "gpu_count": 8, "gpu_name": "H100-80GB"}
    each = {f"m{number}": model(number) for number in range(8)}
    # 8,000 models that have nothing in common, so that nothing is worked out once for many.
    own = {f"{host}-m{number}": {**model(number), "hosts": host} for host in hosts for number in range(8)}
    text = yaml.dump(own, Dumper=yaml.CSafeDumper)
    inventory = Inventory(
        menu=read_menu(own), hosts=dict.fromkeys(hosts, declared), match=lambda host: [host], keyed=True
    )
    pure, read = pairs(
        lambda: timed(lambda: plan_fleet(inventory)),
        lambda: timed(lambda: yaml.load(text, Loader=yaml.CSafeLoader)),
        runs,
    )
    with tempfile.TemporaryDirectory() as folder:
        group = {"hosts": hosts, "vars": {**declared, "vllm_api_key": "bench", "vllm_models": each}}
        file, empty = Path(folder, "hosts.json"), Path(folder, "empty.yml")
        file.write_text(json.dumps({"gpu_hosts": group}))
        empty.write_text("- hosts: gpu_hosts\n  gather_facts: false\n  tasks: [{ansible.builtin.meta: noop}]\n")
        command, floor = pairs(
            lambda: timed(lambda: run_play("playbooks/plan.yml", file)),
            lambda: timed(lambda: run_play(empty, file)),
            runs,
        )
    return [
        ("plan_fleet of 8,000 models, against reading them from YAML", pure, read, "this below 5 s"),
        ("plan.yml of 1,000 hosts × 8 models, against an empty play", command, floor, "at most 5"),
    ]


def model(number: int) -> dict[str, Any]:
    """An entry as fleets have them: a dozen options of every form."""
    args = {
        "max-model-len": "32k",
        "max-num-seqs": 64 + number,
        "enable-prefix-caching": True,
        "enable-auto-tool-choice": True,
        "tool-call-parser": "hermes",
        "compilation-config": {"mode": 3},
        "limit-mm-per-prompt": {"image": 2},
        "kv-cache-dtype": "fp8",
        "dtype": "bfloat16",
        "seed": number,
        "gpu-memory-utilization": 0.9,
        "uvicorn-log-level": "warning",
    }
    commit = "495f39366efef23836d0cfae4fbe635880d2be31"
    return {"model": f"Org/Model-{number}", "revision": commit, "kind": "chat", "gpus": 1, "args": args}


def run_play(playbook: Path | str, inventory: Path) -> None:
    subprocess.run(
        ["ansible-playbook", "-i", str(inventory), str(playbook)],
        cwd=ROOT, env=testlab.environment(), capture_output=True, check=True,
    )  # fmt: skip


def pairs(this: Callable[[], float], against: Callable[[], float], runs: int) -> tuple[float, float]:
    """Medians of both, taken in turn so that a machine that drifts drifts for both."""
    taken = [(this(), against()) for __ in range(runs)]
    return statistics.median(a for a, __ in taken), statistics.median(b for __, b in taken)


def timed(action: Callable[[], Any]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


if __name__ == "__main__":
    main()
