#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.engine; the action plugin of the same name decides, and sends what a build needs."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine
short_description: Tell what a host needs for one vLLM engine, build or mount it, remove old ones
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
description:
  - O(step=look) reads which releases are installed, what uses them and which system packages are missing. The action plugin
    adds what the control node knows - the lock, the wheelhouse that fits the host's Python -, decides what is to be done, and
    refuses where something stands in the way. It makes this one call and changes nothing.
  - O(step=install) builds a virtual environment with uv from a lock whose hashes are checked, proves that the engine and its
    compiled parts can be imported, closes it for writing, and writes C(.complete.json) last. The action plugin sends
    everything the build needs in one file first, and shows progress. It is meant to run where O(step=look) says so - whatever
    is in the release's directory is replaced.
  - Where O(step=look) chose an image, O(step=install) checks its file against its digest, and mounts it at the release's
    directory by a unit of the host's, in the place of what was there.
  - O(step=image) builds such an image at the release's path in a mount namespace of its own, where nothing that runs notices it,
    proves it, and the action plugin brings it into the control node's store with a bill of materials.
  - O(step=prune) removes installed releases beside the planned ones, unless a unit, a generation that one may go back to, or a
    running process uses them, and Pythons that no release leads to any more. It removes nothing that is not an installation of
    this collection, or one that was begun, and looks again at the moment of removal - what came into use meanwhile stays.
options:
  step:
    description: What is to be done.
    type: str
    choices: [look, install, image, prune]
    required: true
  release:
    description:
      - The planned release.
      - For O(step=look), O(step=install) and O(step=image), which need it.
    type: str
  accelerator:
    description:
      - What it is built for.
      - For O(step=look), O(step=install) and O(step=image), which need it.
    type: str
    choices: [cuda, rocm, cpu]
  path:
    description: The release's directory; of O(step=prune) the planned one's. Other releases lie beside it.
    type: path
    required: true
  packages:
    description:
      - System packages that the engine needs, by distribution or family as C(/etc/os-release) names them.
      - For O(step=look).
    type: dict
    default: {}
  more_packages:
    description:
      - Packages that options of the host's models call for, whatever the distribution.
      - For O(step=look).
    type: list
    elements: str
    default: []
  keep:
    description:
      - Further releases that are planned on this host.
      - For O(step=look) and O(step=prune).
    type: list
    elements: str
    default: []
  form:
    description:
      - V(image), V(packages), or empty - an image where one of the release lies in the store and the host can mount it, packages
        otherwise, and what is there in either form stays.
      - For O(step=look).
    type: str
    choices: ["", image, packages]
    default: ""
  images:
    description:
      - Where images lie on the control node. Read by the action plugin.
      - For O(step=look) and O(step=image).
    type: path
  output:
    description:
      - Where the image is to be written. Set by the action plugin.
      - For O(step=image).
    type: path
  units:
    description:
      - By name the texts of the units that check and mount an image. Set by the action plugin.
      - For O(step=install).
    type: dict
    default: {}
  source:
    description:
      - With O(step=look), where the engine comes from, V(wheelhouse) or V(index); a wheelhouse where it is left out. Read by the
        action plugin.
      - With O(step=install) and O(step=image), which need it, what O(step=look) returned as RV(source).
    type: raw
  wheelhouse:
    description:
      - A wheelhouse on the control node, or the directory that holds several. Read by the action plugin.
      - For O(step=look).
    type: path
  from_bundle:
    description:
      - The directory of a bundle (M(baremetal.vllm.bundle)), whose images and wheelhouses take the place of O(images), O(source),
        O(wheelhouse) and O(lock). Read by the action plugin.
      - For O(step=look).
    type: path
  lock:
    description:
      - The lock on the control node for O(source=index). Read by the action plugin.
      - For O(step=look).
    type: path
  rocm:
    description:
      - The build for ROCm, such as V(rocm72); the release's first one where it is left out. Read by the action plugin.
      - For O(step=look) and O(step=install).
    type: str
    default: ""
  index_url:
    description:
      - The default package index of the hosts for O(source=index). Read by the action plugin.
      - For O(step=look) and O(step=install).
    type: str
    default: ""
  index_urls:
    description:
      - Further package indexes, asked before the default one. Read by the action plugin.
      - For O(step=look) and O(step=install).
    type: list
    elements: str
    default: []
  python:
    description:
      - V(auto), V(wheelhouse), an absolute path on the host, or a version. Read by the action plugin.
      - For O(step=look).
    type: str
    default: auto
  kernels_index:
    description:
      - Where FlashInfer's compiled kernels are, for V(cuda). Empty for its own index, V(none) for nowhere.
      - Read by the action plugin for a lock that is resolved here, and by the host where the engine comes from an index.
      - Where none is named the host asks FlashInfer's index only for what the other indexes do not have.
      - For O(step=install).
    type: str
    default: ""
  exclude:
    description:
      - Distributions to leave out of a lock that is resolved here. Read by the action plugin.
      - For O(step=install).
    type: list
    elements: str
  extra_requirements:
    description:
      - Further requirements for a lock that is resolved here. Read by the action plugin.
      - For O(step=install).
    type: list
    elements: str
    default: []
  environment:
    description:
      - Settings for uv on the host, such as V(SSL_CERT_FILE) or V(UV_PYTHON_INSTALL_MIRROR); they come before O(proxy).
      - For O(step=install).
    type: dict
    default: {}
  bundle:
    description:
      - The file on the host, and its lock's digest. Set by the action plugin.
      - For O(step=install).
    type: path
  lock_sha256:
    description:
      - Digest of the lock. Set by the action plugin.
      - For O(step=install).
    type: str
