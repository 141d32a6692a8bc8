"""Bodies in a content coding: the first byte chooses the coding. Pure."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable

from fuzz.targets.case import pieces
from gateway.wire.content_coding import MAX_PIECE_BYTES, Undecodable, decoder_of

CODINGS = (b"gzip", b"deflate", b"br", b"zstd")


def decoded(data: bytes) -> None:
    """Read a body: the same at any split, within the bound, and as the standard library does."""
    coding, body = CODINGS[data[0] % len(CODINGS) if data else 0], data[1:]
    whole, fault = _read(coding, [body])
    split, split_fault = _read(coding, pieces(body))
    assert len(whole) <= MAX_PIECE_BYTES
    if "grows" in fault + split_fault:
        return  # how much is too much follows from the pieces
    # Of a whole frame Zstandard's library checks more than of its parts.
    assert fault == split_fault or coding == b"zstd"
    # What is fed at once with something wrong, and stands before it, may be lost.
    less, more = sorted((whole, split), key=len)
    assert more.startswith(less)
    assert fault or split_fault or whole == split
    if coding == b"gzip":
        _check_gzip(body, whole, fault)


def _check_gzip(body: bytes, found: bytes, fault: str) -> None:
    try:
        expected = gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        return  # cut, which the gateway reads as far as it goes, or damaged
    # The standard library skips zeros behind a frame; RFC 1952 knows none there.
    assert found == expected or (fault and body.endswith(b"\0") and expected.startswith(found))


def _read(coding: bytes, parts: Iterable[bytes]) -> tuple[bytes, str]:
    """Return what could be read, and what was wrong; "" for nothing."""
    decoder, found = decoder_of(coding), bytearray()
    try:
        for part in parts:
            for block in decoder.feed(part):
                found += block
    except Undecodable as error:
        return bytes(found), str(error)
    return bytes(found), ""
