#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.driver; the action plugin of the same name decides and follows what runs."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: driver
short_description: Tell what a GPU driver of a host needs, and carry it out
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
description:
  - O(step=look) tells everything about a host's NVIDIA driver in one look - GPUs on the PCI bus, kernels with the module that
    each would load, what is loaded, packages with what holds them, DKMS, firmware, Secure Boot, nouveau, services, Xids, who
    uses the GPUs, and nvidia-smi where the module is loaded. What cannot be read is left out of the answer. A tool that hangs
    is given up after 30 seconds, and that is told. The action plugin judges what was seen, and decides what is to be done.
  - O(step=look_amd) does the same of ROCm - GPUs, kernels, the amdgpu module, packages, repositories and what C(amd-smi) says -,
    compares it with the wanted release, and refuses where something stands in the way.
  - Looks change nothing.
  - O(step=files) writes package sources, pins and module settings as a set, removes others, and has the package manager read
    its lists anew when one of them is a source of packages. A signing key that is fetched is written only when its
    fingerprint is the expected one.
  - O(step=run) runs commands one after the other and shows each while it runs, as a transient systemd unit
    C(vllm-driver-job.service), so that a lost connection leaves no package half installed and no module half built. Their
    whole output is appended to C(/var/log/vllm-driver.log).
  - Needs root on the host.
options:
  step:
    description: What is to be done.
    type: str
    choices: [look, look_amd, files, run]
    required: true
  wanted:
    description:
      - With O(step=look) the variables C(nvidia_driver_*) of the host.
      - With O(step=look_amd), which needs it and O(templates), what M(baremetal.vllm.plan) returns of its ROCm.
      - Read by the action plugin.
    type: dict
    default: {}
  state:
    description:
      - Whether the driver shall be there. Read by the action plugin.
      - For O(step=look).
    type: str
    choices: [present, absent]
    default: present
  gpu_count:
    description:
      - How many GPUs the host must have, 0 for at least one. Read by the action plugin.
      - For O(step=look).
    type: int
    default: 0
  reboot:
    description:
      - Whether the host may be rebooted. Read by the action plugin.
      - For O(step=look).
    type: bool
    default: false
  accept:
    description:
      - Names of findings to live with. Read by the action plugin.
      - For O(step=look).
    type: list
    elements: str
    default: []
  before:
    description:
      - What this module returned before a step was carried out. Read by the action plugin.
      - For O(step=look).
    type: dict
    default: {}
  prove:
    description:
      - Whether to fail where anything is left to do or wrong. Read by the action plugin.
      - For O(step=look).
    type: bool
    default: false
  texts:
    description:
      - Paths of files whose content is told, where they exist.
      - For O(step=look).
    type: list
    elements: path
    default: []
  offers:
    description:
      - Whether to ask the package sources what they offer. Takes seconds.
      - For O(step=look).
    type: bool
    default: false
  proof:
    description:
      - Fail where something is still to be done, except in check mode. Read by the action plugin.
      - For O(step=look_amd).
    type: bool
    default: false
  packages:
    description:
      - Names of packages to look for beside ROCm's own. Set by the action plugin.
      - For O(step=look_amd).
    type: list
    elements: str
    default: []
  files:
    description:
      - Files with C(path), C(content) and C(mode).
      - For O(step=files).
    type: list
    elements: dict
    default: []
  remove:
    description:
      - Paths of files that must not be there.
      - For O(step=files).
    type: list
    elements: path
    default: []
  key:
    description:
      - The key that signs the repository, with C(path), and either C(content) (base64) or C(url) and C(fingerprint).
      - A key that lies there with the expected fingerprint is not fetched again.
      - For O(step=files).
    type: dict
  update:
    description:
      - Command that reads the package lists; empty for none.
      - For O(step=files).
    type: list
    elements: str
    default: []
  commands:
    description:
      - Commands with a C(title), an C(argv), and perhaps C(simulate) (the same without effect) and C(optional) (may fail).
      - Read by the action plugin.
      - For O(step=run).
    type: list
    elements: dict
    default: []
  phase:
    description:
      - What the module itself does; set by the action plugin.
      - For O(step=run).
    type: str
    choices: [start, watch, simulate]
    default: watch
  title:
    description:
      - What the command does, in words.
      - For O(step=run).
    type: str
    default: ""
  argv:
    description:
      - The command of this phase.
      - For O(step=run).
    type: list
    elements: str
    default: []
  offset:
    description:
      - Where in the log to go on reading.
      - For O(step=run).
    type: int
    default: 0
  begin:
    description:
      - Where in the log the command's own words begin.
      - For O(step=run).
    type: int
    default: 0
