"""The look at a hub: over a real connection to one on loopback, with its faults."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.hub import hub_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load as catalogue
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.hub import Hub as Client
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.hub import HubFailure, HubModel, by_hand
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.model import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.outside import families, own_recipe, thinker
from huggingface_hub import HfApi
from recipe_models import COMMIT
from weights_hub import Hub

OLDER = "76543210" * 5
MODEL = "Qwen/Qwen3-4B"


def test_a_model_is_found_with_its_commit_and_files(hub: Hub) -> None:
    hub.repos[MODEL] = {OLDER: {}, **hub.repos[MODEL]}
    found = Client(hub.endpoint).look(MODEL)
    assert (found.model, found.revision, found.modified, found.task) == (MODEL, COMMIT, "2026-11-01", "text-generation")
    assert list(found.files) == ["config.json"]
    assert Client(hub.endpoint).file(found, "config.json") == hub.repos[MODEL][COMMIT]["config.json"]
    assert Client(hub.endpoint + "/").look(MODEL, OLDER).revision == OLDER


def test_it_says_what_the_hubs_own_library_says(hub: Hub) -> None:
    hub.repos[MODEL][COMMIT]["model.safetensors"] = b"x" * 1000
    theirs, ours = HfApi(hub.endpoint).model_info(MODEL, files_metadata=True), Client(hub.endpoint).look(MODEL)
    assert theirs.siblings is not None
    assert ours.files == {one.rfilename: one.size for one in theirs.siblings}
    assert (ours.model, ours.revision, ours.task, ours.weights) == (theirs.id, theirs.sha, theirs.pipeline_tag, 1000)


def test_a_token_goes_to_the_hub_and_not_where_it_redirects(hub: Hub) -> None:
    hub.token = "hf_token_of_the_test"
    with pytest.raises(HubFailure, match="gated or private \\(401\\), and no token was sent") as refused:
        Client(hub.endpoint).look(MODEL)
    assert refused.value.kind == "denied"
    with pytest.raises(HubFailure, match="the token is refused"):
        Client(hub.endpoint, "hf_wrong").look(MODEL)
    client = Client(hub.endpoint, hub.token)
    found = client.look(MODEL)
    # Large files are on another host.
    hub.repos[MODEL][COMMIT]["tokenizer.model"] = b"large"
    assert client.file(found, "tokenizer.model") == b"large"
    assert hub.tokens_astray == set()


def test_no_failure_shows_the_token(hub: Hub) -> None:
    hub.token = "hf_another"
    with pytest.raises(HubFailure) as refused:
        Client(hub.endpoint, "hf_secret_of_the_test").look(MODEL)
    assert "hf_secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (503, "network", "cannot be reached (status 503)"),
        (429, "network", "cannot be reached (status 429)"),
        (418, "other", "answers with status 418"),
    ],
)
def test_a_hub_that_refuses_is_told_with_a_remedy(hub: Hub, status: int, kind: str, said: str) -> None:
    hub.status = status
    with pytest.raises(HubFailure) as refused:
        Client(hub.endpoint).look(MODEL)
    assert refused.value.kind == kind
    assert said in str(refused.value)


def test_names_that_the_hub_does_not_know(hub: Hub) -> None:
    with pytest.raises(HubFailure, match="no such model, or gated"):
        Client(hub.endpoint).look("no/such")
    with pytest.raises(HubFailure, match="no such model or revision"):
        Client(hub.endpoint).look(MODEL, "v2")
    for name in ("../../etc/passwd", "a/b/c", "a b", ""):
        with pytest.raises(HubFailure, match="is no hub id"):
            Client(hub.endpoint).look(name)
    with pytest.raises(HubFailure, match="is no address of a hub"):
        Client("file:///etc").look(MODEL)


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """A server whose every answer is these bytes; gives its address."""
    servers = []

    def answer(body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *__: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "body", [b"<html>sign in", b"[]", b"{}", b'{"sha": "main"}', b'{"sha": 5}', b"[" * 100_000, b"\xff\xfe"]
)
def test_a_page_that_is_no_hub_is_told(answering: Callable[[bytes], str], body: bytes) -> None:
    with pytest.raises(HubFailure, match="is it a hub") as refused:
        Client(answering(body)).look(MODEL)
    assert refused.value.kind == "other"


def test_a_hub_that_is_not_there_or_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(HubFailure, match=r"cannot be reached .*https_proxy"):
            Client(f"http://127.0.0.1:{port}", patience=0.2).look(MODEL)
    with pytest.raises(HubFailure, match="cannot be reached"):
        Client(f"http://127.0.0.1:{port}", patience=5).look(MODEL)


def test_a_proxy_of_the_environment_is_used(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    # A proxy is asked for the whole address; this one answers as the hub that it is.
    monkeypatch.setenv("http_proxy", hub.endpoint)
    monkeypatch.setenv("no_proxy", "")
    assert Client("http://hub.example").look(MODEL).revision == COMMIT


def test_where_the_hub_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_of(None, None, False, {}).endpoint == "https://huggingface.co"
    assert hub_of(None, None, False, {"HF_ENDPOINT": "https://mirror.example/"}).endpoint == "https://mirror.example"
    assert hub_of("https://fleet.example", None, False, {"HF_ENDPOINT": "x"}).endpoint == "https://fleet.example"
    for offline, environ in ((True, {}), (False, {"HF_HUB_OFFLINE": "1"}), (False, {"HF_HUB_OFFLINE": "True"})):
        with pytest.raises(HubFailure, match="was not asked"):
            hub_of(None, None, offline, environ)
    assert "git ls-remote https://mirror.example/a/b HEAD" in by_hand("a/b", "https://mirror.example/")


def found(model: str, kind: str = "", task: str = "", architecture: str = "", weights: int = 0) -> HubModel:
    config = {"model_type": kind, "architectures": [architecture]}
    return HubModel(
        model, COMMIT, "", task, False, config, {"model.safetensors": weights, "consolidated.safetensors": 10**12}
    )


KNOWN = [
    (found("a/Qwen3-8B-tuned", "qwen3", "text-generation"), "reasoning", ("qwen3", "hermes"), "enable_thinking: false"),
    (found("a/Qwen3-4B-Instruct-2507", "qwen3", "text-generation"), "chat", ("", "hermes"), ""),
    (found("a/Qwen3-4B-Base", "qwen3", "text-generation"), "chat", ("", ""), "No parsers are known"),
    (found("a/Qwen3-Embedding-4B", "qwen3", "feature-extraction"), "embedding", ("", ""), ""),
    (found("a/DeepSeek-R1-Distill-Llama-8B", "llama", "text-generation"), "reasoning", ("deepseek_r1", ""), ""),
    (found("a/Mistral-Small", "mistral", "text-generation"), "chat", ("", "mistral"), ""),
    (found("a/bge", "bert", "", "BertModel"), "embedding", ("", ""), "`kind` is a guess from its architecture"),
    (found("a/bge-reranker", "xlm-roberta", "text-classification"), "rerank", ("", ""), ""),
    (found("a/speech", "whisper", "automatic-speech-recognition"), "transcription", ("", ""), ""),
    (found("a/eyes", "llava", "image-text-to-text"), "vision", ("", ""), "No parsers are known"),
    (found("a/b"), "chat", ("", ""), "`kind` is a guess: the hub names neither"),
]


@pytest.mark.parametrize(("one", "kind", "parsers", "noted"), KNOWN)
def test_a_model_outside_the_recipes_gets_its_kind_and_parsers(
    one: HubModel, kind: str, parsers: tuple[str, str], noted: str
) -> None:
    recipe, said, notes = own_recipe(one)
    words = [word for feature in recipe.features.values() for word in feature.part.args]

    def after(option: str) -> str:
        return words[words.index(option) + 1] if option in words else ""

    assert said == kind
    assert (after("--reasoning-parser"), after("--tool-call-parser")) == parsers
    assert noted in " ".join(notes)


def test_its_size_is_that_of_what_an_engine_loads() -> None:
    assert own_recipe(found("a/b", weights=10**10))[0].variants["default"].gb == 12


def test_every_parser_of_the_families_is_one_of_the_newest_release() -> None:
    newest = catalogue.release(catalogue.releases()[-1])
    assert newest is not None
    options = {"reasoning": "reasoning-parser", "tools": "tool-call-parser"}
    thinkers = [{"reasoning": thinker(name)[0]} for name in load().recipes]
    assert {"openai_gptoss", "seed_oss"} <= {one["reasoning"] for one in thinkers}
    for family in [*families(), *thinkers]:
        for key, option in options.items():
            known = newest.options[option].choices or newest.options[option].suggestions
            assert family.get(key, "") in ("", *(known or ())), family
