"""What is told of a model's memory: refused where it is certain not to fit, a warning where it hardly does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.fit.facts import ModelFacts
from ansible_collections.baremetal.vllm.plugins.module_utils.fit.memory import Fit, least_tensor_parallel
from ansible_collections.baremetal.vllm.plugins.module_utils.fit.setting import AUTO
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.problems import HOSTS, Problems


def check_fit(
    at: str,
    args: Mapping[str, Any],
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
    room = fit.budget if not fit.setting.kv_bytes else fit.memory
    if fit.memory is not None and room is not None:
        kept = fit.setting.kv_bytes
        if fit.weights_least + kept > room:
            problems.add(at, _too_heavy(fit, where, fit.weights_least, "at least "), _lighter(facts, fit), host)
            return
        if fit.weights is not None and fit.weights + kept + fit.allowance > room:
            problems.warn(at, _too_heavy(fit, where, fit.weights, "about "), _lighter(facts, fit), host)
            return
    if fit.length is None or fit.needed is None:
        return
    if fit.left_most is not None and fit.needed_least > fit.left_most:
        reason = _too_long(fit, where, fit.needed_least, fit.left_most, "at least ", "at most ")
        problems.add(length_key, reason, _shorter(facts, fit), host)
    elif fit.left is not None and fit.needed > fit.left and fit.length != AUTO:
        reason = _too_long(fit, where, fit.needed, fit.left, "about ", "about ")
        problems.warn(length_key, reason, _shorter(facts, fit), host)


def _check_limit(key: str, facts: ModelFacts, fit: Fit, problems: Problems, env: Mapping[str, str]) -> None:
    # _get_and_verify_max_len (vllm/config/model.py): refused unless VLLM_ALLOW_LONG_MAX_MODEL_LEN is set.
    if fit.length is None or fit.limit is None or facts.encoder or fit.length <= fit.limit:
        return
    if env.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "0") in ("0", "", "False", "false"):
        stretched = next((rope.type for rope in facts.ropes if rope.factor > 1), "")
        hint = (
            " (with rope_scaling alone it stays: say max_position_embeddings in hf-overrides too)" if stretched else ""
        )
        problems.add(
            key,
            f"{fit.length} tokens are more than the {fit.limit} that the model is made for{hint}",
            f"Write {fit.limit} or less, or set env.VLLM_ALLOW_LONG_MAX_MODEL_LEN: 1",
        )


def _too_heavy(fit: Fit, where: str, weights: int, how: str) -> str:
    setting = fit.setting
    kept = f" and {gib(setting.kv_bytes)} of KV cache (kv-cache-memory-bytes)" if setting.kv_bytes else ""
    beside = f", beside about {gib(fit.allowance)} for what vLLM itself takes" if how == "about " else ""
    share = f"{gib(fit.budget or 0)} of {gib(fit.memory or 0)} (gpu-memory-utilization {setting.share:g})"
    room = gib(fit.memory or 0) if setting.kv_bytes else share
    return f"takes {how}{gib(weights)} of weights{kept} on each GPU{_spread(fit)}{beside}, and the engine has {room} of {where}"


def _spread(fit: Fit) -> str:
    sizes = (("tensor", fit.setting.tensor), ("pipeline", fit.setting.pipeline))
    return "".join(f" with {name}-parallel-size {size}" for name, size in sizes if size > 1)


def _lighter(facts: ModelFacts, fit: Fit) -> str:
    tensor = least_tensor_parallel(facts, fit.setting)
    more = f"Write tensor-parallel-size: {tensor}" if tensor else "Spread it over more GPUs (tensor-parallel-size)"
    return f"{more}, choose a quantised checkpoint, or place it on larger GPUs"


def _too_long(fit: Fit, where: str, needed: int, left: int, how: str, left_how: str) -> str:
    beside = f" after about {gib(fit.allowance)} for what vLLM itself takes" if left_how == "about " else ""
    beside = "" if fit.setting.kv_bytes else beside
    weights = "" if fit.setting.kv_bytes or fit.weights is None else f" beside {gib(fit.weights)} of weights"
    what = "one token" if fit.length == AUTO else f"one request of {fit.length} tokens"
    return f"{what} needs {how}{gib(needed)} of KV cache on each GPU, and {left_how}{gib(left)} are left on {where}{weights}{beside}"


def _shorter(facts: ModelFacts, fit: Fit) -> str:
    """The longest that fits with the allowance, down to a round number, so that what is written also starts."""
    longest = fit.longest if fit.longest is not None else fit.longest_most or 0
    tensor = least_tensor_parallel(facts, fit.setting)
    more = f"tensor-parallel-size: {tensor}" if tensor else "more GPUs"
    if longest < 1024:
        return f"Write {more}, or place it on larger GPUs: hardly one short request fits"
    return f"Write max-model-len: {longest // 1024 * 1024} or less (about {longest} fit), or {more}"


def gib(size: int) -> str:
    """Bytes for people: "3.4 GiB", "512 MiB"."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
