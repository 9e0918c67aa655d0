#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.unit_files; the action plugin of the same name reads the templates."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: unit_files
short_description: Keep a set of files on a host, and a unit running with them
description:
  - Compares all files at once, tries the whole new set with a command before any of it is in place, replaces what differs, and
    lets the unit take it up - started where it does not run, reloaded or restarted where its files changed.
  - The trial runs in a mount namespace of its own, in which the new files lie at their final paths; nothing else sees them.
  - A unit that does not take its new files gets the earlier ones back, and the task fails with what it said.
  - A run that was cut off between the files and the unit is made up for by the next one.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  state:
    description: With C(absent), units are stopped and disabled, files removed, and directories where nothing else is in them.
    type: str
    choices: [present, absent]
    default: present
  files:
    description: The files.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the file lies on the host. Units lie below C(/etc/systemd/system).
        type: str
        required: true
      content:
        description: The text of the file.
        type: str
      src:
        description: A file on the control node in place of O(files[].content); one in C(.j2) is rendered with O(variables).
        type: path
      mode:
        description: Three octal digits.
        type: str
        default: "0644"
      owner:
        description: A user of the host.
        type: str
        default: root
      group:
        description: A group of the host.
        type: str
        default: root
      secret:
        description: The text is in O(secrets) and is shown in no diff.
        type: bool
        default: false
      effect:
        description: What a change of this file asks of the unit. C(reload) restarts a unit that cannot be reloaded.
        type: str
        choices: [none, reload, restart]
        default: reload
  secrets:
    description: Texts of secret files by path. Their words are masked in what commands say.
    type: dict
    default: {}
  variables:
    description: What templates may use. C(mark), the first line of files of ours, is always there.
    type: dict
    default: {}
  directories:
    description: Directories that are there before the files are.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where it lies on the host.
        type: str
        required: true
      mode:
        description: Three octal digits.
        type: str
        default: "0755"
      owner:
        description: A user of the host.
        type: str
        default: root
      group:
        description: A group of the host.
        type: str
        default: root
      only:
        description: Files in it, at any depth, that are not in O(files) are removed.
        type: bool
        default: false
  programs:
    description: Programs without which nothing is done; RV(missing) names those that the host lacks.
    type: list
    elements: str
    default: []
  users:
    description: Users without whom nothing is done; RV(missing_users) names those that the host lacks.
    type: list
    elements: str
    default: []
  validate:
    description: A command over the final paths, run before anything is replaced; any status but 0 fails the task.
    type: list
    elements: str
    default: []
  unit:
    description: The unit that is enabled and runs; none where it is left out.
    type: str
  probe:
    description: A command whose status is 0 while what the unit put in place is there. Otherwise the unit is restarted.
    type: list
    elements: str
    default: []
  opening:
    description:
      - What the host's own firewall lets in, where firewalld or ufw is on; a host without them is left as it is.
      - With C(state=absent) and without ports, what was opened under that name is closed.
    type: dict
    suboptions:
      name:
        description: What it is known by - firewalld's policy C(vllm-NAME), the comment of ufw's rules.
        type: str
        required: true
      ports:
        description: TCP ports.
        type: list
        elements: int
        default: []
      sources:
        description: Addresses and networks that may reach them; everybody where there are none.
        type: list
        elements: str
        default: []
      peers:
        description: Addresses whose VRRP comes in.
        type: list
        elements: str
        default: []
      served:
        description: Ports that are somebody else's to let in; one that no rule of the firewall speaks of is a warning.
        type: list
        elements: int
        default: []
      manage:
        description: Without it, O(opening.ports) are as O(opening.served).
        type: bool
        default: true
  selinux:
    description:
      - What SELinux must know, where it is on.
      - With C(state=absent), what was said here is taken back.
    type: dict
    suboptions:
      contexts:
        description: Types by the patterns of paths that C(semanage fcontext) takes.
        type: dict
        default: {}
      booleans:
        description: Switches of the policy to put on for good.
        type: list
        elements: str
        default: []
      manage:
        description: Without it, what is missing is a warning.
        type: bool
        default: true
  compare:
    description: Tell in RV(steps) what would be done and do nothing, as in check mode; it is no change then.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: The trial is run as well, where the host has all it needs.
  diff_mode:
    support: full
    description: Of secret files only that they change.
"""

EXAMPLES = r"""
- name: Close the engines' ports to all but the gateways
  baremetal.vllm.unit_files:
    files:
      - path: /etc/vllm/firewall.nft
        src: "{{ endpoint_firewall_templates }}/etc/vllm/firewall.nft.j2"
      - path: /etc/systemd/system/firewall-vllm.service
        src: "{{ endpoint_firewall_templates }}/etc/systemd/system/firewall-vllm.service"
    variables: {ports: [8001], sources: [10.0.0.5]}
    validate: [nft, --check, --file, /etc/vllm/firewall.nft]
    unit: firewall-vllm.service
