"""Whether the declared NVIDIA driver can run a release's wheel, and whether it knows the GPU.

Which driver runs which CUDA says `data/cuda.yml`, which CUDA a release's wheel is built for the catalogue.
"""

from __future__ import annotations

import re

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import cuda
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import KnownGpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release as load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import releases
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release

_BRANCH = re.compile(r"\d{3}")


def check_driver(
    driver: str, gpu: KnownGpu | None, release: Release | None, problems: Problems, host: str = ""
) -> None:
    """Refuse a driver ("580" or "580.95.05") that cannot run the release or its GPU; "" says nothing."""
    branch = _BRANCH.match(driver)
    if branch is None:
        return
    number, at, unknown = int(branch[0]), f"{HOSTS}.nvidia_driver_version", False
    known = cuda.read()
    for capability, toolkit in known.generations.items():
        first = known.toolkits[toolkit]
        if gpu is not None and gpu.capability is not None and gpu.capability >= capability and number < first:
            problems.add(
                at,
                f"driver {driver} does not know the {gpu.name}: its generation came with {first}",
                f'Write nvidia_driver_version: "{first}" or newer',
                host,
            )
            unknown = True
    if release is None or not re.fullmatch(r"\d+\.\d+", release.cuda):
        return
    built = cuda.pair(release.cuda)
    least, own = known.majors.get(built[0]), known.toolkits.get(built, 0)
    if least is not None and number < least:
        older = _newest_for(number)
        problems.add(
            at,
            f"driver {driver} cannot run vLLM {release.version}, whose wheel is built for CUDA {release.cuda}: "
            f"that needs {least} or newer",
            f'Write nvidia_driver_version: "{least}" or newer' + (f", or run vLLM {older} at most" if older else ""),
            host,
        )
    elif number < own and not unknown:
        problems.warn(
            at,
            f"driver {driver} is older than the one CUDA {release.cuda} came with ({own}), for which the wheel "
            f"of vLLM {release.version} is built: it runs by CUDA's minor version compatibility, but nothing that has to be "
            "compiled from PTX does",
            f'Write nvidia_driver_version: "{own}" if a kernel is missing at start ("provided PTX was compiled '
            'with an unsupported toolchain")',
            host,
        )


def _newest_for(branch: int) -> str:
    """The newest known release whose wheel a driver of this branch runs, or ""."""
    for version in reversed(releases()):
        known = load(version)
        if known is not None and known.cuda and cuda.read().majors.get(cuda.pair(known.cuda)[0], 10**6) <= branch:
            return version
    return ""
