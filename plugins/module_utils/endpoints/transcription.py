"""Speech to text: a second of a pure tone has no words, but must be taken and answered."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe, skip
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, Reply, require_object
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import TRANSCRIPTIONS
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.media import wav
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service


@probe("transcription")
def transcription(client: Client, service: Service) -> Iterator[Check]:
    """A sound is answered with a text, be it empty; skipped where the engine has no audio packages.

    Raises Unexpected: for any other answer.
    """
    reply = client.upload(TRANSCRIPTIONS, {"model": service.model, "temperature": "0"}, "tone.wav", wav())
    if no_audio(reply):
        yield skip("transcription", f"the engine has no audio support ({reply})")
        return
    text = require_object(reply, TRANSCRIPTIONS).get("text")
    yield expect("transcription", isinstance(text, str), f"text {text!r}", "a text, be it empty")


def no_audio(reply: Reply) -> bool:
    """Whether the engine has no audio packages.

    0.32.0 then calls every file unsupported, and the file sent here is a plain WAV. A route that is missing means
    something else: the model does not transcribe.
    """
    told = str(reply)
    return reply.status >= 400 and ("Invalid or unsupported audio file" in told or "vllm[audio]" in told)
