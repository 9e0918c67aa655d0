"""Renders what is planned, asks a host once, judges its engine; documented in plugins/modules/host_state.py."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import LockError
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import one_line
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import (
    environment_secrets,
    secret_lines,
    secrets_digest,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import printable
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import as_dict
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import gpu_look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.ahead import read_ahead
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.bounded import OverdueError, bounded
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.gateway_sets import gateway_sets, with_digests
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.gathered import by_name
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.inputs import role_inputs, site_input
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.use import engine_arguments
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.host import CANARY, FIREWALL, GATEWAY, WEIGHTS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import FAILED, READ, UNREACHABLE
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.decide import EngineRefusalError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.judge import consider, needed_image
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.contents import with_contents
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.engine_files import canary_files, firewall_files
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build, json_form
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import TEMPLATES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.control import SECRETS, host_files, render_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import HostPlan, read_services
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Registered, Result

read_ahead()

# What the host needs of the task's arguments; the rest stays here.
SENT = (
    "ask",
    "proof_age",
    "engine",
    "weights",
    "keep",
    "packages",
    "form",
    "restart_replaced",
    "timeout",
    "concurrency",
)
# Seconds that a look may take: each tool that hangs costs its own bound (command.run), an endpoint that does `timeout`.
PATIENCE = 300
SILENT = (
    "{host} gave no answer within {seconds:g} s. See by ssh what hangs there (a mount: `df`; a GPU: `nvidia-smi`), or give hosts"
    " that are slow more time: vllm_look_timeout"
)
# Says nothing; a zero does.
EMPTY: tuple[object, ...] = (None, "", [], {})
# What is not given is as the role vllm_engine has it on this host.
OF_ENGINE = ("keep", "prune", "source", "wheelhouse", "lock", "rocm", "packages", "form", "images")
OF_CANARY = ("interval", "timeout", "failures", "restarts")


class ActionModule(Action):
    """One module call, whatever the number of models."""

    def act(self) -> Result:
        """What the host is found to be, with what would be done to its engine and GPUs."""
        # By topic what cannot be asked for at all.
        self._refused: dict[str, list[str]] = {}
        asked = self.given
        plan = self._plan(asked)
        around = self._gateway(asked, plan)
        if plan and self.host not in plan["hosts"]:
            return self._ask({"engines": False, **around}, asked)
        engine = role_inputs(self, "vllm_engine", self.variables)
        asked = {**{key: engine[key] for key in OF_ENGINE}, **asked}
        self._bundle = site_input(self, "vllm_bundle", self.variables, "")
        asked = engine_arguments(asked, self._bundle)
        planned = self._planned(asked, plan)
        secrets = environment_secrets(asked.get("api_key"), asked.get("secret_env"))
        arguments = {
            **{key: asked[key] for key in SENT if asked.get(key) not in EMPTY},
            "units": [as_dict(unit) for unit in render_units(TEMPLATES, planned.services)],
            "files": host_files(TEMPLATES),
            "secrets_path": SECRETS,
            "secrets_digest": secrets_digest(secret_lines(secrets)),
            **(self._surroundings(planned) if plan else {}),
            "gateway": around["gateway"],
        }
        arguments.setdefault("filesets", {}).update(around["filesets"])
        declared = planned.host
        if boolean(asked.get("gpus", False)) and declared is not None and declared.accelerator != "cpu":
            arguments["gpu_look"] = gpu_look.asked_of(declared)
        answer = self._ask(arguments, asked)
        if answer.get("engine"):
            answer["engine"] = self._judge(asked, answer)
        if planned.weights and boolean(site_input(self, "model_weights_verify", self.variables, False)):
            answer["forced"] = [WEIGHTS]
        if answer.get("gpus"):
            answer["gpus"] = self._judge_gpus(planned, answer["gpus"])
        return answer

    def _plan(self, asked: Arguments) -> Result:
        """The plan of the fleet, as the variable holds it whose name the task gives; {} where it gives none."""
        name = asked.get("plan")
        if not name:
            return {}
        plan = (by_name(self.variables, name) or {}).get("plan") or {}
        if self.host not in plan.get("hosts", {}) and not self._is_gateway(asked):
            raise AnsibleActionFail(f"plan: {name} holds no plan for {self.host}")
        return plan

    def _is_gateway(self, asked: Arguments) -> bool:
        return self.host in self.variables.get("groups", {}).get(asked.get("gateway_group", ""), ())

    def _gateway(self, asked: Arguments, plan: Result) -> Arguments:
        """What is asked of a gateway. One that cannot be set up so is told with the others' findings."""
        if not plan or not self._is_gateway(asked):
            return {"gateway": False, "filesets": {}}
        given = {
            **role_inputs(self, "gateway", self.variables),
            "plan": plain(plan["gateway"]),
            "engine_key": site_input(self, "vllm_api_key", self.variables, ""),
        }
        try:
            sets = gateway_sets(self, TEMPLATES, given)
        except AnsibleActionFail as error:
            self._refused[GATEWAY] = [str(error)]
            return {"gateway": True, "filesets": {}}
        return {"gateway": True, "filesets": {GATEWAY: [with_digests(each) for each in sets]}}

    def _planned(self, asked: Arguments, plan: Result) -> HostPlan:
        """The host's part of the plan; `asked` gets its engine and weights, and the site's secrets."""
        if not plan:
            return HostPlan(services=tuple(read_services(asked.get("services", []))))
        planned = build(HostPlan, plain(plan["hosts"][self.host]))
        asked["engine"] = json_form(planned.engine) or {}
        asked["weights"] = json_form(planned.weights)
        asked["api_key"] = site_input(self, "vllm_api_key", self.variables, "")
        asked["secret_env"] = site_input(self, "vllm_secret_env", self.variables, {})
        return planned

    def _surroundings(self, planned: HostPlan) -> dict[str, object]:
        """What stands around the units of a host, as the roles of site.yml would have it there."""
        firewall, canary, weights, proof = (
            role_inputs(self, role, self.variables)
            for role in ("endpoint_firewall", "canary", "model_weights", "endpoint_check")
        )
        try:
            sets = {
                FIREWALL: firewall_files(planned.firewall, TEMPLATES, (), boolean(firewall["host"])),
                CANARY: canary_files(
                    planned.services, TEMPLATES, canary["state"] == "present", {key: canary[key] for key in OF_CANARY}
                ),
            }
            filesets = {topic: [with_contents(fileset)] for topic, fileset in sets.items()}
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from error
        token = str(site_input(self, "vllm_hf_token", self.variables, "")).strip()
        return {
            "filesets": filesets,
            "weights_store": weights["store"],
            # What a bundle has is brought, whether or not a hub may be asked.
            "offline": boolean(weights["offline"]) and not self._bundle,
            "token_file": weights["token_file"],
            "token_digest": secrets_digest(token) if token else "",
            **{key: proof[key] for key in ("api_key_file", "timeout", "concurrency")},
        }

    def _ask(self, arguments: Arguments, asked: Arguments) -> Result:
        """What the host answers. One that does not is a finding like any other, with its line in the table; where it is to be
        `lost` to the run, it is that."""
        lost = asked.get("lost") == "unreachable"
        patience = float(site_input(self, "vllm_look_timeout", self.variables, PATIENCE))
        try:
            with bounded(patience):
                answer = self.ask_host("host_state", arguments)
        except AnsibleConnectionFailure as error:
            if lost:
                raise
            return {"status": UNREACHABLE, "why": one_line(str(error))}
        except OverdueError:
            told = SILENT.format(host=self.host, seconds=patience)
            if lost:
                raise AnsibleConnectionFailure(told) from None
            return {"status": UNREACHABLE, "why": told}
        if answer.get("failed") or "schema" not in answer:
            said = f"{answer.get('msg', 'the module gave no answer')} {answer.get('module_stderr', '')}"
            return {
                "status": FAILED,
                "why": _full(one_line(said)),
                **({"failed": True, "msg": said} if lost else {}),
            }
        for topic, lines in self._refused.items():
            answer["filesets"][topic] = {"steps": [], "warnings": [], "unknown": lines}
        return {**answer, "host": self.host, "status": READ}

    def _judge_gpus(self, planned: HostPlan, seen: Registered) -> dict[str, dict[str, str]]:
        """By topic of the GPUs why a role would do something (`differs`) or refuse to go on (`refused`).

        What has no other consequence is told here.
        """
        host = self.host
        inputs = {role: role_inputs(self, role, self.variables) for role in gpu_look.ROLES}
        managed = boolean(site_input(self, "nvidia_driver_manage", self.variables, True))
        required = site_input(self, "vllm_acceptance", self.variables, "optional") == "required"
        try:
            judged = gpu_look.judge(host, planned, seen, inputs, managed, required)
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from error
        for line in judged.lines:
            self.show(line)
        for warning in judged.warnings:
            display.warning(printable(f"{host}: {warning}"))
        return {"differs": judged.differs, "refused": judged.refused}

    def _judge(self, asked: Arguments, answer: Result) -> dict[str, object]:
        """What vllm_engine would do; a refusal joins the host's others."""
        planned, found = asked["engine"], answer["engine"]
        release = planned["release"]
        judged = {
            "release": release,
            "remove": found["prunable"] if boolean(asked["prune"]) else [],
            "packages": found["missing_packages"],
        }
        try:
            # `packages` of the plan are those that services call for, and stay here.
            whole = {**asked, **planned}
            considered = consider(whole, found)
            image = needed_image(whole, found, considered)
        except (EngineRefusalError, LockError) as error:
            refused = f"vLLM {release} for {planned['accelerator']}: {error}"
            answer["refusals"].append(refused)
            return {**judged, "install": False, "why": str(error), "refused": refused}
        verdict = considered.verdict
        return {**judged, "install": verdict.install, "why": verdict.reason, "image": image}


# What Python says where not even a module's own files can be written; tempfile tries each directory before it gives up.
FULL = ("No usable temporary directory found", "No space left on device")


def _full(text: str) -> str:
    """A full disk by its name: the traceback around it is long."""
    if any(words in text for words in FULL):
        return "a disk of this host is full: not even a module can run there. Free some space in /tmp or /var/tmp, and run again"
    return text
