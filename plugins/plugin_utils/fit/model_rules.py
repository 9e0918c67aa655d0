"""What vLLM refuses once it has read the model's configuration: experts, context parallelism, data types, quantisation, stages.

Each rule is one `raise` or `assert` of vLLM's own code and names the file, with the release it became true in. Files were read
in the source distributions of 0.8.5, 0.9.2, 0.10.2, 0.11.0, 0.11.2 and every second release from 0.12.0 to 0.33.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import dtypes, limits
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.config import language_part, whole_number
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.jsontext import as_mapping
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release

# Files that a method reads where config.json says nothing (get_config_filenames of its class, and get_quant_config in
# vllm/model_executor/model_loader/weight_utils.py: "Cannot find the config file for …").
_AWQ, _GPTQ = ("quant_config.json", "quantize_config.json"), ("quantize_config.json",)
_OWN_FILES = {
    **dict.fromkeys(("awq", "awq_marlin", "auto_awq"), _AWQ),
    **dict.fromkeys(("gptq", "gptq_marlin", "auto_gptq", "gptq_marlin_24", "gptq_bitblas", "moe_wna16"), _GPTQ),
    **dict.fromkeys(("modelopt", "modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed"), ("hf_quant_config.json",)),
}
_PARTITION = "VLLM_PP_LAYER_PARTITION"
# Model types whose code has no layers for multi-token prediction in any release (SpeculativeConfig.hf_config_override,
# vllm/config/speculative.py, turns none of them into a type of MTPModelTypes).
_NO_DRAFT_LAYERS = frozenset(
    {"bloom", "falcon", "gemma", "gemma2", "gemma3", "gemma3_text", "gpt2", "gpt_neox", "gpt_oss", "granite", "llama"}
    | {"mistral", "mixtral", "olmo", "olmo2", "opt", "phi", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"}
    | {"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "smollm3", "stablelm", "starcoder2"}
)
# DEPRECATED_QUANTIZATION_METHODS, vllm/model_executor/layers/quantization/__init__.py: those of every release from here on.
_DEPRECATED, _DEPRECATED_SINCE = ("fbgemm_fp8", "fp_quant"), "0.14.0"
_ALLOW = "allow-deprecated-quantization"


@dataclass(frozen=True)
class _Broken:
    """`key` below the entry: "args.dtype", "env.NAME"."""

    key: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class _Asked:
    """One entry as the rules read it. `part`: the language model's part of the configuration; `quantised`: what the checkpoint
    says of its quantisation, {} where it says nothing."""

    args: Values
    env: Mapping[str, str]
    facts: ModelFacts
    part: Values
    quantised: Values
    release: Release
    capability: tuple[int, int] | None

    def count(self, option: str) -> int:
        return whole(self.args.get(option)) or 1

    @property
    def types(self) -> list[str]:
        """The data types that nothing refuses."""
        return dtypes.allowed(self.args, self.facts, self.release, self.capability)

    @property
    def latent(self) -> bool:
        return any(cache.heads == 0 for cache in self.facts.caches)

    def since(self, release: str) -> bool:
        return numbers(self.release.version) >= numbers(release)


def check_model(
    at: str,
    args: Values,
    env: Mapping[str, str],
    facts: ModelFacts,
    release: Release | None,
    problems: Problems,
    *,
    host: str = "",
    capability: tuple[int, int] | None = None,
) -> None:
    """Refuse what vLLM would refuse of this model. `at`: the entry's key; `args` by canonical option names, `env` as exported;
    `capability` of the host's GPUs decides only which data type the remedy names."""
    if release is None:
        return
    written: Mapping[str, str] = getattr(args, "written", {})
    part = language_part(facts.config)
    given = facts.config.get("quantization_config") or part.get("quantization_config")
    quantised = given if isinstance(given, Mapping) else {}
    asked = _Asked(args, env, facts, part, quantised, release, capability)
    for rule in (
        _experts,
        _context,
        _half,
        _activations,
        _unquantised,
        _deprecated_method,
        _groups,
        _blocks,
        _balance,
        _mega_experts,
        _stages,
        _mtp,
        _eagle3,
    ):
        for broken in rule(asked):
            place, __, option = broken.key.partition(".")
            key = written.get(option, option) if place == "args" else option
            problems.add(f"{at}.{place}.{key}", broken.reason, broken.remedy, host)


def _experts(asked: _Asked) -> Iterator[_Broken]:
    # ModelConfig._verify_with_expert_parallelism: every release from 0.8.5 on.
    held = asked.facts.experts or asked.part.get("block_configs")
    if asked.args.get("enable-expert-parallel") is True and not held and asked.facts.layers:
        yield _Broken("args.enable-expert-parallel", "needs a model with experts, and this one has none", "Remove it")


