"""What a provider is sent of a client's request, and why it is sent nothing."""

from __future__ import annotations

import pytest
from msgspec import json

from gateway.candidates import Candidate
from gateway.config.settings import ProviderSettings
from gateway.errors import RequestError
from gateway.links import open_links
from gateway.provider_request import Call, Translators, prepare
from gateway.translate import TRANSLATORS
from gateway.wire.body import Body
from gateway.wire.formats import Wire
from gateway.wire.http import UNBOUNDED, Head, Memory, Request

BODY = b'{"model": "m", "max_tokens": 9,  "messages": [{"role": "user", "content": "hi"}]}'


class Full:
    """A worker's memory with no room left."""

    def try_more(self, size: int) -> bool:
        return size == 0


def call(memory: Memory = UNBOUNDED) -> Call:
    headers = ((b"x-api-key", b"sk-ant-client"), (b"user-agent", b"u"))
    request = Request(Head(b"POST", b"/v1/messages?beta=true", headers), BODY, 0.0, memory)
    return Call("gw_1", Wire.MESSAGES, request, Body(BODY), request.target, "anthropic")


def candidate(kind: str, *, key: str | None = "env:KEY", model: str = "m") -> Candidate:
    settings = ProviderSettings(name=kind, type=kind, api_key_ref=key)
    return Candidate(open_links([settings], {"KEY": "own"})[kind], model, model, "default", 0)


def test_request_in_the_clients_format_is_sent_as_it_came() -> None:
    sent = prepare(call(Full()), candidate("anthropic", key=None), TRANSLATORS)
    assert sent.body is BODY
    assert (sent.target, sent.translator) == (b"/v1/messages?beta=true", None)
    assert (b"x-api-key", b"sk-ant-client") in sent.headers


def test_request_in_another_format_is_translated() -> None:
    sent = prepare(call(), candidate("openai", model="gpt"), TRANSLATORS)
    assert json.decode(sent.body)["model"] == "gpt"
    assert sent.target == b"/v1/chat/completions"
    assert sent.translator is TRANSLATORS[Wire.MESSAGES, Wire.CHAT]
    assert b"sk-ant-client" not in b"".join(value for _, value in sent.headers)


@pytest.mark.parametrize(
    ("asked", "chosen", "translators", "status", "text"),
    [
        (call(), candidate("openai"), {}, 400, "is not translated"),
        (call(), candidate("openai", key=None), TRANSLATORS, 503, "no key of the gateway's"),
        (call(Full()), candidate("openai"), TRANSLATORS, 503, "no room"),
        (call(Full()), candidate("anthropic", model="other"), TRANSLATORS, 503, "no room"),
    ],
    ids=["no-translator", "no-key", "no-room-to-translate", "no-room-for-another-model"],
)
def test_what_cannot_be_sent_is_refused(
    asked: Call, chosen: Candidate, translators: Translators, status: int, text: str
) -> None:
    with pytest.raises(RequestError, match=text) as caught:
        prepare(asked, chosen, translators)
    assert caught.value.status == status
    waits = [name for name, _ in caught.value.headers] == [b"retry-after"]
    assert waits is (text == "no room")
