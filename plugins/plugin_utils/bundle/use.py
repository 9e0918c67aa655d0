"""A bundle as what a fleet is installed from: in the place of images, wheelhouses, hubs and directories of the control node."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.manifest import (
    FILE,
    IMAGES,
    WHEELHOUSES,
    Bundle,
    BundleError,
    Part,
    read,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Weights
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments


def directory_of(given: object) -> Path:
    """The directory that an operator names in `vllm_bundle` or `bundle_dir`."""
    return Path(os.path.abspath(os.path.expanduser(os.path.expandvars(str(given)))))


def engine_places(directory: Path) -> dict[str, str]:
    """Where engines come from, by the names that inputs of the role vllm_engine have without their prefix."""
    return {
        "source": "wheelhouse",
        "images": str(directory / IMAGES),
        "wheelhouse": str(directory / WHEELHOUSES),
        "lock": "",
    }


def engine_arguments(asked: Arguments, bundle: object) -> Arguments:
    """The arguments of a task about an engine, with the places of the bundle that is named; as they are where that is empty."""
    return {**asked, **engine_places(directory_of(bundle))} if bundle else asked


def weights_part(bundle: Bundle, item: Weights) -> Part | None:
    """What a bundle has of weights that are to be on a host; None where it has nothing."""
    if item.source == "hub":
        return bundle.part("hub", model=item.repo, revision=item.revision)
    return bundle.part("pushed", **{"from": item.pushed_from, "digest": item.digest})


def wheelhouse_part(house: Path) -> tuple[Path, Part] | None:
    """The bundle's directory and part, where a wheelhouse lies in one; None of a wheelhouse of the control node.

    Raises BundleError where the bundle does not list it, or cannot be read.
    """
    directory = house.parent.parent
    if house.parent.name != WHEELHOUSES or not (directory / FILE).exists():
        return None
    path = f"{WHEELHOUSES}/{house.name}"
    part = next((part for part in read(directory).parts if part.path == path), None)
    if part is None:
        raise BundleError(f"{house} is not in the manifest of the bundle")
    return directory, part


def write_command(directory: Path) -> str:
    """The command that writes a bundle, to be run as it stands but for the inventory's name."""
    return f"ansible-playbook baremetal.vllm.bundle -i INVENTORY -e {shlex.quote(f'bundle_dir={directory}')}"


def verify_command(directory: Path) -> str:
    """The command that reads every byte of a bundle."""
    return f"ansible-playbook baremetal.vllm.bundle -e {shlex.quote(f'bundle_dir={directory}')} -e bundle_verify=true"
