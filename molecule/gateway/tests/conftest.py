"""Stand-in engines on both machines, and the door in front of them, before the first test."""

from __future__ import annotations

import pytest
from door import GATEWAYS, STARTED, ask, gateway, start_engine
from testlab import install_standin, wait_until


def pytest_sessionstart(session: pytest.Session) -> None:
    for name, models in STARTED.items():
        install_standin(name, first=0.05, rate=20.0)
        for model in models:
            start_engine(name, model)
    run = gateway()
    assert run.rc == 0, run.text
    for where in GATEWAYS:
        wait_until(lambda where=where: all_up(where), 60, f"the engines behind {where}")


def all_up(where: str) -> bool:
    import door

    embedding = {"input": "hi", "model": "embedder"}
    return door.chat(where).status == 200 and ask(where, "/v1/embeddings", embedding).status == 200


@pytest.fixture(params=GATEWAYS, ids=("haproxy2.6", "haproxy3.0"))
def where(request: pytest.FixtureRequest) -> str:
    """Each gateway in turn."""
    return str(request.param)
