"""LoRA adapters whose `adapter_config.json` is at hand: what vLLM would refuse to load.

Source: PEFTHelper.validate_legal (vllm/lora/peft_helper.py), read in 0.8.5, 0.31.0, 0.32.0 and 0.33.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import read_json_file
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release

_RANK = "max-lora-rank"
# Before, vLLM had all modules saved beside an adapter refused; since, those of a classifier's head are read.
_HEADS_SINCE, _HEADS = "0.31.0", ("classifier", "score")
# From here on the features of PEFT that change what an adapter means, and that vLLM does not have, are refused by name.
_FEATURES_SINCE = "0.32.0"
_FEATURES = {
    "lora_bias": "LoRA bias",
    "alora_invocation_tokens": "activated LoRA",
    "layer_replication": "layer replication",
    "use_bdlora": "block-diagonal LoRA",
    "use_qalora": "QA-LoRA",
}
# Ways to initialise an adapter that leave the base model's weights as they are.
_PLAIN_STARTS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")


def read_adapter(directory: Path) -> dict[str, object] | None:
    """`adapter_config.json` of a directory; None where there is none that can be read."""
    read = read_json_file(directory / "adapter_config.json")
    return read if isinstance(read, dict) else None


def check_adapters(
    at: str,
    args: Values,
    adapters: Mapping[str, Mapping[str, object]],
    release: Release | None,
    problems: Problems,
) -> None:
    """Refuse adapters that would not load. `at`: the entry's key; `adapters`: name to its adapter_config.json."""
    if release is None or _RANK not in release.options:
        return
    option = release.options[_RANK]
    allowed = whole(args.get(_RANK, option.default))
    ranks = {name: _rank(config, release) for name, config in adapters.items()}
    highest = max(ranks.values(), default=0)
    if allowed is not None and highest > allowed:
        most = [name for name, rank in ranks.items() if rank == highest]
        written = getattr(args, "written", {}).get(_RANK, _RANK)
        enough = [choice for choice in option.choices or (highest,) if isinstance(choice, int) and choice >= highest]
        problems.add(
            f"{at}.args.{written}",
            f"{'is' if _RANK in args else 'is by default'} {allowed}, and the adapter {' and '.join(most)} has rank {highest}",
            f"Write {_RANK}: {min(enough)}"
            if enough
            else f"Serve an adapter of rank {max(option.choices or (0,))} or less",
        )
    for name, config in adapters.items():
        for feature in _unsupported(config, release):
            problems.add(
                f"{at}.adapters.{name}",
                f"uses {feature}, which vLLM {release.version} does not read",
                "Merge it into the model's weights, or train a plain LoRA adapter",
            )


def _rank(config: Values, release: Release) -> int:
    ranks = [whole(config.get("r"))]
    pattern = config.get("rank_pattern")
    if isinstance(pattern, Mapping) and numbers(release.version) >= numbers(_FEATURES_SINCE):
        ranks += [whole(rank) for rank in pattern.values()]
    return max((rank for rank in ranks if rank), default=0)


def _unsupported(config: Values, release: Release) -> Iterator[str]:
    version = numbers(release.version)
    saved = config.get("modules_to_save")
    heads = _HEADS if version >= numbers(_HEADS_SINCE) else ()
    if isinstance(saved, list) and any(module not in heads for module in saved):
        yield f"modules saved whole ({', '.join(str(module) for module in saved)})"
    if config.get("use_dora"):
        yield "DoRA"
    if version < numbers(_FEATURES_SINCE):
        return
    yield from (name for key, name in _FEATURES.items() if config.get(key))
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower() not in _PLAIN_STARTS:
        yield f"init_lora_weights: {start}, which changed the base model's weights,"
