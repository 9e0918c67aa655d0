"""Sends what a build needs in one file, then builds; documented in plugins/modules/engine_install.py."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import LockError
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.wheels import WheelError
from ansible_collections.baremetal.vllm.plugins.module_utils.host import proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.control import behind_proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd.builds import NoBuildError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import bundle, sources
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.tools import ToolError

display = Display()

_EVERY = 15  # seconds between two lines of progress


@contextmanager
def progress(line: str) -> Iterator[None]:
    """Say at once what begins, and again from time to time how long it has taken."""
    display.display(line)
    over = threading.Event()
    started = time.monotonic()

    def repeat() -> None:
        while not over.wait(_EVERY):
            display.display(f"{line} ({time.monotonic() - started:.0f} s so far)")

    ticker = threading.Thread(target=repeat, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        over.set()
        ticker.join()


class ActionModule(ActionBase):
    """One file to the host, one module call."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, object]:
        """Return the module's answer with the seconds that sending took."""
        super().run(tmp, task_vars)
        asked = dict(self._task.args)
        if self._task.check_mode:
            return {"changed": True, "msg": f"would install vLLM {asked['release']} in {asked['path']}"}
        host = (task_vars or {}).get("inventory_hostname", "host")
        title = f"{host}: vLLM {asked['release']}"
        try:
            with progress(f"{title}: 1 of 3, pack the files on the control node"), behind_proxy(asked):
                packed, digest = self.pack(asked)
        except (ToolError, LockError, WheelError, NoBuildError, OSError) as error:
            told = proxy.without_secrets(str(error), asked.get("proxy") or "")
            raise AnsibleActionFail(f"vLLM {asked['release']} for {asked['accelerator']}: {told}") from None
        size = packed.stat().st_size
        started = time.monotonic()
        with progress(f"{title}: 2 of 3, send {size / 1e9:.2f} GB"):
            remote = self._connection._shell.join_path(self._make_tmp_path(), packed.name)
            self._transfer_file(str(packed), remote)
        sent = time.monotonic() - started
        with progress(f"{title}: 3 of 3, build, compile and import it"):
            indexes = _indexes(asked)
            arguments = {**asked, "bundle": remote, "lock_sha256": digest, "index_urls": list(indexes)}
            answer: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        answer.setdefault("seconds", {})["send"] = round(sent, 1)
        return answer

    def pack(self, asked: dict[str, Any]) -> tuple[Path, str]:
        """Return the file to send and the digest of the lock in it."""
        source = asked["source"]
        if source["wheelhouse"]:
            return bundle.from_wheelhouse(Path(source["wheelhouse"]))
        accelerator = asked["accelerator"]
        exclude = asked.get("exclude")
        indexes = _indexes(asked)
        build = sources.build_for(asked["release"], accelerator, asked.get("index_urls") or (), asked.get("rocm") or "")
        target = sources.Target(
            release=asked["release"],
            accelerator=accelerator,
            python=source["minor"],
            arch=source["arch"],
            glibc=sources.oldest_glibc(accelerator, build),
            exclude=tuple(sources.EXCLUDED[accelerator] if exclude is None else exclude),
            extra=tuple(asked.get("extra_requirements") or ()),
            indexes=indexes,
            build=build.name if build else "",
            kernels_index=asked.get("kernels_index") or "",
        )
        home = sources.default_locks()
        lock_path = Path(source["lock"] or home / f"{target.name}.lock").expanduser()
        # Without an index of the operator's own, uv itself knows where torch for CPU is.
        own_index = ["--default-index", asked["index_url"]] if asked.get("index_url") else []
        backend = ["--torch-backend", "cpu"] if accelerator == "cpu" and not indexes and not own_index else []
        return bundle.for_index(target, lock_path, home / target.name, [*own_index, *backend], display.warning)


def _indexes(asked: dict[str, Any]) -> tuple[str, ...]:
    named, rocm = asked.get("index_urls") or (), asked.get("rocm") or ""
    return sources.indexes_for(asked["release"], asked["accelerator"], named, rocm)