extends_documentation_fragment:
  - baremetal.vllm.proxy
  - baremetal.vllm.templates
attributes:
  check_mode:
    support: full
    description:
      - Writes nothing, fetches nothing. O(step=run) runs a command's own simulation where it has one, and its words become the
        diff.
  diff_mode:
    support: full
    description: Shows the files before and after, the commands, and what their simulations say.
"""

EXAMPLES = r"""
- name: Look at the driver
  baremetal.vllm.driver:
    step: look
    offers: true

- name: Compare the host with ROCm 7.2.3
  baremetal.vllm.driver:
    step: look_amd
    wanted: {version: 7.2.3, driver: dkms, packages: [rocm-hip-libraries, amd-smi-lib]}
    templates: "{{ rocm_templates }}"

- name: Keep nouveau out
  baremetal.vllm.driver:
    step: files
    files:
      - {path: /etc/modprobe.d/nouveau-off.conf, content: "blacklist nouveau\n", mode: "0644"}

- name: Build the module for a kernel
  baremetal.vllm.driver:
    step: run
    commands:
      - title: build the module for 6.1.0-56-amd64
        argv: [dkms, install, nvidia/580.95.05, -k, 6.1.0-56-amd64]
"""

RETURN = r"""
findings:
  description:
    - Of O(step=look), what is wrong, each with C(name), C(message), C(remedy), C(heal) (the step that mends it) and C(fatal).
    - Of O(step=look_amd), sentences on what is wrong with the GPUs and does not keep the host from serving.
  returned: steps look and look_amd
  type: list
  elements: raw
idle:
  description: Whether nothing is to be done.
  type: bool
  returned: step look
resolution:
  description: The version, the kind of modules, how they are built and the packages that were chosen, with the reason.
  type: dict
  returned: step look
waits:
  description: Why the host must be rebooted and may not be; empty where it does not wait.
  type: str
  returned: step look
state:
  description: What was seen, as C(State) in C(model.py) of C(drivers/nvidia) or C(drivers/amd) in C(module_utils) has it.
  returned: steps look and look_amd
  type: dict
repository:
  description: Whether files, key or package lists come first.
  type: bool
  returned: step look
offers:
  description: Whether another look has to follow them, with O(offers).
  type: bool
  returned: step look
remove_files:
  description: Files to remove.
  type: list
  elements: str
  returned: step look
update_command:
  description: The command that reads the package lists, empty where that is not needed.
  type: list
  elements: str
  returned: step look
download:
  description: Commands that fetch packages while models still run. These and all other commands are as O(step=run) takes them.
  type: list
  elements: dict
  returned: step look
install:
  description: Commands that install the driver.
  type: list
  elements: dict
  returned: step look
heal:
  description: Commands that mend what is wrong beside the version.
  type: list
  elements: dict
  returned: step look
load:
  description: Commands that load the driver.
  type: list
  elements: dict
  returned: step look
drain:
  description: Units of models that stop for the change.
  type: list
  elements: str
  returned: step look
drain_commands:
  description: Commands that stop them.
  type: list
  elements: dict
  returned: step look
undrain_commands:
  description: Commands that start them again, with those that an earlier look of the same run has stopped.
  type: list
  elements: dict
  returned: step look
resume:
  description: Units that an earlier look has stopped.
  type: list
  elements: str
  returned: step look
resume_commands:
  description: Commands that start these alone.
  type: list
  elements: dict
  returned: step look
back:
  description: Commands that go back to what was installed before the change.
  type: list
  elements: dict
  returned: step look
back_files:
  description: Files as they were before the change, with path, content and mode.
  type: list
  elements: dict
  returned: step look
back_remove:
  description: Files that were not there before the change.
  type: list
  elements: str
  returned: step look
back_loaded:
  description: Whether a driver was loaded before the change.
  type: bool
  returned: step look
change:
  description: Whether anything is to be done.
  returned: step look_amd
  type: bool
files:
  description: Files to write, with path, content and mode.
  returned: steps look and look_amd
  type: list
  elements: dict
key:
  description: The signing key, as O(step=files) takes it.
  returned: steps look and look_amd
  type: dict
lists:
  description: The command that reads the package lists, empty where that is not needed.
  returned: step look_amd
  type: list
  elements: str
commands:
  description:
    - Of O(step=look_amd), commands as O(step=run) takes them.
    - Of O(step=run), titles of the commands that ran.
  returned: steps look_amd and run
  type: list
  elements: raw