def _context(asked: _Asked) -> Iterator[_Broken]:
    # ModelConfig.verify_with_parallel_config, from 0.11.1 on; latent caches (MLA) are not asked.
    size, tensor = asked.count("decode-context-parallel-size"), asked.count("tensor-parallel-size")
    kept, heads = asked.facts.kv_heads, asked.facts.heads
    if size < 2 or not kept or not heads or not asked.facts.caches or asked.latent or not asked.since("0.11.1"):
        return
    option, most = "args.decode-context-parallel-size", tensor // kept
    if tensor <= kept:
        reason = f"needs a tensor-parallel-size above the model's {kept} heads of keys and values, and it is {tensor}"
        yield _Broken(option, reason, f"Remove it, or write tensor-parallel-size: {kept * size}")
    elif size > most:
        reason = f"{size} is more than tensor-parallel-size {tensor} over the model's {kept} heads of keys and values"
        yield _Broken(option, reason, f"Write {most} or less")
    elif heads // kept % size != 0:
        reason = f"{size} does not divide the model's {heads // kept} query heads for each head of keys and values"
        yield _Broken(
            option, reason, f"Write one of: {', '.join(str(n) for n in _divisors(heads // kept) if n <= most)}"
        )


def _half(asked: _Asked) -> Iterator[_Broken]:
    # _check_valid_dtype, vllm/config/model.py.
    if dtypes.named(asked.args) != "float16" or not dtypes.refuses_half(asked.facts, asked.release):
        return
    reason = f"{asked.args['dtype']} is no data type for {asked.facts.config['model_type']}"
    yield _Broken("args.dtype", reason, dtypes.remedy(asked.types))


def _activations(asked: _Asked) -> Iterator[_Broken]:
    """A data type that the quantisation does not take; `auto` is what the checkpoint was made for."""
    held, written = dtypes.of_method(asked.args, asked.facts, asked.release), dtypes.named(asked.args)
    has_bfloat16 = asked.capability is not None and asked.capability >= dtypes.BFLOAT16
    found = asked.facts.dtype if written == "auto" and has_bfloat16 and asked.facts.dtype != "float32" else written
    if held is None or found not in ("bfloat16", "float16", "float32") or found in held[1]:
        return
    if found == "float16" and dtypes.refuses_half(asked.facts, asked.release):
        return
    if found == "bfloat16" and asked.capability is not None and not has_bfloat16:
        # Told of the GPU already (fit.support).
        return
    named = "quantization" if asked.args.get("quantization") and written == "auto" else "dtype"
    made = ", which the model is made for," if written == "auto" else ""
    also = ", or leave `quantization` out" if asked.args.get("quantization") else ""
    yield _Broken(
        f"args.{named}",
        f"{found}{made} is no data type for quantisation {held[0]}, which takes {' or '.join(held[1])}",
        f"{dtypes.remedy(asked.types)}{also}",
    )


def _unquantised(asked: _Asked) -> Iterator[_Broken]:
    method = asked.args.get("quantization")
    files = _OWN_FILES.get(method) if isinstance(method, str) else None
    if files is None or asked.facts.quantisation is not None or not asked.facts.files.isdisjoint(files):
        return
    yield _Broken(
        "args.quantization",
        f"{method} reads checkpoints that were quantised so, and neither config.json nor {' or '.join(files)} says that "
        "this one was",
        "Leave it out, choose a quantised checkpoint, or quantise while loading (`quantization: fp8`)",
    )


def _deprecated_method(asked: _Asked) -> Iterator[_Broken]:
    # ModelConfig._verify_quantization.
    held = asked.facts.quantisation.method if asked.facts.quantisation else ""
    method = asked.args.get("quantization") or held
    if method in _DEPRECATED and asked.since(_DEPRECATED_SINCE) and asked.args.get(_ALLOW) is not True:
        where = "quantization" if asked.args.get("quantization") else _ALLOW
        yield _Broken(
            f"args.{where}", f"{method} is deprecated, and refused unless allowed", f"Write `{_ALLOW}: true` too"
        )


