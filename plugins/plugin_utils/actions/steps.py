"""Actions that do one of several steps: which one a task asks for, and what each takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Spec, Variables


@dataclass(frozen=True)
class Step:
    """One step of an action on the control node.

    `spec` is its argument spec without the option that names the step. `run` gets the action, its arguments as the spec has
    made them, and the task's variables, and returns the task's result. `rules` are what else the spec demands
    (`mutually_exclusive`, `required_one_of`). `former` is the name of the module that did this step
    alone before, without the collection; meta/runtime.yml sends tasks with that name here, and they name no step.
    """

    spec: Spec
    run: Callable[[Action, Arguments, Variables], Result]
    former: str = ""
    rules: Spec = field(default_factory=dict)


def step_of(action: Action, option: str, former: Mapping[str, str], default: str = "") -> str:
    """The step that a task asks for: what `option` says, or its former name means (`former`: by name the step), or `default`.

    Raises AnsibleActionFail where nothing of these says one.
    """
    said = action._task.args.get(option)
    step = str(said) if said else former.get(str(action._task.action).rpartition(".")[2], default)
    if not step:
        raise AnsibleActionFail(f"missing required arguments: {option}")
    return step


def run_step(action: Action, option: str, steps: Mapping[str, Step], variables: Variables, default: str = "") -> Result:
    """Do the step that a task asks for with `option`; `steps` by its values.

    Raises AnsibleActionFail for an option that this step does not have, and a step that is none.
    """
    name = step_of(action, option, {step.former: name for name, step in steps.items() if step.former}, default)
    chosen = steps.get(name, Step({}, lambda *__: {}))
    spec = {option: {"type": "str", "choices": list(steps)}, **chosen.spec}
    return chosen.run(action, action.checked(spec, **chosen.rules), variables)
