"""What a provider is sent of a client's request, and why it is sent nothing."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json
from msgspec.structs import replace

from gateway.candidates import Candidate
from gateway.config.settings import ProviderSettings
from gateway.errors import RequestError
from gateway.links import open_links
from gateway.overrides.adaptation import adapt
from gateway.overrides.capabilities import Capability
from gateway.overrides.shape import Shape
from gateway.provider_request import MAX_WAYS, Call, ProviderRequest, Translators, prepare
from gateway.translate import TRANSLATORS
from gateway.translate.unsigned import MARK
from gateway.wire.body import Body
from gateway.wire.formats import Wire
from gateway.wire.http import UNBOUNDED, Head, Memory, Request

BODY = b'{"model": "m", "max_tokens": 9,  "messages": [{"role": "user", "content": "hi"}]}'
PARSED = Body(BODY)


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


def line(sent: ProviderRequest) -> bytes:
    return sent.head.partition(b"\r\n")[0]


def test_request_in_the_clients_format_is_sent_as_it_came() -> None:
    sent = prepare(call(Full()), candidate("anthropic", key=None), TRANSLATORS)
    assert sent.body is BODY
    assert (line(sent), sent.translator) == (b"POST /v1/messages?beta=true HTTP/1.1", None)
    assert b"\r\nx-api-key: sk-ant-client\r\n" in sent.head


def test_request_in_another_format_is_translated() -> None:
    sent = prepare(call(), candidate("openai", model="gpt"), TRANSLATORS)
    assert json.decode(sent.body)["model"] == "gpt"
    assert line(sent) == b"POST /v1/chat/completions HTTP/1.1"
    assert sent.translator is TRANSLATORS[Wire.MESSAGES, Wire.CHAT]
    assert b"sk-ant-client" not in sent.head


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


# -- thinking that was not signed

MARKED = {"type": "thinking", "thinking": "b", "signature": MARK}
EMPTY = MARKED | {"signature": ""}
SIGNED = MARKED | {"signature": "EqoBCkgIARAB"}
WORDS = {"type": "text", "text": "x"}


def asking(*blocks: object, **fields: object) -> Call:
    answer = {"role": "assistant", "content": blocks}
    messages = [{"role": "user", "content": "hi"}, answer, {"role": "user", "content": "so?"}]
    body = json.encode({"model": "m", "max_tokens": 9, "messages": messages} | fields)
    request = Request(Head(b"POST", b"/v1/messages", ()), body, 0.0)
    return Call("gw_1", Wire.MESSAGES, request, Body(body), request.target, None)


def at(url: str) -> Candidate:
    settings = ProviderSettings(name="p", base_url=url, api_key_ref="env:KEY")
    return Candidate(open_links([settings], {"KEY": "own"})["p"], "m", "m", "default", 0)


ANTHROPIC, ANOTHER = at("https://api.anthropic.com"), at("https://anthropic.com.example/anthropic")


@pytest.mark.parametrize(
    ("chosen", "blocks", "sent"),
    [
        (ANTHROPIC, (SIGNED, WORDS), (SIGNED, WORDS)),
        (ANTHROPIC, (MARKED, WORDS, SIGNED), (WORDS, SIGNED)),
        (ANTHROPIC, (EMPTY, WORDS), (WORDS,)),
        (ANOTHER, (MARKED, WORDS), (WORDS,)),
        (ANOTHER, (EMPTY, WORDS), (EMPTY, WORDS)),
        (ANTHROPIC, (WORDS | {"signature": ""},), (WORDS | {"signature": ""},)),
    ],
    ids=["signed", "marked", "empty", "marked-elsewhere", "empty-elsewhere", "no-thinking"],
)
def test_thinking_that_the_provider_would_refuse_is_left_out(
    chosen: Candidate, blocks: tuple[object, ...], sent: tuple[object, ...]
) -> None:
    asked = asking(*blocks)
    prepared = prepare(asked, chosen, TRANSLATORS)
    assert prepared.body == asking(*sent).body.forwarded("m")
    if sent == blocks:
        assert (prepared.body, prepared.candidate) == (asked.request.body, chosen)
        assert not asked.announcement
    else:
        assert prepared.candidate.adaptation.words == ("thinking_blocks",)
        assert prepared.candidate == replace(chosen, adaptation=prepared.candidate.adaptation)
        assert asked.announcement == [b"Request adapted: changes=thinking_blocks request_id=gw_1"]


def test_thinking_is_left_out_beside_what_else_is_adapted() -> None:
    target = Capability(max_output_tokens=5, unsupported_betas=("a",))
    other = adapt(Shape(max_tokens=9, betas=("a",)), target)
    chosen = replace(ANTHROPIC, model="other", adaptation=other)
    prepared = prepare(asking(MARKED, WORDS, agent_type="x"), chosen, TRANSLATORS)
    expected = asking(WORDS, max_tokens=5, model="other").request.body
    assert json.decode(prepared.body) == json.decode(expected)
    assert prepared.candidate.adaptation.words == ("max_tokens", "beta:a", "thinking_blocks")
    assert prepared.candidate.adaptation.betas == ("a",)


def test_thinking_that_may_have_to_go_is_not_looked_for_where_a_field_stands_twice() -> None:
    asked = asking(MARKED, WORDS)
    body = asked.request.body[:-1] + b',"max_tokens":7}'
    twice = replace(asked, request=Request(asked.request.head, body, 0.0), body=Body(body))
    with pytest.raises(RequestError, match="stands twice"):
        prepare(twice, ANTHROPIC, TRANSLATORS)


def test_translated_request_needs_nothing_left_out() -> None:
    prepared = prepare(asking(MARKED, WORDS), candidate("openai"), TRANSLATORS)
    assert prepared.candidate.adaptation.words == ()


# -- what is remembered of a client's head

BETAS = (b"anthropic-beta", b"a,b")
HEADERS = ((b"x-api-key", b"sk-ant-client"), (b"user-agent", b"u"), BETAS)
WITHOUT_BETA = adapt(Shape(betas=("a", "b")), Capability(unsupported_betas=("a",)))
KEYLESS, OWN, DEPLOYED = (
    candidate("anthropic", key=None),
    candidate("anthropic"),
    candidate("azure"),
)
GROUPS = (
    (KEYLESS, candidate("openai", key=None)),
    (OWN, replace(OWN, model="other"), replace(OWN, adaptation=WITHOUT_BETA)),
    (DEPLOYED, replace(DEPLOYED, model="two"), candidate("ollama", model="local")),
)

Turn = tuple[Candidate, Wire, bytes, str | None, Translators]


def turns_of(group: tuple[Candidate, ...]) -> list[Turn]:
    """Return all that may differ between two requests with the same head."""
    wires, targets = (Wire.MESSAGES, Wire.CHAT), (b"/v1/messages", b"/v1/messages?beta=true")
    tables: tuple[Translators, ...] = (TRANSLATORS, {})
    return list(itertools.product(group, wires, targets, (None, "anthropic", "openai"), tables))


@pytest.mark.parametrize("group", GROUPS, ids=["keyless", "own-key", "others"])
def test_every_pair_of_requests_with_one_head_is_sent_as_with_two(
    group: tuple[Candidate, ...],
) -> None:
    turns = turns_of(group)
    alone = [outcome(new_head(), turn) for turn in turns]
    for first in turns:
        for second, expected in zip(turns, alone, strict=True):
            head = new_head()
            outcome(head, first)
            assert outcome(head, second) == expected


EVERY_TURN = [turn for group in GROUPS for turn in turns_of(group)]


@given(turns=st.lists(st.sampled_from(EVERY_TURN), max_size=3 * MAX_WAYS))
def test_requests_with_one_head_are_sent_as_with_a_head_each(turns: list[Turn]) -> None:
    head = new_head()
    for turn in turns:
        assert outcome(head, turn) == outcome(new_head(), turn)


def new_head() -> Head:
    return Head(b"POST", b"/v1/messages", HEADERS)


def outcome(head: Head, turn: Turn) -> tuple[object, ...]:
    """Return what a provider is sent, or why it is sent nothing."""
    chosen, wire, target, vendor, translators = turn
    asked = Call("gw_1", wire, Request(head, BODY, 0.0), PARSED, target, vendor)
    try:
        sent = prepare(asked, chosen, translators)
    except RequestError as error:
        return error.status, str(error)
    return sent.candidate, sent.head, sent.body, sent.translator


def test_ways_to_providers_are_kept_within_bounds() -> None:
    asked = call()
    for number in range(3 * MAX_WAYS):
        chosen = candidate("azure", model=f"m{number}")
        assert prepare(asked, chosen, TRANSLATORS).head is prepare(asked, chosen, TRANSLATORS).head
    assert len(asked.request.head.notes) == MAX_WAYS


def test_other_notes_stay_on_a_head() -> None:
    asked = call()
    asked.request.head.notes["other"] = 1
    for number in range(2 * MAX_WAYS):
        prepare(asked, candidate("azure", model=f"m{number}"), TRANSLATORS)
    assert asked.request.head.notes["other"] == 1


def test_key_of_the_gateway_is_not_shown() -> None:
    asked = call()
    settings = ProviderSettings(name="p", api_key_ref="env:KEY")
    chosen = Candidate(open_links([settings], {"KEY": "hidden"})["p"], "m", "m", "default", 0)
    sent = prepare(asked, chosen, TRANSLATORS)
    assert b"x-api-key: hidden" in sent.head
    assert "hidden" not in repr((sent, asked.request.head.notes))
