"""Options that need or exclude each other: vLLM finds these out only once it runs, 15 to 45 s after the start.

Each rule is one `raise` or `assert` of vLLM's own code, and says where it stands and since when. Rules speak only of
what is written: where a value is decided on the host (by the model, the GPU or the platform), none applies.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule import Given, Rule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rules_configs import CONFIGS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rules_drafting import DRAFTING
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rules_experts import EXPERTS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rules_models import MODELS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rules_parallel import PARALLEL
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rules_scheduling import SCHEDULING
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rules_serving import SERVING

RULES: tuple[Rule, ...] = (*SERVING, *SCHEDULING, *PARALLEL, *EXPERTS, *DRAFTING, *MODELS, *CONFIGS)


def _by_option() -> dict[str, list[Rule]]:
    by_option: dict[str, list[Rule]] = {}
    for rule in RULES:
        for option in rule.about:
            by_option.setdefault(option, []).append(rule)
    return by_option


_BY_OPTION = _by_option()


def check_relations(
    at: str, args: Values, release: Release | None, problems: Problems, *, gpus: int | None = None
) -> None:
    """Refuse combinations that vLLM would refuse. `args` as `read_arguments` gives them; `gpus`: how many it may use.

    Without a release nothing is known of the options, and nothing is checked.
    """
    if release is None:
        return
    written: Mapping[str, str] = getattr(args, "written", {})
    given = Given(args, release, getattr(args, "refused", ()), gpus)
    for option in args:
        for rule in _BY_OPTION.get(option, ()):
            if rule.is_broken(given):
                tell = problems.warn if rule.warns else problems.add
                tell(f"{at}.{_spelled(rule.at, written)}", rule.reason, rule.remedy)


def _spelled(key: str, written: Mapping[str, str]) -> str:
    """The key as the operator wrote it."""
    option, dot, path = key.partition(".")
    return written.get(option, option) + dot + path
