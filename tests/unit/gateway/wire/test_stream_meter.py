"""Usage of streamed answers, at every split of their bytes."""

from __future__ import annotations

import json

import pytest

from gateway.wire.stream_meter import MAX_EVENT_BYTES, StreamMeter
from gateway.wire.usage import Reading, Terms, Usage

START: dict[str, object] = {
    "type": "message_start",
    "message": {
        "model": "claude-é",
        "usage": {
            "input_tokens": 11,
            "output_tokens": 1,
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        },
    },
}
TEXT: dict[str, object] = {
    "type": "content_block_delta",
    "delta": {"text": 'message_stop error "usage" é\n\n☃'},
}
END: dict[str, object] = {"type": "message_delta", "usage": {"output_tokens": 42}}
EXPECTED = Usage(11, 42, 10, 20, 7)


def event(document: object, *, end: str = "\n", name: str | None = None) -> bytes:
    head = f"event: {name}{end}" if name else ""
    return f"{head}data: {json.dumps(document, ensure_ascii=False)}{end}{end}".encode()


def stream(end: str, *, named: bool) -> bytes:
    documents = (START, {"type": "ping"}, TEXT, END, {"type": "message_stop"})
    parts = [
        event(document, end=end, name=str(document["type"]) if named else None)
        for document in documents
    ]
    return f": hello{end}{end}".encode() + b"".join(parts)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("named", [True, False])
def test_stream_is_metered_at_every_split(end: str, *, named: bool) -> None:
    data = stream(end, named=named)
    for cut in range(len(data) + 1):
        meter = StreamMeter()
        meter.feed(data[:cut])
        meter.feed(data[cut:])
        assert meter.reading() == Reading(EXPECTED, "claude-é"), cut
        assert meter.stop_at is not None
        assert meter.error is None
        assert not meter.pending


def test_stream_is_metered_byte_by_byte_and_whole() -> None:
    data = stream("\r\n", named=True)
    single, whole = StreamMeter(), StreamMeter()
    for index in range(len(data)):
        single.feed(data[index : index + 1])
    whole.feed(data)
    assert single.reading() == whole.reading() == Reading(EXPECTED, "claude-é")


def test_stop_is_located_in_its_piece() -> None:
    data = stream("\n", named=True)
    at = data.index(b"event: message_stop")
    meter = StreamMeter()
    meter.feed(data)
    assert meter.stop_at == at
    meter = StreamMeter()
    meter.feed(data[: at + 3])
    meter.feed(data[at + 3 :])
    assert meter.stop_at == 0


def test_text_that_names_the_words_is_no_stop() -> None:
    meter = StreamMeter()
    meter.feed(event(TEXT, name="content_block_delta"))
    assert (meter.stop_at, meter.error) == (None, None)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (
            event({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
            "overloaded_error: busy",
        ),
        (b"event: error\ndata: not json\n\n", "error: no message"),
        (b'event:error\ndata:{"error":\ndata:{"type":"a","message":"b"}}\n\n', "a: b"),
        (b'\xef\xbb\xbfdata: {"type":"error"}\n\n', "error: no message"),
    ],
)
def test_error_event_is_seen(data: bytes, error: str) -> None:
    meter = StreamMeter()
    meter.feed(data)
    assert meter.error == error


def test_unfinished_stream_counts_a_token_a_delta() -> None:
    meter = StreamMeter()
    meter.feed(event(START, name="message_start"))
    for end in ("\n", "\r\n", "\n"):
        meter.feed(event(TEXT, name="content_block_delta", end=end))
    usage = meter.reading().usage
    assert usage is not None
    assert usage.output_tokens == 3


def test_stream_without_usage_is_unknown() -> None:
    meter = StreamMeter()
    meter.feed(event(TEXT, name="content_block_delta"))
    assert meter.reading() == Reading(None, None)


@pytest.mark.parametrize("step", [1000, 70_000, 10**6])
def test_oversized_event_is_skipped_and_the_next_is_read(step: int) -> None:
    huge = b'data: {"type":"message_stop","x":"' + b"x" * MAX_EVENT_BYTES + b'"}\n\n'
    data = event(START) + huge + event(END)
    meter = StreamMeter()
    for at in range(0, len(data), step):
        meter.feed(data[at : at + step])
    assert meter.reading().usage == EXPECTED
    assert not meter.pending


def test_later_usage_raises_input_and_replaces_output() -> None:
    meter = StreamMeter()
    meter.feed(event(START))
    for output in (50, 42):
        usage = {"input_tokens": 12, "output_tokens": output, "cache_read_input_tokens": 0}
        meter.feed(event({"type": "message_delta", "usage": usage}))
    assert meter.reading().usage == Usage(12, 42, 10, 20, 7)


def test_stream_keeps_the_terms_of_its_start_and_the_searches_of_its_end() -> None:
    meter = StreamMeter()
    start = {"input_tokens": 1, "output_tokens": 1, "service_tier": "standard", "speed": "fast"}
    meter.feed(event({"type": "message_start", "message": {"usage": start}}))
    end = {"output_tokens": 4, "server_tool_use": {"web_search_requests": 2}}
    meter.feed(event({"type": "message_delta", "usage": end}))
    expected = Usage(1, 4, web_searches=2, terms=Terms(speed="fast"))
    assert meter.reading().usage == expected


def test_unfinished_stream_has_no_steps() -> None:
    meter = StreamMeter()
    compaction = {"type": "compaction", "input_tokens": 9, "output_tokens": 9}
    usage = {"input_tokens": 8, "output_tokens": 1, "iterations": [compaction]}
    meter.feed(event({"type": "message_start", "message": {"usage": usage}}))
    for _ in range(3):
        meter.feed(event(TEXT, name="content_block_delta"))
    assert meter.reading().usage == Usage(8, 3)
