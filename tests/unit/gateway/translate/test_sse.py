"""Events out of bytes, at every split."""

from __future__ import annotations

import pytest

from gateway.errors import UpstreamError
from gateway.translate import sse
from gateway.translate.sse import EventReader

CASES: tuple[tuple[bytes, list[tuple[bytes, bytes]]], ...] = (
    (b"data: a\n\n", [(b"", b"a")]),
    (b"data:a\n\ndata:  b\n\n", [(b"", b"a"), (b"", b" b")]),
    (b"event: x\ndata: a\n\n", [(b"x", b"a")]),
    (b"data: a\nevent: x\n\n", [(b"x", b"a")]),
    (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
    (b"\xef\xbb\xbfdata: a\n\n", [(b"", b"a")]),
    (b": note\n\nid: 1\n\nevent: x\n\ndata: a\n\n", [(b"", b"a")]),
    (b"\n\n\n\ndata: a\n\n\n\n", [(b"", b"a")]),
    (b"\ndata: a\n\n", [(b"", b"a")]),
    (b"data\n\n", [(b"", b"")]),
    (b"data: \xe2\x98\x83\n\n", [(b"", "☃".encode())]),
    (b"data: a\n", []),
    (b"", []),
)


def read(*pieces: bytes) -> list[tuple[bytes, bytes]]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(("data", "events"), CASES)
def test_events_are_read_at_every_split(
    data: bytes, events: list[tuple[bytes, bytes]], end: bytes
) -> None:
    data = data.replace(b"\n", end)
    for cut in range(len(data) + 1):
        assert read(data[:cut], data[cut:]) == events, cut
    assert read(*(data[at : at + 1] for at in range(len(data)))) == events


def test_too_long_event_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 10)
    assert read(b"data: 1\n\ndata: 2") == [(b"", b"1")]
    with pytest.raises(UpstreamError, match="too long"):
        read(b"data: 123456")