extends_documentation_fragment:
  - baremetal.vllm.proxy
attributes:
  check_mode:
    support: full
    description: Says what would be installed and removed, and changes nothing.
  diff_mode:
    support: partial
    description: Lists the releases before and after O(step=prune).
"""

EXAMPLES = r"""
- name: Ask what is installed
  baremetal.vllm.engine:
    step: look
    release: 0.32.0
    accelerator: cpu
    path: /opt/vllm/0.32.0

- name: Build the engine
  baremetal.vllm.engine:
    step: install
    release: 0.32.0
    accelerator: cpu
    path: /opt/vllm/0.32.0
    source: "{{ __state.source }}"

- name: Remove old releases
  baremetal.vllm.engine:
    step: prune
    path: /opt/vllm/0.33.0
"""

RETURN = r"""
install:
  description: Whether the release is to be installed.
  type: bool
  returned: step look
reason:
  description: Why, in words.
  type: str
  returned: step look
family:
  description: Which entry of O(packages) applies, empty for none.
  type: str
  returned: step look
missing_packages:
  description: Packages to install first.
  type: list
  elements: str
  returned: step look
prunable:
  description: Releases that nothing uses any more.
  type: list
  elements: str
  returned: step look
installed:
  description: Every release below the root with its marker, empty for an unfinished one.
  type: dict
  returned: step look
foreign:
  description: Directories below the root that are called like releases and are somebody else's.
  type: list
  elements: str
  returned: step look
images:
  description: By release those that are mounted from an image - its C(digest), whether it is C(mounted) now, and C(problem),
    what is wrong with its file.
  type: dict
  returned: step look
image_hindrance:
  description: Why the host can mount no image, empty where it can.
  type: str
  returned: step look
images_held:
  description: Digests of the images that lie on the host, whole.
  type: list
  elements: str
  returned: step look
image_free_bytes:
  description: What is free where images lie.
  type: int
  returned: step look
selinux:
  description: Whether SELinux is on, which decides how an image is mounted.
  type: bool
  returned: step look
packages_because:
  description: Why the release is installed as packages although an image of it lies in the store, empty for no such reason.
  type: str
  returned: step look, when the release is to be installed
unsafe:
  description: A line for each directory on the way to the engines that is not root's alone, with the remedy.
  type: list
  elements: str
  returned: step look
used:
  description: What uses each release - units, generations, processes.
  type: dict
  returned: step look
pythons:
  description: The Pythons of the host. Only where the release is not complete.
  type: list
  elements: dict
  returned: step look
glibc:
  description: The release of the host's glibc, empty where it has another C library.
  type: str
  returned: step look
systemd:
  description: The release of its systemd, null where it has none.
  type: int
  returned: step look
arch:
  description: Its processors, such as V(x86_64).
  type: str
  returned: step look
free_bytes:
  description: What is free where engines lie.
  type: int
  returned: step look
source:
  description: What the action plugin chose to install from - wheelhouse or lock, and Python.
  type: dict
  returned: step look, when the release is to be installed
marker:
  description: What the marker of the installation says.
  type: dict
  returned: step install
