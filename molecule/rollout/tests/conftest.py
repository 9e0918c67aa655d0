"""The fleet is brought up once for all files of this scenario, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rollout_fleet import GATEWAY, GOOD, HOSTS, OLD, each, offer, play, ssh, trouble


@pytest.fixture(scope="session")
def fleet() -> Iterator[None]:
    for release in GOOD:
        offer(release)
    run = play("site")
    assert run.rc == 0, run.text
    yield
    assert play("site", vllm_models={}, gateway_state="absent").rc == 0
    each(lambda name: ssh(name, "rm -rf /opt/vllm/9.9.* /srv/stand-in"), *HOSTS)
    left = ssh(GATEWAY, "ls /etc/systemd/system | grep -e vllm || true")
    assert not left, f"left on the gateway: {left}"


@pytest.fixture
def steady(fleet: None) -> None:
    """A whole fleet on good releases, both of them laid out everywhere, whatever the test before did to it."""
    for release in GOOD:
        offer(release)
    if trouble():
        run = play("rollout", version=OLD)
        assert run.rc == 0, run.text
    assert not trouble()
