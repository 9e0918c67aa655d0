"""Whether anything can serve on a host's operating system at all."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import systems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose_case import Case
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding


def engine(case: Case) -> Iterator[Finding]:
    """A system that the driver has packages for, and the engine has not."""
    release = systems.supported(case.state.system)
    if release is not None and release.no_engine:
        yield Finding(
            "engine-unsupported",
            f"no engine can run on {release.title}: {release.no_engine}",
            "Install a newer release of the system; for the driver alone, write nvidia_driver_accept: [engine-unsupported]",
        )