reboot:
  description: Why the host has to be rebooted, empty where it has not.
  returned: steps look and look_amd
  type: str
written:
  description: Paths that were, or in check mode would be, written or removed.
  returned: step files
  type: list
  elements: str
"""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd import look as amd
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import causes, files, offers
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import look as nvidia
from ansible_collections.baremetal.vllm.plugins.module_utils.host import command, job, proxy

# A mirror far away may take its time, and whoever holds the lock on the package lists too.
_OFFERS_TIMEOUT = 300
# Nobody is there to answer, services are restarted by the role, and messages must be those that are looked for.
ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "NEEDRESTART_SUSPEND": "1",
    "LC_ALL": "C",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
JOBS = job.Logged(job.Job("vllm-driver-job.service"), Path("/var/log/vllm-driver.log"))


def look(module: AnsibleModule) -> None:
    """What NVIDIA's driver is like on the host (`state`), what the named files hold (`texts`), how long it took in seconds."""
    proxy.enter(module)
    asked = module.params
    begun = time.monotonic()
    state = nvidia.look()
    seconds = time.monotonic() - begun
    if asked["offers"]:
        kernels = [state.running, *(kernel.release for kernel in state.kernels)]
        state = replace(state, offers=offers.read(nvidia.family(state.system), kernels, _patient))
    texts = {path: Path(path).read_text(errors="replace") for path in asked["texts"] if Path(path).is_file()}
    module.exit_json(changed=False, state=asdict(state), texts=texts, seconds=round(seconds, 2))


def _patient(argv: Sequence[str]) -> command.Answer:
    return command.run(list(argv), timeout=_OFFERS_TIMEOUT)


def look_amd(module: AnsibleModule) -> None:
    """What AMD's driver and ROCm are like on the host, in `state`."""
    module.exit_json(changed=False, state=asdict(amd.look(module.params["packages"])))


def write(module: AnsibleModule) -> None:
    """Bring package sources, pins and module settings to what is asked for; fails with the file that could not be written."""
    # Package lists are for everybody, whatever umask sudo has handed on.
    os.umask(0o022)
    proxy.enter(module)
    try:
        files.converge(module)
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file of this host'}: {error.strerror}")


def run(module: AnsibleModule) -> None:
    """Start a command that outlives this call, tell how far it is, or only simulate it; each by `phase`."""
    proxy.enter(module)
    asked = module.params
    if asked["phase"] == "simulate":
        rc, out, err = module.run_command(asked["argv"], environ_update=ENVIRONMENT)
        module.exit_json(changed=False, rc=rc, lines=(out + err).splitlines())
    if asked["phase"] == "start":
        secret = proxy.environment(asked["proxy"], asked["no_proxy"])
        started = JOBS.start(asked["title"], asked["argv"], ENVIRONMENT, secret)
        module.exit_json(changed=not started["busy"], **started)
    seen = JOBS.watch(asked["offset"], patience=15.0)
    # DKMS names its log in a line that an earlier call may have fetched.
    log = causes.build_log(JOBS.words(asked["begin"])) if seen["rc"] else ""
    if log:
        seen["lines"] += Path(log).read_text(errors="replace").splitlines()[-400:] if Path(log).is_file() else []
    if seen["done"]:
        JOBS.job.forget()
    module.exit_json(changed=False, **seen)


STEPS = {"look": look, "look_amd": look_amd, "files": write, "run": run}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "required": True, "choices": list(STEPS)},
            "wanted": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "gpu_count": {"type": "int", "default": 0},
            "reboot": {"type": "bool", "default": False},
            "accept": {"type": "list", "elements": "str", "default": []},
            "before": {"type": "dict", "default": {}},
            "prove": {"type": "bool", "default": False},
            "texts": {"type": "list", "elements": "path", "default": []},
            "offers": {"type": "bool", "default": False},
            "templates": {"type": "path"},
            "proof": {"type": "bool", "default": False},
            "packages": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "list", "elements": "dict", "default": []},
            "remove": {"type": "list", "elements": "path", "default": []},
            "key": {"type": "dict", "no_log": False},
            "update": {"type": "list", "elements": "str", "default": []},
            "commands": {"type": "list", "elements": "dict", "default": []},
            "phase": {"type": "str", "choices": ["start", "watch", "simulate"], "default": "watch"},
            "title": {"type": "str", "default": ""},
            "argv": {"type": "list", "elements": "str", "default": []},
            "offset": {"type": "int", "default": 0},
            "begin": {"type": "int", "default": 0},
            **proxy.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    try:
        STEPS[module.params["step"]](module)
    except job.JobError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