def _groups(asked: _Asked) -> Iterator[_Broken]:
    """What a GPU holds of a layer's input has to be whole groups.

    AWQ: vllm/model_executor/layers/quantization/awq.py, auto_awq.py from 0.24.0 on (create_weights), every release. GPTQ and
    integers of compressed-tensors: gptq.py (create_weights), and can_implement of Marlin's kernel for mixed precision; a kernel
    that does not ask takes the scales of other groups (load_row_parallel_weight, vllm/model_executor/parameter.py).
    """
    size, method, given = asked.count("tensor-parallel-size"), asked.facts.quantisation, asked.quantised
    group = _group(method.method, given) if method else 0
    if size < 2 or group < 1:
        return
    inputs = {"intermediate_size": 0 if asked.facts.experts else whole_number(asked.part, "intermediate_size") or 0}
    inputs["num_attention_heads × head_dim"] = 0 if asked.latent else asked.facts.heads * asked.facts.head_size
    for name, whole_input in inputs.items():
        if whole_input and whole_input % size == 0 and whole_input % group == 0 and whole_input // size % group:
            reason = f"{size} GPUs cannot share {name} {whole_input} in whole groups of {group}, as the checkpoint is quantised"
            fitting = [n for n in _divisors(whole_input // group) if n <= 64 and asked.facts.heads % n == 0]
            yield _Broken("args.tensor-parallel-size", reason, f"Write one of: {', '.join(map(str, fitting))}")
            return


def _group(method: str, given: Values) -> int:
    """Elements of a layer's input that have one scale, 0 where all or none of them have, or some layers are left out."""
    if method.startswith("awq") and not given.get("modules_to_not_convert"):
        group = given.get("group_size", given.get("q_group_size"))
    elif method.startswith("gptq") and not given.get("dynamic") and not given.get("modules_to_not_convert"):
        group = given.get("group_size")
    elif method == "compressed-tensors" and not _leaves_out_inputs(given.get("ignore")):
        groups = given.get("config_groups")
        weights = (
            [one.get("weights") for one in groups.values() if isinstance(one, Mapping)]
            if isinstance(groups, Mapping)
            else []
        )
        integers = [one for one in weights if isinstance(one, Mapping) and one.get("type") == "int"]
        # Of several groups of layers it is not known which one has which layer.
        group = integers[0].get("group_size") if len(weights) == len(integers) == 1 else None
    else:
        group = None
    return group if isinstance(group, int) and not isinstance(group, bool) and group > 0 else 0


def _leaves_out_inputs(ignored: Any) -> bool:
    """Whether layers whose input is divided among GPUs are among those that are kept out of the quantisation."""
    names = [str(name) for name in ignored] if isinstance(ignored, list) else []
    return any(word in name for name in names for word in ("down_proj", "o_proj", "mlp", "attn"))


def _blocks(asked: _Asked) -> Iterator[_Broken]:
    """FP8 in blocks: what a GPU holds of the feed-forward layers has to be whole blocks.

    validate_fp8_block_shape and validate_fp8_block_shape_moe (vllm/model_executor/layers/quantization/fp8.py, in
    utils/fp8_utils.py from 0.14.0 on): every release. Experts that are spread whole are not split.
    """
    given = asked.quantised
    if given.get("quant_method") != "fp8":
        return
    block = given.get("weight_block_size")
    if not isinstance(block, list) or [type(item) for item in block] != [int, int] or min(block) < 1:
        return
    kept_out: Any = given.get("modules_to_not_convert") or given.get("ignored_layers") or ()
    if any(str(name).endswith(("mlp", "experts", "down_proj", "gate_proj", "up_proj")) for name in kept_out):
        return
    tensor = asked.count("tensor-parallel-size")
    if asked.facts.experts:
        if asked.args.get("enable-expert-parallel") is True:
            return
        name, size = "moe_intermediate_size", tensor * asked.count("data-parallel-size")
        remedy = "Write `enable-expert-parallel: true`, or "
    else:
        name, size, remedy = "intermediate_size", tensor, "Write "
    held = whole_number(asked.part, name)
    if size > 1 and held and held % size == 0 and any(held // size % edge for edge in block):
        fitting = [n for n in _divisors(held) if n <= 64 and not any(held // n % e for e in block)]
        fitting = [n for n in fitting if not asked.facts.heads or asked.facts.heads % n == 0]
        parts = f"{size} GPUs share {name} {held} in parts of {held // size}"
        reason = f"{parts}, and the checkpoint is quantised in blocks of {block[0]}"
        yield _Broken("args.tensor-parallel-size", reason, f"{remedy}one of: {', '.join(map(str, fitting))}")


def _balance(asked: _Asked) -> Iterator[_Broken]:
    # FusedMoE.__init__ (vllm/model_executor/layers/fused_moe/layer.py): "EPLB currently only supports even distribution".
    if asked.args.get("enable-eplb") is not True or asked.args.get("enable-expert-parallel") is not True:
        return
    spare = whole(as_mapping(asked.args.get("eplb-config") or {}).get("num_redundant_experts"))
    spare = whole(asked.args.get("num-redundant-experts")) if spare is None else spare
    ranks = asked.count("tensor-parallel-size") * asked.count("data-parallel-size")
    ranks *= asked.count("prefill-context-parallel-size")
    experts = asked.facts.experts + (spare or 0)
    if asked.facts.experts and experts % ranks:
        reason = f"spreads experts evenly, and {experts} experts cannot be divided among {ranks} GPUs"
        missing = (spare or 0) + ranks - experts % ranks
        yield _Broken("args.enable-eplb", reason, f"Write eplb-config: {{num_redundant_experts: {missing}}}")


def _mega_experts(asked: _Asked) -> Iterator[_Broken]:
    # DeepseekV4MoE._init_mega_moe_experts (vllm/models/deepseek_v4/nvidia/model.py, from 0.24.0 on): as with EPLB, without it.
    backend = asked.args.get("moe-backend") or as_mapping(asked.args.get("kernel-config") or {}).get("moe_backend")
    eplb = asked.args.get("enable-eplb") is True
    if backend != "deep_gemm_mega_moe" or eplb or asked.args.get("enable-expert-parallel") is not True:
        return
    ranks = asked.count("tensor-parallel-size") * asked.count("data-parallel-size")
    ranks *= asked.count("prefill-context-parallel-size")
    if asked.facts.model_type.startswith("deepseek_v4") and asked.since("0.24.0") and asked.facts.experts % ranks:
        fitting = [n for n in _divisors(asked.facts.experts) if n <= 64]
        yield _Broken(
            f"args.{'moe-backend' if asked.args.get('moe-backend') else 'kernel-config'}",
            f"{backend} divides experts evenly, and {asked.facts.experts} cannot be divided among {ranks} GPUs",
            f"Write another backend, or parallel sizes whose product is one of: {', '.join(map(str, fitting))}",
        )


def _stages(asked: _Asked) -> Iterator[_Broken]:
    # get_pp_indices (vllm/distributed/utils.py): every release.
    written, stages = asked.env.get(_PARTITION), asked.count("pipeline-parallel-size")
    layers = asked.facts.layers
    if not written:
        return
    try:
        parts = [int(part) for part in written.split(",")]
    except ValueError:
        yield _Broken(
            f"env.{_PARTITION}", f"{written!r} is no list of numbers", "Write the layers of each stage: 12,12"
        )
        return
    even = ",".join(str(layers // stages + (stage < layers % stages)) for stage in range(stages)) if layers else ""
    remedy = f"Write the layers of each of the {stages} stages" + (f": {even}" if even else "")
    if stages > 1 and len(parts) != stages:
        yield _Broken(f"env.{_PARTITION}", f"has {len(parts)} parts for a pipeline-parallel-size of {stages}", remedy)
    elif stages > 1 and layers and sum(parts) != layers:
        yield _Broken(f"env.{_PARTITION}", f"adds up to {sum(parts)}, and the model has {layers} layers", remedy)


def _mtp(asked: _Asked) -> Iterator[_Broken]:
    """Drafting with the model's own layers for multi-token prediction, of a model that has none."""
    given = as_mapping(asked.args.get("speculative-config") or {})
    method = given.get("method") or asked.args.get("spec-method")
    model = given.get("model") or asked.args.get("spec-model")
    names = (*asked.facts.config, *asked.part)
    if not isinstance(method, str) or not (method == "mtp" or method.endswith("_mtp")) or model:
        return
    if asked.facts.model_type in _NO_DRAFT_LAYERS and not any("mtp" in name or "nextn" in name for name in names):
        option = "speculative-config" if given.get("method") else "spec-method"
        reason = f"{method} drafts with layers of the model itself, and {asked.facts.model_type} has none for it"
        yield _Broken(
            f"args.{option}", reason, "Draft with `method: ngram`, or name a draft model (`method: eagle3`, `model`)"
        )


def _eagle3(asked: _Asked) -> Iterator[_Broken]:
    # SpeculativeConfig._verify_args (vllm/config/speculative.py; vllm/config.py up to 0.10.0). The method is also read from the
    # draft's name. From 0.22.0 on the model's class is asked once it is loaded.
    given = as_mapping(asked.args.get("speculative-config") or {})
    method, draft = given.get("method"), str(given.get("model") or "").lower()
    words = limits.drafted_for(asked.release.version)
    if words is None or not (method == "eagle3" or (method is None and "eagle3" in draft)):
        return
    kind = str(asked.part.get("model_type") or "")
    if kind and not any(word in kind for word in words):
        yield _Broken(
            "args.speculative-config",
            f"eagle3 drafts for models of vLLM {asked.release.version} whose type has one of {', '.join(words)} in it, and this "
            f"one is {kind}",
            "Draft with `method: ngram`, or run 0.22.0 or newer",
        )


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, min(number, 4096) + 1) if number % n == 0]
