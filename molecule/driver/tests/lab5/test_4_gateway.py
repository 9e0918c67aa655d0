"""A host that serves behind a gateway while its driver is changed: drained first, and no rollout begins meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gpu_lab import A100, DEBIAN, FIRST, INVENTORY, SECOND, asked, hardware, works
from testlab import STANDIN_RELEASE, Playing, ask, command, host, install_standin, playbook, received, show

UNIT, PORT, CLIENT = "vllm-chat.service", 8080, "client-key-no-secret"
DROP_INS = f"/etc/systemd/system/{UNIT}.d"
FLEET = {
    "vllm_version": STANDIN_RELEASE,
    "vllm_models": {"chat": {"model": "/srv/stand-in", "kind": "chat", "hosts": DEBIAN, "gpus": 1, "port": 8101}},
    "gateway_port": PORT,
    "gateway_keys": {"client": CLIENT},
}  # fmt: skip


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """The inventories of a fleet of one host that is its own gateway."""
    inventory = tmp_path_factory.mktemp("inventory") / "gateways.json"
    inventory.write_text(json.dumps({"gateways": {"hosts": {DEBIAN: {}}}}))
    inventories = [INVENTORY, inventory]
    hardware(DEBIAN, gpus=[A100, A100])
    assert asked(DEBIAN, FIRST).rc == 0
    install_standin(DEBIAN, accelerator="cuda", start=0.2)
    # A stand-in engine opens no GPU by itself.
    host(DEBIAN).check_output(
        f"mkdir {DROP_INS} && printf '[Service]\\nStandardInput=file:/dev/nvidia0\\n' > {DROP_INS}/gpu.conf"
    )
    yield inventories
    gone: dict[str, Any] = {**FLEET, "vllm_models": {}, "gateway_state": "absent", "nvidia_driver_version": SECOND}
    assert playbook("site", "--limit", DEBIAN, inventories=inventories, **gone).rc == 0
    host(DEBIAN).check_output(f"rm -r {DROP_INS} /opt/vllm/{STANDIN_RELEASE} /srv/stand-in")


def drains() -> str:
    return str(host(DEBIAN).run("cat /var/lib/haproxy-vllm/drains.json").stdout)


def answers() -> bool:
    body = {"model": "chat", "messages": [{"role": "user", "content": "?"}], "max_tokens": 2}
    return ask(DEBIAN, PORT, "/v1/chat/completions", body, CLIENT)[0] == 200


def test_a_host_is_drained_while_its_driver_is_changed_and_no_rollout_begins(doors: list[Path]) -> None:
    one: dict[str, Any] = {"inventories": doors, **FLEET}
    assert playbook("site", "--limit", DEBIAN, nvidia_driver_version=FIRST, **one).rc == 0
    assert answers()
    before = show(host(DEBIAN), UNIT, "MainPID")
    change = Playing(command("driver", "--limit", DEBIAN, nvidia_driver_version=SECOND, **one))
    change.reaches("drain | Stop models gracefully")
    assert f"driver change of {DEBIAN}" in drains()
    rollout = playbook("rollout", "--limit", DEBIAN, nvidia_driver_version=SECOND, **one)
    done = change.end()
    assert rollout.rc != 0
    assert "holds the rollout" in rollout.text
    assert "driver change" in rollout.text
    assert done.rc == 0
    works(DEBIAN, SECOND)
    assert show(host(DEBIAN), UNIT, "MainPID") != before
    assert "driver change" not in drains()
    assert not host(DEBIAN).file("/var/lib/vllm/rollout.lock").exists
    assert answers()
    assert received(DEBIAN, UNIT)
