"""Decides about a host's engines and sends what a build needs; documented in plugins/modules/engine.py."""

from __future__ import annotations

import time
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import LockError
from ansible_collections.baremetal.vllm.plugins.module_utils.host import proxy
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import without_users
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import engine_image
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.control import behind_proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import display, ticking
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import step_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.use import engine_arguments
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd.builds import NoBuildError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import pythons
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.decide import EngineRefusalError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.judge import judge
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.pack import indexes, pack
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.tools import ToolError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.wheels import WheelError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result

# Of playbooks/image.yml, which alone can leave these out: the variable of a host that stands for it.
_ALSO = {
    "release": "version (write -e image_release=0.33.0)",
    "accelerator": "accelerator (write -e image_accelerator=cuda)",
}
FORMER = {"engine_state": "look", "engine_install": "install", "engine_prune": "prune"}


class ActionModule(Action):
    """One module call for each step; an installation sends one file before it."""

    def act(self) -> Result:
        """The module's answer; of a look with what is to be done, of an installation with the seconds that sending took."""
        step = step_of(self, "step", FORMER)
        asked = {**self.given, "step": step}
        asked = engine_arguments(asked, asked.pop("from_bundle", None))
        if step == "look":
            return self._look(asked)
        if step == "install":
            return self._install(asked)
        if step == "image":
            return self._image(asked)
        return self.ask_host("engine", asked)

    def _look(self, asked: Arguments) -> Result:
        if lacking := [name for name in ("release", "accelerator") if not asked.get(name)]:
            raise AnsibleActionFail(
                "; ".join(f"image_{name}: is missing, and so is vllm_{_ALSO[name]}" for name in lacking)
            )
        answer = self.ask_host("engine", asked)
        if answer.get("failed") or "installed" not in answer:
            return answer
        try:
            answer.update(judge(asked, answer))
        except (EngineRefusalError, pythons.NoPythonError, LockError, NoBuildError) as error:
            return {"failed": True, "msg": f"vLLM {asked['release']} for {asked['accelerator']}: {error}"}
        if answer.get("packages_because"):
            self.show(f"vLLM {asked['release']} is installed as packages: {answer['packages_because']}")
        if "image" in answer.get("source", {}):
            answer["source"]["selinux"] = bool(answer.get("selinux"))
        return answer

    def _install(self, asked: Arguments) -> Result:
        if self._task.check_mode:
            return {"changed": True, "msg": f"would install vLLM {asked['release']} in {asked['path']}"}
        if asked.get("source", {}).get("image"):
            return engine_image.mount(self, asked)
        title = f"{self.host}: vLLM {asked['release']}"
        with ticking(f"{title}: 1 of 3, pack the files on the control node"):
            packed, digest = self._pack(asked)
        size = packed.stat().st_size
        started = time.monotonic()
        with ticking(f"{title}: 2 of 3, send {size / 1e9:.2f} GB"):
            remote = self._connection._shell.join_path(self._make_tmp_path(), packed.name)
            self._transfer_file(str(packed), remote)
        sent = time.monotonic() - started
        with ticking(f"{title}: 3 of 3, build, compile and import it"):
            arguments = {**asked, "bundle": remote, "lock_sha256": digest, "index_urls": list(indexes(asked))}
            answer = self.ask_host("engine", arguments)
        answer.setdefault("seconds", {})["send"] = round(sent, 1)
        return answer

    def _image(self, asked: Arguments) -> Result:
        """Build an image of what an installation on this host would be; `source` is what a look of a bare directory gave."""
        if self._task.check_mode:
            return {"changed": True, "msg": f"would build an image of vLLM {asked['release']} on {self.host}"}
        packed, digest = self._pack(asked)
        return engine_image.build(self, {**asked, "index_urls": list(indexes(asked))}, packed, digest)

    def _pack(self, asked: Arguments) -> tuple[Path, str]:
        try:
            with behind_proxy(asked):
                return pack(asked, display.warning)
        except (ToolError, LockError, WheelError, NoBuildError, OSError) as error:
            told = without_users(proxy.without_secrets(str(error), asked.get("proxy") or ""))
            raise AnsibleActionFail(f"vLLM {asked['release']} for {asked['accelerator']}: {told}") from None
