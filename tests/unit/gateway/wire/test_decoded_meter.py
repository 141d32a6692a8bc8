"""Usage of streams that pass in an encoding, by what their pieces say."""

from __future__ import annotations

import json

from gateway.wire.decoded_meter import DecodedMeter
from gateway.wire.stream_meter import StreamMeter
from gateway.wire.usage import Reading, Usage


def event(document: object) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()


START = event({"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 7}}})
END = event({"type": "message_delta", "usage": {"output_tokens": 3}})
STOP = event({"type": "message_stop"})
STREAM = START + END + STOP
READING = Reading(Usage(7, 3), "m")


def test_stream_ends_with_the_piece_that_says_so() -> None:
    for cut in range(len(STREAM) + 1):
        copy = bytearray()
        meter = DecodedMeter(StreamMeter(), copy.extend)
        assert meter.pending
        meter.read(STREAM[:cut])
        meter.feed(b"first piece")
        assert (meter.stop_at is None) == (cut < len(STREAM)), cut
        meter.read(STREAM[cut:])
        meter.feed(b"second piece")
        assert (meter.reading(), meter.stop_at, meter.error) == (READING, 0, None), cut
        assert copy == STREAM


def test_stream_without_its_terminal_event_has_not_stopped() -> None:
    meter = DecodedMeter(StreamMeter())
    meter.read(START + event({"type": "error", "error": {"type": "overloaded"}}))
    meter.feed(b"piece")
    meter.finish()
    assert (meter.stop_at, meter.error) == (None, "overloaded: no message")
    assert meter.reading() == Reading(Usage(7), "m")


def test_what_is_not_all_read_has_no_usage_and_is_taken_for_complete() -> None:
    meter = DecodedMeter(StreamMeter())
    meter.read(START)
    meter.feed(b"piece")
    meter.lose()
    meter.feed(b"piece")
    assert (meter.stop_at, meter.reading()) == (None, Reading(None, "m"))
    meter.finish()
    assert (meter.stop_at, meter.reading()) == (0, Reading(None, "m"))


def test_what_is_lost_behind_the_terminal_event_changes_nothing() -> None:
    meter = DecodedMeter(StreamMeter())
    meter.read(STREAM)
    meter.lose()
    meter.feed(b"piece")
    assert (meter.stop_at, meter.reading()) == (0, READING)
