"""Prepares a wheelhouse on the control node; documented in plugins/modules/wheelhouse.py."""

from __future__ import annotations

import time
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.kernels import INDEX, NONE, index_error
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import LockError, Pin
from ansible_collections.baremetal.vllm.plugins.module_utils.host import proxy
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import without_users
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import ControlAction
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.control import behind_proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import rocm
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.prepare import (
    Options,
    Preparation,
    exclusive,
    fits,
    read_manifest,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import (
    EXCLUDED,
    PYTHONS,
    Target,
    build_for,
    default_wheelhouse,
    indexes_for,
    oldest_glibc,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.tools import ToolError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.wheels import WheelError, pin_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Spec

ARGUMENTS: Spec = {
    "release": {"type": "str", "required": True},
    "accelerator": {"type": "str", "required": True, "choices": ["cuda", "rocm", "cpu"]},
    "directory": {"type": "path"},
    "python_version": {"type": "str"},
    "arch": {"type": "str", "default": "x86_64", "choices": ["x86_64", "aarch64"]},
    "glibc": {"type": "str"},
    "exclude": {"type": "list", "elements": "str"},
    "extra_requirements": {"type": "list", "elements": "str", "default": []},
    "index_urls": {"type": "list", "elements": "str", "default": []},
    "rocm": {"type": "str"},
    "kernels_index": {"type": "str", "default": ""},
    "torch_cpu_index": {"type": "str", "default": "https://download.pytorch.org/whl/cpu"},
    "wheels": {"type": "list", "elements": "path", "default": []},
    "lock": {"type": "path"},
    "update": {"type": "bool", "default": False},
    "python": {"type": "bool", "default": False},
    "python_archive": {"type": "path"},
    **proxy.ARGUMENTS,
}
# What nobody can guess, by argument.
_REQUIRED = {
    "release": "wheelhouse_release: is missing. Write -e wheelhouse_release=0.33.0.",
    "accelerator": "wheelhouse_accelerator: is missing. Write -e wheelhouse_accelerator=cuda (or rocm, or cpu).",
}


def target_of(asked: Arguments) -> Target:
    """Return the target that the arguments describe; raises AnsibleActionFail where there can be none."""
    accelerator, wanted = asked["accelerator"], asked["rocm"] or ""
    if accelerator == "rocm" and (problems := rocm.of_wheelhouse(asked)):
        raise AnsibleActionFail("Nothing was fetched.\n" + "\n".join(f"  - {problem}" for problem in problems))
    build = build_for(asked["release"], accelerator, asked["index_urls"], wanted)
    exclude = EXCLUDED[accelerator] if asked["exclude"] is None else tuple(asked["exclude"])
    return Target(
        release=asked["release"],
        accelerator=accelerator,
        python=asked["python_version"] or PYTHONS[accelerator][0],
        arch=asked["arch"],
        glibc=asked["glibc"] or oldest_glibc(accelerator, build),
        exclude=tuple(sorted(exclude)),
        extra=tuple(asked["extra_requirements"]),
        indexes=indexes_for(asked["release"], accelerator, asked["index_urls"], wanted),
        build=build.name if build else "",
        kernels_index=asked["kernels_index"],
        own=_own(asked["wheels"]),
    )


def _own(paths: list[str]) -> tuple[Pin, ...]:
    """The wheels that an operator names. Raises AnsibleActionFail where one is none, or cannot be read."""
    try:
        return tuple(pin_of(Path(path)) for path in paths)
    except WheelError as error:
        raise AnsibleActionFail(f"wheelhouse_wheels: {error}") from None
    except OSError as error:
        raise AnsibleActionFail(f"wheelhouse_wheels: {error.filename} cannot be read: {error.strerror}") from None


class ActionModule(ControlAction):
    """Runs on the control node whatever host the task names."""

    def act(self) -> Result:
        """Return the wheelhouse's path, lock, size and count; changed when anything was fetched or written."""
        lacking = [f"  - {name}" for key, name in _REQUIRED.items() if not self._task.args.get(key)]
        if lacking:
            raise AnsibleActionFail("\n".join(["Nothing was fetched.", *lacking]))
        asked = self.checked(ARGUMENTS)
        wrong = index_error(asked["kernels_index"])
        if wrong:
            raise AnsibleActionFail(f"wheelhouse_kernels_index: {wrong}. Write {INDEX}, a mirror of it, or {NONE}")
        target = target_of(asked)
        options = Options(
            lock=asked["lock"] or "",
            wheels=tuple(asked["wheels"]),
            update=asked["update"],
            torch_cpu_index=asked["torch_cpu_index"],
            python=asked["python"],
            python_archive=asked["python_archive"] or "",
        )
        directory = Path(asked["directory"] or default_wheelhouse()) / target.name
        started = time.monotonic()
        try:
            manifest = read_manifest(directory)
            changed = not fits(target, options, directory, manifest)
            if changed and not self._task.check_mode:
                with exclusive(directory):
                    # Another run may have prepared it while this one waited.
                    manifest = read_manifest(directory)
                    changed = not fits(target, options, directory, manifest)
                    if changed:
                        with behind_proxy(asked):
                            manifest = Preparation(target, directory, options, display.display).prepare()
        except (ToolError, LockError, WheelError, OSError) as error:
            told = without_users(proxy.without_secrets(str(error), asked["proxy"]))
            # Ansible would print the cause once more, as it was.
            raise AnsibleActionFail(f"wheelhouse {target.name} in {directory}: {told}") from None
        files = manifest.get("files", {})
        result = {
            "changed": changed,
            "path": str(directory),
            "lock": str(directory / "requirements.lock"),
            "count": len(files),
            "bytes": sum(files.values()),
            "msg": f"would prepare {directory}"
            if changed and self._task.check_mode
            else f"{len(files)} files, {sum(files.values()) / 1e9:.2f} GB in {directory}"
            f" ({'prepared in' if changed else 'checked in'} {time.monotonic() - started:.0f} s)",
        }
        # The playbook shows the message.
        return tell(result, lambda screen: "", "wheelhouse", lambda: result)