"""

RETURN = r"""
steps:
  description: What was done (or would be), in words.
  returned: always
  type: list
  elements: str
missing:
  description: Programs that the host lacks; nothing was done where there are any.
  returned: always
  type: list
  elements: str
missing_users:
  description: Users that the host lacks; nothing was done where there are any.
  returned: always
  type: list
  elements: str
"""

from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.host import fileset_host as host
from ansible_collections.baremetal.vllm.plugins.module_utils.host import fileset_trial as trial
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host.fileset import FilesetRequest, FilesetVerdict, masked
from ansible_collections.baremetal.vllm.plugins.module_utils.host.fileset_diff import fileset_diff
from ansible_collections.baremetal.vllm.plugins.module_utils.host.labels import LabelError
from ansible_collections.baremetal.vllm.plugins.module_utils.look.filesets import OPTIONS, Comparison, compare
from ansible_collections.baremetal.vllm.plugins.module_utils.units import surroundings
from ansible_collections.baremetal.vllm.plugins.module_utils.units.opening import OpeningError


def present(module: AnsibleModule, compared: Comparison) -> None:
    """Bring files, unit and surroundings to what is asked, or exit with what the host lacks for it.

    Raises UnitError: where the unit does not take the files; LabelError and OpeningError: of SELinux and firewalls.
    """
    request, found, seen, verdict = compared.request, compared.found, compared.seen, compared.verdict
    if seen is None or verdict is None:
        raise ValueError("state=present needs a look at the set")
    steps = list(compared.steps)
    diff = fileset_diff(request, verdict.write, verdict.remove) + found.diff
    diff += [{"prepared": f"{step}\n"} for step in steps if _told(step)]
    only_look = module.check_mode or module.params["compare"]
    result = {
        "changed": _changes(module, steps),
        "steps": steps,
        "missing": list(compared.missing),
        "missing_users": list(compared.missing_users),
        "diff": diff,
    }
    if compared.missing or compared.missing_users:
        module.exit_json(**result)
    if not only_look:
        # Empty directories harm nobody, and the trial needs them.
        host.make_directories(request, verdict)
    if verdict.write or verdict.remove:
        _try(module, request, verdict)
    if not only_look:
        surroundings.prepare(compared.asked, found, verdict.directories)
        host.apply(request, seen, verdict)
        surroundings.let_in(compared.asked, found)
    module.exit_json(**result)


def _try(module: AnsibleModule, request: FilesetRequest, verdict: FilesetVerdict) -> None:
    """Fails the task where the command that validates refuses the new set."""
    command = module.params["validate"]
    if not command:
        return
    __, lacking = trial.covers([file.path for file in request.files])
    if lacking:
        # Only where nothing is done.
        module.warn(
            f"The new files were not tried with {command[0]}: this host has no {', '.join(map(str, lacking))} yet."
        )
        return
    files = host.on_host([file for file in request.files if file.path in verdict.write])
    try:
        trial.run(command, files, verdict.remove)
    except trial.TrialError as error:
        said = masked(str(error), request.files)
        module.fail_json(msg=f"{' '.join(command)} refuses the new files, and nothing was replaced: {said}", steps=[])


def absent(module: AnsibleModule, compared: Comparison) -> None:
    """Remove what of the set is there, and what its surroundings got for it.

    Raises OpeningError: where a firewall cannot be asked.
    """
    steps, found = list(compared.steps), compared.found
    diff = fileset_diff(compared.request, [], compared.gone) + found.diff
    diff += [{"prepared": f"{step}\n"} for step in found.steps]
    if steps and not (module.check_mode or module.params["compare"]):
        if compared.gone:
            host.remove(compared.request, compared.gone)
        surroundings.take_back(compared.asked, found)
    module.exit_json(changed=_changes(module, steps), steps=steps, missing=[], missing_users=[], diff=diff)


def _changes(module: AnsibleModule, steps: Sequence[str]) -> bool:
    return bool(steps) and not module.params["compare"]


def _told(step: str) -> bool:
    """Steps that no text in the diff shows."""
    return not step.startswith(("write ", "remove "))


def main() -> None:
    module = AnsibleModule(
        argument_spec={**OPTIONS, "compare": {"type": "bool", "default": False}},
        supports_check_mode=True,
    )
    try:
        compared = compare(module.params)
        for warning in compared.warnings:
            module.warn(warning)
        (present if module.params["state"] == "present" else absent)(module, compared)
    except (ValueError, host.UnitError, systemd.SystemdError, OpeningError, LabelError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file of this host'}: {error.strerror}")


if __name__ == "__main__":
    main()
