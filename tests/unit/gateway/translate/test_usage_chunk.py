"""The usage the gateway asks for itself: the question added, the answer taken out, nothing else."""

from __future__ import annotations

import json

import pytest

from gateway.translate import usage_chunk
from gateway.translate.usage_chunk import UsageFilter, added, can_be_added, wanted
from gateway.wire.body import Body
from gateway.wire.usage import Reading, Terms, Usage


def event(document: object) -> bytes:
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


COUNTS = {"prompt_tokens": 100, "completion_tokens": 7}
TALK = event({"choices": [{"delta": {"content": 'Grüße, "prompt_tokens"'}}], "usage": None})
USAGE = event({"model": "gpt", "choices": [], "usage": COUNTS})
DONE = b"data: [DONE]\n\n"
READING = Reading(Usage(100, 7), "gpt")

KEPT: tuple[bytes, ...] = (
    TALK,
    b": prompt_tokens\n\n",
    b"\n\n",
    event({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
    event({"choices": [], "usage": None, "prompt_tokens": 1}),
    event({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": COUNTS}),
    event({"usage": COUNTS}),
    event({"error": {"message": "prompt_tokens"}}),
    b'data: {"prompt_tokens"\n\n',
    b"data: \xff prompt_tokens\n\n",
)
"""Events that look like the one with the usage, or stand where it may."""


def run(*pieces: bytes) -> tuple[bytes, Reading]:
    found = UsageFilter()
    sent = b"".join(found.feed(piece) for piece in pieces)
    return sent + found.rest(), found.reading


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("kept", KEPT)
def test_only_the_usage_is_taken_out_at_every_split(kept: bytes, end: bytes) -> None:
    before, usage = (TALK + kept).replace(b"\n", end), USAGE.replace(b"\n", end)
    after = (kept + DONE).replace(b"\n", end)
    stream = before + usage + after
    for cut in range(len(stream) + 1):
        assert run(stream[:cut], stream[cut:]) == (before + after, READING), cut
    assert run(*(stream[at : at + 1] for at in range(len(stream)))) == (before + after, READING)


@pytest.mark.parametrize(
    ("first", "last", "tier"),
    [
        ("flex", "flex", "flex"),
        ("priority", None, "priority"),
        (None, "priority", "priority"),
        ("priority", "default", None),
        ("auto", None, None),
        (None, None, None),
    ],
)
def test_tier_is_the_last_one_told_at_every_split(
    first: str | None, last: str | None, tier: str | None
) -> None:
    quoted = event({"choices": [{"delta": {"content": '"service_tier":"scale"'}}]})
    told = quoted + event({"service_tier": first, "choices": [{"delta": {}}]}) + TALK
    usage = event({"model": "gpt", "service_tier": last, "choices": [], "usage": COUNTS})
    expected = Reading(Usage(100, 7, terms=Terms(tier=tier)), "gpt")
    for cut in range(len(told + usage) + 1):
        stream = told + usage + DONE
        assert run(stream[:cut], stream[cut:]) == (told + DONE, expected), cut


def test_stream_that_breaks_off_keeps_every_byte() -> None:
    stream = TALK + USAGE
    for cut in range(len(stream)):
        sent, reading = run(stream[:cut])
        assert sent == stream[:cut]
        assert reading == Reading()


@pytest.mark.parametrize("size", [1, 7, 60, 1000])
def test_long_event_is_passed_on_while_it_comes(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_chunk, "MAX_EVENT_BYTES", 100)
    long = event({"choices": [{"delta": {"content": "x" * 300 + "prompt_tokens"}}]})
    # What follows within the same event would be the usage, were it one of its own.
    tail = long.removesuffix(b"\n\n") + b"\n" + USAGE
    for stream, expected in ((long + USAGE + DONE, long + DONE), (tail + DONE, tail + DONE)):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert run(*pieces)[0] == expected
        assert len(UsageFilter().feed(stream[:250])) > 200


def test_event_is_sent_as_soon_as_it_is_whole() -> None:
    found = UsageFilter()
    assert found.feed(TALK) == TALK
    assert found.feed(TALK + USAGE[:5]) == TALK
    assert found.feed(USAGE[5:]) == b""
    assert found.feed(DONE) == DONE


REQUEST = b'{"model": "m", "messages": [{"a": 1.50,  "b": "\\u00e9"}], "stream": true%b}'


@pytest.mark.parametrize(
    ("options", "asked", "addable", "expected"),
    [
        (b"", False, True, {"include_usage": True}),
        (b', "stream_options": null', False, True, {"include_usage": True}),
        (b', "stream_options": {}', False, True, {"include_usage": True}),
        (b', "stream_options": {"include_usage": false}', False, True, {"include_usage": True}),
        (b', "stream_options": {"x": [1]}', False, True, {"x": [1], "include_usage": True}),
        (b', "stream_options": {"include_usage": true}', True, False, None),
        (b', "stream_options": {"include_usage": 1}', False, True, {"include_usage": True}),
        (b', "stream_options": 5', False, False, None),
        (b', "stream_options": [true]', False, False, None),
    ],
)
def test_usage_is_asked_for_when_the_client_did_not(
    options: bytes, *, asked: bool, addable: bool, expected: object
) -> None:
    request = REQUEST % options
    body = Body(request)
    assert (wanted(body), can_be_added(body)) == (asked, addable)
    if expected is not None:
        made = added(request)
        assert json.loads(made) == json.loads(request) | {"stream_options": expected}
        assert b'[{"a": 1.50,  "b": "\\u00e9"}]' in made


@pytest.mark.parametrize("stream", [b"", b', "stream": false', b', "stream": null'])
def test_whole_answers_tell_their_usage_anyway(stream: bytes) -> None:
    assert not can_be_added(Body(b'{"model": "m"' + stream + b"}"))
