"""The kinds of model: one row for each, with all that is known of it but its probes (suite.py).

A kind is what an endpoint promises. Standard library, Python 3.9: hosts and the control node read the same table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.media import data_url, png

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
# These exist without /v1 too, where no key guards them.
RERANK = "/v1/rerank"
SCORE = "/v1/score"
# This one exists only outside /v1, so no key guards it (0.32.0).
CLASSIFY = "/classify"
TRANSCRIPTIONS = "/v1/audio/transcriptions"

_GENERATE = (CHAT, "/v1/completions", "/v1/responses")
_COMPARE = (RERANK, "/v2/rerank", SCORE)
_DOCUMENTS = ("Berlin is the capital of Germany.", "Paris is the capital of France.")

# Fields of a request beside its model, from a text.
Fields = Callable[[str], dict[str, object]]


@dataclass(frozen=True)
class Kind:
    """One kind of model.

    `path`: where its requests go; `open_paths`: what else a gateway lets through for it. `runner`: vLLM's, `generate` for models
    that write, `pooling` for those that turn a text into numbers. `chats`: it answers chat completions; `form`: it takes a form
    with a sound instead of JSON.

    Requests, by the fields beside `model`: `smallest` makes an engine work (vllm-wait-ready and vllm-canary hold the same,
    for they run alone); `about` asks about a text, {} where a chat's is made elsewhere; `example` is for people, from a question.

    How one is recognised: `words` of vLLM's --task and --convert, `tasks` of the hub (huggingface.co/tasks), `endings` of
    architectures (_SUFFIX_TO_DEFAULTS, vllm/config/model.py of 0.33.0), `names` of models (a pattern, "" for none).
    """

    name: str
    path: str
    open_paths: tuple[str, ...]
    runner: str
    smallest: Mapping[str, object]
    about: Fields
    example: Fields
    chats: bool = False
    form: bool = False
    words: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    names: str = ""

    @property
    def pooling(self) -> bool:
        """Whether it is served by the pooling runner: it answers with numbers, not with text."""
        return self.runner == "pooling"


def _nothing(text: str) -> dict[str, object]:
    return {}


def _chat(content: Any) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": content}], "max_tokens": 64, "temperature": 0}


def _picture(question: str) -> dict[str, object]:
    """A red square stands in for the reader's own picture: engines may fetch none (docs/sandbox.md)."""
    picture = {"type": "image_url", "image_url": {"url": data_url(png(64, 64))}}
    return _chat([picture, {"type": "text", "text": "Which colour is this picture?"}])


def _chatting(name: str, example: Fields = _chat, **more: Any) -> Kind:
    smallest = {"messages": [{"role": "user", "content": "ready?"}], "max_tokens": 1}
    return Kind(name, CHAT, _GENERATE, "generate", smallest, _nothing, example, chats=True, **more)


def _pooling(name: str, path: str, open_paths: tuple[str, ...], about: Fields, example: Fields, **more: Any) -> Kind:
    return Kind(name, path, open_paths, "pooling", about("ready"), about, example, **more)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        _chatting("chat", tasks=("text-generation",), endings=("ForCausalLM", "ChatModel", "LMHeadModel")),
        # Its parser says so, not the model's task.
        _chatting("reasoning"),
        _chatting(
            "vision",
            _picture,
            tasks=("image-text-to-text", "any-to-any"),
            endings=("ForConditionalGeneration",),
        ),
        _pooling(
            "embedding",
            EMBEDDINGS,
            # An embedding model compares texts as well.
            (EMBEDDINGS, *_COMPARE),
            lambda text: {"input": text},
            lambda question: {"input": ["How do I reset my password?"]},
            words=("embed", "embedding"),
            tasks=("feature-extraction", "sentence-similarity"),
            endings=("ForTextEncoding", "EmbeddingModel", "RewardModel", "Model"),
        ),
        _pooling(
            "rerank",
            RERANK,
            _COMPARE,
            lambda text: {"query": text, "documents": [text]},
            lambda question: {"query": question, "documents": list(_DOCUMENTS)},
            tasks=("text-ranking",),
            names="rerank",
        ),
        _pooling(
            "score",
            SCORE,
            _COMPARE,
            lambda text: {"text_1": text, "text_2": text},
            lambda question: {"text_1": question, "text_2": list(_DOCUMENTS)},
            words=("score",),
        ),
        _pooling(
            "classify",
            CLASSIFY,
            (CLASSIFY,),
            lambda text: {"input": text},
            lambda question: {"input": ["This product is great."]},
            words=("classify",),
            tasks=("text-classification", "token-classification"),
            endings=("Classification", "ClassificationModel"),
        ),
        Kind(
            "transcription",
            TRANSCRIPTIONS,
            (TRANSCRIPTIONS, "/v1/audio/translations"),
            "generate",
            {"temperature": "0"},
            _nothing,
            _nothing,
            form=True,
            words=("transcription",),
            tasks=("automatic-speech-recognition",),
            # Recipes have no word for what writes down speech; their names do (openai/whisper, Qwen3-ASR, MOSS-Transcribe).
            names=r"whisper|\basr\b|-asr-|transcri|voxtral",
        ),
    )
}


def by_word(word: str) -> str:
    """The kind that a word of --task or --convert means, "" for none."""
    return next((kind.name for kind in KINDS.values() if word in kind.words), "")


def by_task(task: str) -> str:
    """The kind that a task of the hub means, "" for none."""
    return next((kind.name for kind in KINDS.values() if task in kind.tasks), "")


def by_architecture(name: str) -> str:
    """The kind that the longest known ending of an architecture means, "" for none."""
    fitting = [(len(end), kind.name) for kind in KINDS.values() for end in kind.endings if name.endswith(end)]
    return max(fitting, default=(0, ""))[1]


def by_name(model: str, runner: str) -> str:
    """The kind of that runner that a model's name tells, "" where it tells none."""
    named = (kind for kind in KINDS.values() if kind.runner == runner and kind.names)
    return next((kind.name for kind in named if re.search(kind.names, model, re.IGNORECASE)), "")
