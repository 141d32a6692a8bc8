"""Thinking that no provider signed is left out of a request, of which nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translate import Translator
from gateway.translate.unsigned import MARK, MARKED, MARKED_OR_EMPTY, SIGNATURE, Unsigned
from gateway.wire.body import Body

Json = Any  # a request whose shape the test states
Translators = Callable[[], Mapping[str, Translator]]

SIGNED = {"type": "thinking", "thinking": "a", "signature": "EqoBCkgIARAB+/w=="}
REDACTED = {"type": "redacted_thinking", "data": ""}
OURS = {"type": "thinking", "thinking": "b", "signature": MARK}
EMPTY = {"type": "thinking", "thinking": "c", "signature": ""}
TEXT = {"type": "text", "text": f'{{"type":"thinking","signature":"{MARK}"}}'}
TOOL = {"type": "tool_use", "id": "t", "name": "n", "input": {"type": "thinking", "signature": ""}}
HEARD = {"role": "user", "content": "x"}


def request(*turns: Json) -> Json:
    return {"model": "m", "max_tokens": 9, "messages": list(turns)}


def said(*blocks: Json) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def without(unsigned: Unsigned, document: Json, separators: tuple[str, str] = (",", ":")) -> Json:
    data = json.dumps(document, separators=separators).encode()
    sent = Body(data).forwarded("m", unsigned.change.edits)
    if not unsigned.may_stand_in(data):
        assert sent == data
    return json.loads(sent)


@pytest.mark.parametrize(
    ("blocks", "marked", "or_empty"),
    [
        ((SIGNED, TEXT, TOOL), (SIGNED, TEXT, TOOL), (SIGNED, TEXT, TOOL)),
        ((REDACTED, TEXT), (REDACTED, TEXT), (REDACTED, TEXT)),
        ((OURS, TEXT, TOOL), (TEXT, TOOL), (TEXT, TOOL)),
        ((EMPTY, TEXT), (EMPTY, TEXT), (TEXT,)),
        ((EMPTY | {"signature": None}, TEXT), (EMPTY | {"signature": None}, TEXT), (TEXT,)),
        ((OURS | {"signature": f"{MARK}:2"}, TEXT), (TEXT,), (TEXT,)),
        ((SIGNED, OURS, TOOL, EMPTY, TEXT), (SIGNED, TOOL, EMPTY, TEXT), (SIGNED, TOOL, TEXT)),
        ((OURS | {"signature": 7}, TEXT), (OURS | {"signature": 7}, TEXT), None),
        ((7, OURS, None, TEXT), (7, None, TEXT), None),
    ],
)
def test_unsigned_thinking_is_left_out(
    blocks: tuple[Json, ...], marked: tuple[Json, ...], or_empty: tuple[Json, ...] | None
) -> None:
    document = request(HEARD, said(*blocks), HEARD)
    for separators in ((",", ":"), (", ", ": ")):
        assert without(MARKED, document, separators) == request(HEARD, said(*marked), HEARD)
        expected = request(HEARD, said(*(marked if or_empty is None else or_empty)), HEARD)
        assert without(MARKED_OR_EMPTY, document, separators) == expected


def test_turn_that_was_all_unsigned_goes_with_it() -> None:
    document = request(HEARD, said(OURS, EMPTY), HEARD, said(TEXT), HEARD)
    assert without(MARKED_OR_EMPTY, document) == request(HEARD, HEARD, said(TEXT), HEARD)
    assert without(MARKED_OR_EMPTY, document, (" ,\n", " : ")) == request(
        HEARD, HEARD, said(TEXT), HEARD
    )


def test_every_other_byte_stays() -> None:
    data = b'{ "model":"m", "messages":[\n {"role":"assistant","content":[\n %b{"type":"text",'
    data += b' "text":"\\u00e9"} ]} ] ,"x":1.50}'
    block = b'{"signature" : "gateway-unsigned", "thinking":"\\"]}", "type":"thinking"} ,\n'
    assert Body(data % block).forwarded("m", MARKED.change.edits) == data % b""


@pytest.mark.parametrize(
    ("turn", "mentioned"), [(HEARD, False), (said(TEXT), False), (said(SIGNED, TEXT), True)]
)
def test_request_without_any_is_not_walked(turn: Json, *, mentioned: bool) -> None:
    data = json.dumps(request(turn)).encode()
    assert not MARKED_OR_EMPTY.may_stand_in(data)
    assert (SIGNATURE in data) is mentioned


blocks = st.sampled_from([SIGNED, REDACTED, OURS, EMPTY, TEXT, TOOL])
turns = st.one_of(st.just(HEARD), st.builds(lambda some: said(*some), st.lists(blocks, min_size=1)))


@given(
    conversation=st.lists(turns, max_size=6),
    unsigned=st.sampled_from([MARKED, MARKED_OR_EMPTY]),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" ,\n\t", " :\r\n ")]),
)
def test_what_is_left_is_what_is_signed(
    conversation: list[Json], unsigned: Unsigned, separators: tuple[str, str]
) -> None:
    gone = [OURS] if unsigned is MARKED else [OURS, EMPTY]
    left = []
    for turn in conversation:
        kept = [block for block in turn["content"] if block not in gone]
        if turn is HEARD:
            left.append(turn)
        elif kept:
            left.append(said(*kept))
    assert without(unsigned, request(*conversation), separators) == request(*left)


def test_what_the_gateway_writes_is_marked_whole_and_streamed(translators: Translators) -> None:
    completion = {"content": "x", "reasoning_content": "Hm."}
    choice = {"index": 0, "message": completion, "finish_reason": "stop"}
    answer = translators()["messages_chat"].answer(json.dumps({"choices": [choice]}).encode())
    assert json.loads(answer)["content"][0]["signature"] == MARK
    assert MARKED.may_stand_in(answer)
    stream = translators()["messages_chat"].stream()
    chunk = {"choices": [{"index": 0, "delta": completion, "finish_reason": "stop"}]}
    produced = stream.feed(b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n")
    assert b'{"type":"signature_delta","signature":"%b"}' % MARK.encode() in produced
