"""Server-sent events, and what the gateway reads from answers that pass by. Pure."""

from __future__ import annotations

import re

from fuzz.targets.case import pieces
from gateway import describe
from gateway.agents.spawns import SpawnReader, read_spawns
from gateway.translate.sse import EventReader
from gateway.wire import sse
from gateway.wire.chat_usage import ChatMeter, read_chat
from gateway.wire.message_usage import read_message
from gateway.wire.stream_meter import StreamMeter
from gateway.wire.usage import Reading, Usage

MAX_TOKENS = 10**11
"""More than any sum of the counts that are believed."""

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_METERS = (StreamMeter, ChatMeter)


def reader(data: bytes) -> None:
    """Cut a stream into events: at any split as the standard says, and no byte is lost."""
    expected = _standard(data)
    whole, split = EventReader(), EventReader()
    assert list(whole.feed(data)) == expected
    assert [event for piece in pieces(data) for event in split.feed(piece)] == expected
    cut = [event for _, event in sse.split(data, 0, len(data))]
    assert b"".join(cut) == data
    end = sse.last_break(data)
    assert (end >= 0) == bool(_ended(data))
    assert sse.BREAK.search(data, max(end, 0)) is None
    # The meters' reader knows neither bare CR nor where a stream begins: it cuts any mark.
    if b"\r" not in data.replace(b"\r\n", b"") and _BOM not in data[1:]:
        found = [sse.fields(event) for _, event in _ended(data)]
        named = [(name.decode(errors="replace"), text) for name, text in expected]
        assert [(name, text) for name, text in found if text] == [one for one in named if one[1]]


def meters(data: bytes) -> None:
    """Meter a stream: the same tokens, model, error and end at any split."""
    for kind in _METERS:
        whole, split = kind(), kind()
        whole.feed(data)
        for piece in pieces(data):
            split.feed(piece)
        assert whole.reading() == split.reading()
        assert whole.error == split.error
        assert (whole.stop_at is None) == (split.stop_at is None)
        assert whole.stop_at is None or 0 <= whole.stop_at < len(data)
        _check_reading(whole.reading())


def agents(data: bytes) -> None:
    """Look for calls that start sub-agents: each that is found names an agent."""
    found = list(read_spawns(data))
    for parts in ([data], pieces(data)):
        spawns = SpawnReader()
        for part in parts:
            started = spawns.feed(part)
            if started is not None:
                assert 0 <= started.at < len(part)
                found += started.spawns
    assert all(spawn.agent_type for spawn in found)


def usage(data: bytes) -> None:
    """Read a whole answer of either format, or an error answer: what is not there is not found."""
    _check_reading(read_message(data))
    _check_reading(read_chat(data))
    assert describe.error_text(500, data).startswith("HTTP 500")


def _ended(data: bytes) -> list[tuple[int, bytes]]:
    """Return the events that end with a blank line, and where each begins."""
    found = list(sse.split(data, 0, len(data)))
    return [one for one in found if sse.BREAK.search(one[1])]


def _standard(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the events with data, line by line as the standard tells it."""
    found: list[tuple[bytes, bytes]] = []
    name, texts = b"", list[bytes]()
    for line in _LINE_END.split(data.removeprefix(_BOM))[:-1]:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if texts:
                found.append((name, b"\n".join(texts)))
            name, texts = b"", []
        elif field == b"event":
            name = value
        elif field == b"data":
            texts.append(value)
    return found


def _check_reading(reading: Reading) -> None:
    found = reading.usage or Usage()
    counts = (
        found.input_tokens,
        found.output_tokens,
        found.cache_write_5m_tokens,
        found.cache_write_1h_tokens,
        found.cache_read_tokens,
    )
    assert all(0 <= count <= MAX_TOKENS for count in counts)
