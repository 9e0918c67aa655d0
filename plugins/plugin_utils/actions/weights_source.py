"""Where weights are pushed from: a directory of the control node, or a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import manifest as mf
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle import use
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.manifest import Bundle, BundleError, read
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Weights
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.fingerprint import fingerprint


@dataclass(frozen=True)
class OpenBundle:
    """A bundle that weights are pushed from."""

    directory: Path
    bundle: Bundle

    @property
    def doubt(self) -> str:
        """What to do where a file arrived twice, and twice was not what the manifest says."""
        return f"see whether the bundle was damaged: {use.verify_command(self.directory)}"


@dataclass(frozen=True)
class PushSource:
    """`directory`: where the files lie on the control node; `whole`: what they are, which the host compares with what arrives."""

    directory: str
    whole: mf.Manifest


def opened(given: object) -> OpenBundle | None:
    """The bundle that a task names, None where it names none. Raises AnsibleActionFail where it is none."""
    if not given:
        return None
    directory = use.directory_of(given)
    try:
        return OpenBundle(directory, read(directory))
    except BundleError as error:
        raise AnsibleActionFail(f"vllm_bundle: {error}") from None


def source_of(item: Weights, bundle: OpenBundle | None) -> PushSource:
    """Where an item is pushed from. Raises AnsibleActionFail where it is not there as it was planned."""
    if bundle:
        return _carried(item, bundle)
    try:
        digest, whole = fingerprint(item.pushed_from)
    except ValueError as error:
        raise AnsibleActionFail(str(error)) from error
    if digest != item.digest:
        raise AnsibleActionFail(
            f"{item.pushed_from} has changed since the plan was made (digest {digest}, planned {item.digest}): run again"
        )
    return PushSource(item.pushed_from, whole)


def _carried(item: Weights, bundle: OpenBundle) -> PushSource:
    part = use.weights_part(bundle.bundle, item)
    if part is None:
        remedy = f"Write it anew where it is: {use.write_command(bundle.directory)}"
        raise AnsibleActionFail(f"{item.origin} is not in the bundle {bundle.directory}. {remedy}")
    directory = str(bundle.directory / part.path)
    if wrong := list(mf.faults(directory, part.files).values()):
        raise AnsibleActionFail(f"{directory}: {'; '.join(wrong)}. Nothing of it was sent; {bundle.doubt}")
    return PushSource(directory, mf.Manifest(part.files, f"bundle:{item.origin}"))