seconds:
  description: How long each step took - send, wait, unpack, install, import, close.
  type: dict
  returned: step install
image:
  description: What was built - release, accelerator, arch, python, interpreter, lock_sha256, digest, bytes, kind, tool, proved.
  type: dict
  returned: step image
path:
  description: The directory of the store in which the image lies.
  type: str
  returned: step image
digest:
  description: The image's SHA-256, by which it is called.
  type: str
  returned: step image
removed_images:
  description: Digests of the images removed.
  type: list
  elements: str
  returned: step prune
removed:
  description: The releases removed.
  type: list
  elements: str
  returned: step prune
"""

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import image_mount, images, installed
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.build import (
    BuildError,
    BuildJob,
    build,
    check_room,
    unused_pythons,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.image_build import build_image
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.image_mount import ImageError, MountJob
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.prune import prunable
from ansible_collections.baremetal.vllm.plugins.module_utils.host import labels, proxy
from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import SystemdError
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import secrets


def look(module: AnsibleModule) -> None:
    """What is installed and in use, which packages and Pythons there are, how much room; changes nothing."""
    asked = module.params
    if asked["source"] not in (None, "wheelhouse", "index"):
        module.fail_json(msg=f"value of source must be one of: wheelhouse, index, got: {asked['source']}")
    root = Path(asked["path"]).parent
    survey = installed.survey(root, asked["release"], asked["keep"], asked["form"])
    image = survey["images"].get(asked["release"])
    right = not asked["form"] or (asked["form"] == "image") == bool(image)
    whole = bool(survey["installed"].get(asked["release"])) and right and not (image and image["problem"])
    family = installed.family(list(asked["packages"]))
    named = asked["python"] if asked["python"].startswith("/") else ""
    module.exit_json(
        changed=False,
        **survey,
        missing_packages=installed.missing_packages((asked["packages"].get(family) or []) + asked["more_packages"]),
        family=family,
        pythons=[] if whole else installed.pythons(named),
        glibc=installed.libc(),
        systemd=installed.systemd(),
        arch=installed.machine(),
        free_bytes=installed.free_bytes(root),
        image_hindrance="" if whole else images.hindrance(),
        images_held=[] if whole else images.held(),
        image_free_bytes=installed.free_bytes(images.IMAGES),
        selinux=labels.enabled(),
    )


def install(module: AnsibleModule) -> None:
    """Build the release from the file that was sent, prove that it imports, and mark it as complete; or mount its image. Times in
    seconds."""
    asked = module.params
    if module.check_mode:
        module.exit_json(changed=True, msg=f"would install vLLM {asked['release']} in {asked['path']}")
    if asked["source"].get("image"):
        mount(module, asked["source"]["image"])
    job = build_job(module)
    try:
        if images.digest_in(images.UNITS / images.mount_unit(str(job.path))):
            # A form takes the other's place; nothing runs from it, or the look would have refused.
            check_room(job)
            image_mount.remove(job.path)
        marker, seconds = build(job)
        image_mount.remove_idle()
    except (BuildError, SystemdError) as error:
        module.fail_json(msg=f"vLLM {job.release} was not installed: {error}")
    why = marker.get("kernels", {}).get("why")
    if why:
        module.warn(why)
    module.exit_json(changed=True, marker=marker, seconds=seconds)


def mount(module: AnsibleModule, image: dict[str, Any]) -> None:
    """Check the image that was sent, or lies here, and mount it."""
    asked, started = module.params, time.monotonic()
    job = MountJob(
        release=asked["release"],
        accelerator=asked["accelerator"],
        path=Path(asked["path"]),
        digest=image["digest"],
        size=int(image["size"]),
        lock_sha256=image["lock_sha256"],
        sent=asked["bundle"] or "",
        units=asked["units"],
    )
    try:
        marker = image_mount.mount(job)
    except (ImageError, SystemdError, OSError) as error:
        module.fail_json(msg=f"vLLM {job.release} was not installed: {error}")
    module.exit_json(changed=True, marker=marker, seconds={"check and mount": round(time.monotonic() - started, 1)})


def image(module: AnsibleModule) -> None:
    """Build an image of the release, prove it, and leave it at `output`."""
    asked = module.params
    if module.check_mode:
        module.exit_json(changed=True, msg=f"would build an image of vLLM {asked['release']}")
    started = time.monotonic()
    job = dataclasses.replace(build_job(module), image=True)
    try:
        built = build_image(job, Path(asked["output"]))
    except BuildError as error:
        module.fail_json(msg=f"no image of vLLM {job.release} was built: {error}")
    module.exit_json(changed=True, image=built, seconds={"build": round(time.monotonic() - started, 1)})


def build_job(module: AnsibleModule) -> BuildJob:
    """What to build, from the task's arguments; the proxy is in this process's environment from then on."""
    asked = module.params
    proxy.enter(module, own=asked["environment"])
    source = asked["source"]
    return BuildJob(
        release=asked["release"],
        accelerator=asked["accelerator"],
        path=Path(asked["path"]),
        bundle=Path(asked["bundle"]),
        lock_sha256=asked["lock_sha256"],
        python=source["python"],
        offline=bool(source["wheelhouse"]),
        need_bytes=int(source["need_bytes"]),
        default_index=asked["index_url"],
        indexes=tuple(asked["index_urls"]),
        kernels_index=asked["kernels_index"],
        environment=tuple(f"{key}={value}" for key, value in asked["environment"].items()),
    )


def prune(module: AnsibleModule) -> None:
    """Remove the releases that neither the task keeps nor anything on the host uses, Pythons that lose their last, and images
    that nothing mounts."""
    path = Path(module.params["path"])
    found = installed.releases(path.parent)
    used = installed.merge(installed.usage(path.parent), installed.used_by_processes(path.parent))
    mounted = images.of_releases(path.parent)
    removed = prunable(found, [path.name, *module.params["keep"], *installed.foreign(path.parent)], used)
    if not module.check_mode:
        for release in removed:
            if release in mounted:
                image_mount.remove(path.parent / release)
                (path.parent / f"{installed.BUILDING}{release}").unlink(missing_ok=True)
                continue
            # The marker goes first: a removal that is cut short leaves nothing that looks finished.
            (path.parent / release / installed.MARKER).unlink(missing_ok=True)
            shutil.rmtree(path.parent / release)
            # Whatever gets this name after it is somebody else's, until a build of ours begins anew.
            (path.parent / f"{installed.BUILDING}{release}").unlink(missing_ok=True)
        for home in unused_pythons(path.parent):
            shutil.rmtree(home)
    idle = images.idle() if module.check_mode else image_mount.remove_idle()
    text = "\n".join(sorted(found)) + "\n"
    after = "\n".join(sorted(set(found) - set(removed))) + "\n"
    module.exit_json(
        changed=bool(removed or idle),
        removed=removed,
        removed_images=idle,
        diff={"before_header": str(path.parent), "after_header": str(path.parent), "before": text, "after": after},
    )


STEPS = {"look": look, "install": install, "image": image, "prune": prune}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "required": True, "choices": list(STEPS)},
            "release": {"type": "str"},
            "accelerator": {"type": "str", "choices": ["cuda", "rocm", "cpu"]},
            "path": {"type": "path", "required": True},
            "packages": {"type": "dict", "default": {}},
            "more_packages": {"type": "list", "elements": "str", "default": []},
            "keep": {"type": "list", "elements": "str", "default": []},
            "form": {"type": "str", "choices": ["", "image", "packages"], "default": ""},
            "images": {"type": "path"},
            "output": {"type": "path"},
            "units": {"type": "dict", "default": {}},
            "source": {"type": "raw"},
            "wheelhouse": {"type": "path"},
            "lock": {"type": "path"},
            "rocm": {"type": "str", "default": ""},
            "index_url": {"type": "str", "default": ""},
            "index_urls": {"type": "list", "elements": "str", "default": []},
            "python": {"type": "str", "default": "auto"},
            "kernels_index": {"type": "str", "default": ""},
            "exclude": {"type": "list", "elements": "str"},
            "extra_requirements": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "dict", "default": {}},
            "bundle": {"type": "path"},
            "from_bundle": {"type": "path"},
            "lock_sha256": {"type": "str", "no_log": False},
            **proxy.ARGUMENTS,
        },
        required_if=[
            ("step", "look", ["release", "accelerator"]),
            ("step", "install", ["release", "accelerator", "source"]),
            ("step", "image", ["release", "accelerator", "source", "output"]),
        ],
        supports_check_mode=True,
    )
    for url in (module.params["index_url"], *module.params["index_urls"], module.params["kernels_index"]):
        module.no_log_values.update(secrets(url))
    STEPS[module.params["step"]](module)


if __name__ == "__main__":
    main()
