"""What is told of a model's memory: refused where it is certain not to fit, a warning where it hardly does."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts, Rope
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.memory import (
    FEW,
    Fit,
    fewer_requests,
    least_tensor_parallel,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.setting import AUTO


def check_fit(
    at: str,
    args: Values,
    facts: ModelFacts,
    fit: Fit,
    gpu: str,
    problems: Problems,
    host: str = "",
    env: Mapping[str, str] | None = None,
) -> None:
    """Tell what follows from `fit`. `at`: the entry's key; `gpu`: the GPU's name; `env`: the entry's variables."""
    written: Mapping[str, str] = getattr(args, "written", {})
    length_key = f"{at}.args.{written.get('max-model-len', 'max-model-len')}"
    _check_limit(length_key, facts, fit, problems, env or {})
    where = f"{gpu} ({HOSTS})"
    kept = fit.setting.kv_bytes
    # A KV cache of a given size does not heed gpu-memory-utilization.
    room = fit.memory if kept else fit.budget
    most = fit.setting.memory_most if kept else fit.budget_most
    if room is not None and most is not None:
        key = f"{at}.args.{written.get('kv-cache-memory-bytes', 'kv-cache-memory-bytes')}" if kept else at
        if fit.weights_least + kept > most:
            problems.add(key, f"takes {_heavy(fit, where, fit.weights_least, True)}", _lighter(facts, fit), host)
            return
        if fit.weights is not None and fit.weights + kept + fit.overhead.total > room:
            problems.warn(key, f"may not fit: {_heavy(fit, where, fit.weights, False)}", _lighter(facts, fit), host)
            return
    if fit.length is None or fit.needed is None or fit.length == AUTO:
        return
    if fit.left_most is not None and fit.needed_least > fit.left_most:
        reason = _long(fit, where, fit.needed_least, fit.left_most, True)
        problems.add(length_key, reason, _shorter(facts, fit), host)
    elif fit.left is not None and fit.needed > fit.left:
        reason = _long(fit, where, fit.needed, fit.left, False)
        problems.warn(length_key, f"may not fit: {reason}", _shorter(facts, fit), host)


def _check_limit(key: str, facts: ModelFacts, fit: Fit, problems: Problems, env: Mapping[str, str]) -> None:
    # _get_and_verify_max_len (vllm/config/model.py): refused unless VLLM_ALLOW_LONG_MAX_MODEL_LEN is set.
    if fit.length is None or fit.limit is None or facts.encoder or fit.length <= fit.limit:
        return
    if env.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "0") in ("0", "", "False", "false"):
        # From 0.30.0 on YaRN multiplies nothing any more, see length.py.
        hint = ""
        stretched = next((rope for rope in facts.ropes if rope.type == "yarn" and rope.factor > 1), None)
        if fit.limit == facts.positions and stretched:
            hint = ", whatever rope_scaling says: this release takes max_position_embeddings as it stands"
        problems.add(
            key,
            f"{fit.length} tokens are more than the {fit.limit} that the model is made for{hint}",
            f"Write {fit.limit} or less"
            + (f", or {_stretch(facts, stretched, fit.length)}" if hint and stretched else "")
            + ", or force it with env: {VLLM_ALLOW_LONG_MAX_MODEL_LEN: 1}",
        )


def _stretch(facts: ModelFacts, rope: Rope, length: int) -> str:
    """The override that lengthens a model by YaRN: it takes the place of the whole dictionary, so it is given whole."""
    theta = "" if facts.theta is None else f", rope_theta: {facts.theta:.17g}"
    original = f", original_max_position_embeddings: {rope.original}" if rope.original else ""
    parameters = f"{{rope_type: yarn, factor: {rope.factor:g}{original}{theta}}}"
    return (
        "raise max_position_embeddings: "
        f"`hf-overrides: {{max_position_embeddings: {length}, rope_parameters: {parameters}}}`"
    )


def _heavy(fit: Fit, where: str, weights: int, certain: bool) -> str:
    kept = f" and {gib(fit.setting.kv_bytes)} of KV cache" if fit.setting.kv_bytes else ""
    spread = "".join(
        f" with {name}-parallel-size {size}"
        for name, size in (("tensor", fit.setting.tensor), ("pipeline", fit.setting.pipeline))
        if size > 1
    )
    budget, memory = (fit.budget_most, fit.setting.memory_most) if certain else (fit.budget, fit.memory)
    share = f"{gib(budget or 0)} of the {gib(memory or 0)} (gpu-memory-utilization {fit.setting.share:g})"
    room = gib(memory or 0) if fit.setting.kv_bytes else share
    how, beside = ("at least ", "") if certain else ("about ", f", {_allowance(fit)}")
    return f"{how}{gib(weights)} of weights{kept} on each GPU{spread}{beside}, and the engine has {room} of {where}"


def _allowance(fit: Fit) -> str:
    return f"beside about {gib(fit.overhead.total)} that vLLM takes itself"


def _lighter(facts: ModelFacts, fit: Fit) -> str:
    tensor = least_tensor_parallel(facts, fit.setting)
    more = f"Write tensor-parallel-size: {tensor}" if tensor else "Spread it over more GPUs (tensor-parallel-size)"
    if fewer_requests(facts, fit):
        more = f"{more}, max-num-seqs: {FEW} (not {fit.setting.seqs})"
    less = "lower kv-cache-memory-bytes" if fit.setting.kv_bytes else "choose a quantised checkpoint"
    return f"{more}, {less}, or place it on larger GPUs"


def _long(fit: Fit, where: str, needed: int, left: int, certain: bool) -> str:
    how, at_most = ("at least", "at most") if certain else ("about", "about")
    beside = "" if fit.setting.kv_bytes or fit.weights is None else f" beside {gib(fit.weights)} of weights"
    if not certain and not fit.setting.kv_bytes:
        beside += f" and about {gib(fit.overhead.total)} that vLLM takes itself"
    return (
        f"one request of {fit.length} tokens needs {how} {gib(needed)} of KV cache on each GPU, and {at_most} {gib(left)} "
        f"are left on {where}{beside}"
    )


def _shorter(facts: ModelFacts, fit: Fit) -> str:
    """The longest that fits beside the allowance, down to a round number, so that what is written also starts."""
    longest = fit.longest if fit.longest is not None else fit.longest_most or 0
    tensor = least_tensor_parallel(facts, fit.setting)
    more = f"tensor-parallel-size: {tensor}" if tensor else "more GPUs"
    more = f"{more}, or a larger kv-cache-memory-bytes" if fit.setting.kv_bytes else more
    if longest < 1024:
        return f"Write {more}, or place it on larger GPUs: hardly a short request fits"
    return f"Write max-model-len: {longest // 1024 * 1024} or less (about {longest} fit), or {more}"


def gib(size: int) -> str:
    """Bytes for people: "3.4 GiB", "512 MiB"."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
