"""What the control node prepares for the units of one host: their texts and the files they need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.unit import render_unit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service
from ansible_collections.baremetal.vllm.plugins.plugin_utils.templates import environment

UNIT_TEMPLATE = "etc/systemd/system/vllm-model.service.j2"
SECRETS = "/etc/vllm/secrets/api_key.env"
# Files of every host that serves, by their path below templates/, with their modes.
FILES = {
    "etc/sysusers.d/vllm.conf": "0644",
    "etc/tmpfiles.d/vllm.conf": "0644",
    "etc/needrestart/conf.d/vllm-engines.conf": "0644",
    "usr/local/libexec/vllm-wait-ready": "0755",
}


def render_units(templates: Path, services: Sequence[Service]) -> list[PlannedUnit]:
    """The units of planned services."""
    template = environment(templates).get_template(UNIT_TEMPLATE)
    return [render_unit(template, service, SECRETS) for service in services]


def host_files(templates: Path) -> list[dict[str, str]]:
    """The other files as the modules take them: path, content, mode."""
    return [{"path": f"/{f}", "content": (templates / f).read_text(), "mode": mode} for f, mode in FILES.items()]
