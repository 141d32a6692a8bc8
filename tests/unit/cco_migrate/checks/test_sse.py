"""Streams: a good one is good however it is cut up, and each fault is told by name."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from cco_migrate.checks.sse import MAX_EVENT_BYTES, StreamCheck

START = {
    "type": "message_start",
    "message": {"id": "msg_1", "usage": {"input_tokens": 9, "output_tokens": 1}},
}
TEXT = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
TOOL = {
    "type": "content_block_start",
    "index": 1,
    "content_block": {"type": "tool_use", "id": "t", "name": "Bash", "input": {}},
}
END = {
    "type": "message_delta",
    "delta": {"stop_reason": "tool_use"},
    "usage": {"output_tokens": 17},
}
STOP = {"type": "message_stop"}
PING = {"type": "ping"}


def words(text: str) -> dict[str, object]:
    delta = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def arguments(text: str) -> dict[str, object]:
    delta = {"type": "input_json_delta", "partial_json": text}
    return {"type": "content_block_delta", "index": 1, "delta": delta}


def ended(output_tokens: int) -> dict[str, object]:
    return {**END, "usage": {"output_tokens": output_tokens}}


def closed(index: int) -> dict[str, object]:
    return {"type": "content_block_stop", "index": index}


def encode(*events: object, end: str = "\n") -> bytes:
    lines = []
    for event in events:
        name = event.get("type", "x") if isinstance(event, dict) else "x"
        data = json.dumps(event, ensure_ascii=False)
        lines += [f"event: {name}{end}data: {data}{end}{end}"]
    return "".join(lines).encode()


GOOD = (
    START, PING, TEXT, words("Grü"), words("ße"), closed(0),
    TOOL, arguments('{"comm'), arguments('and":"ls"}'), closed(1), END, STOP,
)  # fmt: skip


def checked(*chunks: bytes) -> StreamCheck:
    check = StreamCheck()
    for chunk in chunks:
        check.feed(chunk)
    return check


def faults(*events: object) -> tuple[str, ...]:
    """Feed each event in a read of its own."""
    return checked(*(encode(event) for event in events)).faults()


def seen(check: StreamCheck) -> tuple[Sequence[str], str, object, object, tuple[str, ...]]:
    return check.events, check.text, check.tool_calls, check.usage, check.faults()


def test_good_stream_is_read_whole() -> None:
    check = checked(*(encode(event) for event in GOOD))
    assert check.faults() == ()
    assert check.text == "Grüße"
    assert check.tool_calls == [("Bash", '{"command":"ls"}')]
    assert check.usage == {"input_tokens": 9, "output_tokens": 17}
    assert "ping" not in check.events


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_good_stream_is_the_same_at_every_byte_split(end: str) -> None:
    data = encode(*GOOD, end=end)
    half = data.index(b"content_block_delta") + 200  # a second read with a delta in any case
    whole = seen(checked(data[:half], data[half:]))
    assert whole[4] == ()
    for cut in range(1, len(data)):
        first, second = min(cut, half), max(cut, half)
        parts = [data[:first], data[first:second], data[second:]]
        assert seen(checked(*parts)) == whole


def test_good_stream_byte_by_byte() -> None:
    data = encode(*GOOD, end="\r\n")
    assert checked(*(data[n : n + 1] for n in range(len(data)))).faults() == ()


def test_comments_pings_and_data_without_blank_are_allowed() -> None:
    chunks = [encode(event) for event in GOOD]
    chunks.insert(1, b": keep-alive\n\n")
    chunks.insert(2, b"\n\nid: 7\n\n")
    chunks[0] = chunks[0].replace(b"data: ", b"data:")
    assert checked(*chunks).faults() == ()


def test_data_over_several_lines_is_one_event() -> None:
    chunks = [encode(event) for event in GOOD]
    chunks[-1] = b'event: message_stop\ndata: {"type":\ndata: "message_stop"}\n\n'
    assert checked(*chunks).faults() == ()


BAD_TOOL = (START, TOOL, arguments('{"comm'), closed(1), END, STOP)
FAULTS: list[tuple[str, tuple[object, ...]]] = [
    ("does not begin with message_start", GOOD[1:]),
    ("message_start came twice", (*GOOD, *GOOD)),
    ("has no message_stop at its end", GOOD[:-1]),
    ("has no message_stop at its end", (*GOOD, words("late"))),
    ("a content block was never stopped", (START, TEXT, words("a"), END, STOP)),
    ("usage is missing", (START, TEXT, words("a"), closed(0), STOP)),
    ("usage is missing", ({"type": "message_start", "message": {}}, END, STOP)),
    ("usage is missing", (START, {"type": "message_delta", "delta": {}}, STOP)),
    ("usage says 0 output tokens", (START, TEXT, words("a"), closed(0), ended(0), STOP)),
    ("error event: Overloaded", (START, {"type": "error", "error": {"message": "Overloaded"}})),
    ("error event", (START, {"type": "error", "error": "Overloaded"})),
    ("content_block_delta for block 0, which is not open", (START, words("a"), END, STOP)),
    ("content_block_stop for block 1, which is not open", (START, closed(1), END, STOP)),
    ("the arguments of tool call Bash are not JSON", BAD_TOOL),
    ("an event is not JSON with a type", (START, [], END, STOP)),
    ("an event is not JSON with a type", (START, {"no": "type"}, END, STOP)),
    ("an event is not JSON with a type", (START, {"type": 7}, END, STOP)),
    ("a message_start event has another shape", ({"type": "message_start", "message": None},)),
    ("a message_delta event has another shape", (START, {**END, "usage": [1]}, STOP)),
    ("a content_block_start event has another shape", (START, {"type": "content_block_start"})),
    ("a content_block_start event has another shape", (START, {**TEXT, "index": {}})),
    ("a content_block_start event has another shape", (START, {**TEXT, "content_block": 1})),
    ("a content_block_delta event has another shape", (START, TEXT, {**words(""), "delta": 3})),
]


@pytest.mark.parametrize(("said", "events"), FAULTS)
def test_fault_is_told_by_name(said: str, events: tuple[object, ...]) -> None:
    assert any(said in fault for fault in faults(*events)), faults(*events)


def test_event_that_is_not_json_is_told() -> None:
    assert "an event is not JSON with a type" in checked(b"data: {oops\n\n").faults()


def test_empty_answer_is_no_stream() -> None:
    assert StreamCheck().faults() == (
        "the stream does not begin with message_start",
        "the stream has no message_stop at its end",
        "usage is missing",
    )


def test_every_cut_before_the_last_event_is_a_fault() -> None:
    data = encode(*GOOD)
    for cut in range(len(data)):
        assert checked(data[: cut // 2], data[cut // 2 : cut]).faults(), cut


def test_stream_that_ends_inside_an_event_is_told() -> None:
    check = checked(encode(*GOOD[:-1]), encode(STOP)[:-1])
    assert "the stream ends in the middle of an event" in check.faults()


def test_deltas_that_arrive_all_at_once_are_told() -> None:
    assert checked(encode(*GOOD)).faults() == (
        "4 deltas arrived all at once: something buffers the stream",
    )


def test_three_deltas_may_arrive_at_once() -> None:
    assert checked(encode(START, TEXT, words("a"), closed(0), END, STOP)).faults() == ()


def test_endless_event_is_bounded() -> None:
    check = StreamCheck()
    for _ in range(6):
        check.feed(b"x" * (MAX_EVENT_BYTES // 4))
    assert f"an event is longer than {MAX_EVENT_BYTES} bytes" in check.faults()
