"""Lines out of bytes, at every split."""

from __future__ import annotations

import pytest

from gateway.errors import UpstreamError
from gateway.translate import ndjson
from gateway.translate.ndjson import LineReader

CASES: tuple[tuple[bytes, list[bytes]], ...] = (
    (b'{"a":1}\n', [b'{"a":1}']),
    (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
    (b'\n \n\t{"a":1} \n\n', [b'{"a":1}']),
    (b'"\\n"\n', [b'"\\n"']),
    (b'"\xe2\x98\x83"\n', ['"☃"'.encode()]),
    (b'{"a":1}\n{"b":2}', [b'{"a":1}', b'{"b":2}']),
    (b'{"a', [b'{"a']),
    (b" ", []),
    (b"", []),
)


def read(*pieces: bytes) -> list[bytes]:
    reader = LineReader()
    found = [event for piece in pieces for event in reader.feed(piece)]
    found += reader.end()
    assert not list(reader.end())
    assert {name for name, _ in found} <= {b""}
    return [line for _, line in found]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(("data", "lines"), CASES)
def test_lines_are_read_at_every_split(data: bytes, lines: list[bytes], end: bytes) -> None:
    data = data.replace(b"\n", end)
    for cut in range(len(data) + 1):
        assert read(data[:cut], data[cut:]) == lines, cut
    assert read(*(data[at : at + 1] for at in range(len(data)))) == lines


def test_line_is_given_when_its_end_comes() -> None:
    reader = LineReader()
    assert list(reader.feed(b'{"a":')) == []
    assert list(reader.feed(b'1}\n{"b"')) == [(b"", b'{"a":1}')]


def test_too_long_line_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "MAX_LINE_BYTES", 10)
    assert read(b'"12345"\n"1234567"\n') == [b'"12345"', b'"1234567"']
    with pytest.raises(UpstreamError, match="too long"):
        read(b'"123456789"')
