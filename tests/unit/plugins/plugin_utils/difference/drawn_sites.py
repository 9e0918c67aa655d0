"""What an operator may have written about one host: a menu and the site's variables, as the plan and the roles take them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, Outcome, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import HostPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.fingerprint import fingerprint
from hypothesis import strategies as st

HOST = "gpu1"
# On the host, and on the control node.
LYING, PUSHED = "/srv/models/lying", Path(__file__).parent / "pushed-model"
COMMITS = ("495f39366efef23836d0cfae4fbe635880d2be31", "5d5e9f36e4c3a0b7c6d6cba4d1b6b5f1f9f1c0a2")
SOURCES: tuple[dict[str, str], ...] = (
    {"model": "Org/Model", "revision": COMMITS[0]},
    {"model": "Org/Model", "revision": COMMITS[1]},
    {"model": LYING},
    {"push_from": str(PUSHED)},
)
NAMES = ("alpha", "beta", "gamma")


@dataclass(frozen=True)
class Site:
    """`models`: the menu; `host`: the host's own variables; `site`: those of the roles."""

    models: Mapping[str, Mapping[str, Any]]
    host: Mapping[str, Any]
    site: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def outcome(self) -> Outcome:
        """The plan of it; it has no problems."""
        digest, __ = fingerprint(str(PUSHED))
        planned = plan_fleet(
            Inventory(
                menu=read_menu(self.models),
                hosts={HOST: self.host},
                match=lambda pattern: [HOST],
                digests={str(PUSHED): digest},
                keyed="vllm_api_key" in self.site,
            )
        )
        assert not planned.problems, [str(problem) for problem in planned.problems]
        return planned

    @property
    def plan(self) -> HostPlan:
        """The host's part."""
        return self.outcome.fleet.hosts[HOST]

    @property
    def variables(self) -> dict[str, Any]:
        """The variables of a task on the host."""
        engines = {"vllm_engine_source": "index"}
        return {**engines, **self.site, "__vllm_plan": {"plan": self.outcome.plan, "digest": self.outcome.digest}}


def _model(source: Mapping[str, str], length: str, env: Mapping[str, str]) -> dict[str, Any]:
    return {**source, "kind": "chat", "args": {"max-model-len": length}, "env": dict(env)}


MODELS = st.builds(
    _model,
    st.sampled_from(SOURCES),
    st.sampled_from(("8k", "16k")),
    st.sampled_from(({}, {"VLLM_LOGGING_LEVEL": "DEBUG"})),
)
GPUS = {"vllm_accelerator": "cuda", "gpu_count": 8}
HOSTS = st.builds(
    lambda kind, release, sources: {**kind, "vllm_version": release, **sources},
    st.sampled_from(({"vllm_accelerator": "cpu"}, GPUS)),
    st.sampled_from(("0.32.0", "0.33.0")),
    st.sampled_from(({}, {"vllm_endpoint_sources": ["10.1.0.0/16", "fd00::5"]})),
)
VARIABLES = st.fixed_dictionaries(
    # An endpoint that others reach is guarded by a key.
    {"vllm_api_key": st.sampled_from(("first-key", "second-key"))},
    optional={
        "vllm_secret_env": st.sampled_from(({}, {"TOKEN_OF_TOOLS": 'a "quoted" \\ word'})),
        "vllm_hf_token": st.sampled_from(("", "hf_first", "hf_second")),
        "canary_state": st.sampled_from(("present", "absent")),
        "canary_interval": st.sampled_from((15, 60)),
        "endpoint_firewall_host": st.booleans(),
        "model_weights_offline": st.booleans(),
        "vllm_engine_prune": st.booleans(),
    },
)


@st.composite
def sites(draw: st.DrawFn) -> Site:
    """What is written about the host, from nothing at all to three models."""
    models = draw(st.dictionaries(st.sampled_from(NAMES), MODELS, max_size=3))
    return Site(models, draw(HOSTS), draw(VARIABLES))
