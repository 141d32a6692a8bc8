"""Bodies in a content coding: read at every split, in small blocks, and never beyond a bound."""

from __future__ import annotations

import bz2
import gzip
import random
import zlib
from collections.abc import Callable, Iterable
from functools import partial

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.content_coding import (
    MAX_BLOCK_BYTES,
    MAX_PIECE_BYTES,
    Codec,
    Decoder,
    Undecodable,
    decoder_of,
)

ZSTANDARD_BLOCK_BYTES = 64 // 4 * (128 << 10)
"""What 64 bytes decode to at most, the package's only bound: a block of one byte takes four, and
decodes to 128 KiB (RFC 8878, 3.1.1.2)."""

TEXT = b'data: {"type":"message_stop","text":"\xc3\xa9"}\n\n' * 20


Make = Callable[[], Decoder]
CODINGS: dict[str, tuple[Make, Callable[[bytes], bytes]]] = {
    "gzip": (lambda: decoder_of(b"gzip"), gzip.compress),
    "x-gzip": (lambda: decoder_of(b" X-GZIP"), gzip.compress),
    "deflate": (lambda: decoder_of(b"deflate"), zlib.compress),
    # As the standard library's own Zstandard, of Python 3.14, is used.
    "like-the-library": (
        lambda: Decoder("bz2", Codec(bz2.BZ2Decompressor, (OSError,))),
        bz2.compress,
    ),
    "br": (lambda: decoder_of(b"br"), partial(brotli.compress, quality=5)),
    "zstd": (lambda: decoder_of(b"zstd"), zstandard.compress),
}
every_coding = pytest.mark.parametrize(("make", "encode"), CODINGS.values(), ids=CODINGS)


def read(decoder: Decoder, pieces: Iterable[bytes]) -> bytes:
    return b"".join(block for piece in pieces for block in decoder.feed(piece))


@every_coding
def test_body_is_read_at_every_split(make: Make, encode: Callable[[bytes], bytes]) -> None:
    data = encode(TEXT)
    for cut in range(len(data) + 1):
        assert read(make(), (data[:cut], data[cut:])) == TEXT, cut
    assert read(make(), (data[at : at + 1] for at in range(len(data)))) == TEXT


@every_coding
def test_what_is_sent_is_read_before_the_end(make: Make, encode: Callable[[bytes], bytes]) -> None:
    decoder, data = make(), encode(random.Random(7).randbytes(5000) + TEXT)
    assert TEXT.startswith(read(decoder, (data[: len(data) // 2],))[5000:])
    assert read(decoder, (data[len(data) // 2 :],)).endswith(TEXT)


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(1, 50))
def test_any_frames_one_after_the_other_are_read(texts: list[bytes], size: int) -> None:
    data = b"".join(map(gzip.compress, texts))
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    assert read(decoder_of(b"gzip"), pieces) == b"".join(texts)


@every_coding
def test_what_grows_out_of_proportion_is_given_up(
    make: Make, encode: Callable[[bytes], bytes]
) -> None:
    size, decoder = 0, make()
    most = ZSTANDARD_BLOCK_BYTES if encode is zstandard.compress else MAX_BLOCK_BYTES + (64 << 10)
    with pytest.raises(Undecodable, match="grows"):
        for block in decoder.feed(encode(bytes(40 << 20))):
            assert len(block) <= most
            size += len(block)
    assert 0 < size <= MAX_PIECE_BYTES


def test_slow_growth_is_given_up_too() -> None:
    bomb = gzip.compress(bytes(48 << 20))
    pieces = [bomb[at : at + 100] for at in range(0, len(bomb), 100)]
    with pytest.raises(Undecodable, match="grows"):
        read(decoder_of(b"gzip"), pieces)


def test_frames_that_hold_nothing_are_not_read_without_end() -> None:
    with pytest.raises(Undecodable, match="grows"):
        read(decoder_of(b"gzip"), (gzip.compress(b"") * 20_000,))


def test_long_stream_in_proportion_is_read_to_its_end() -> None:
    draw = random.Random(7)
    text = b"".join(b'data: {"delta":"%d"}\n\n' % draw.randrange(10**9) for _ in range(1000))
    data, decoder, size = gzip.compress(text), decoder_of(b"gzip"), 0
    while size < 2 * MAX_PIECE_BYTES:
        found = read(decoder, (data,))
        assert found == text
        size += len(found)


@every_coding
def test_truncated_body_is_read_as_far_as_it_goes(
    make: Make, encode: Callable[[bytes], bytes]
) -> None:
    text = random.Random(7).randbytes(1_000_000)
    found = read(make(), (encode(text)[:950_000],))
    assert found
    assert text.startswith(found)
    assert read(make(), ()) == b""


@every_coding
def test_garbage_is_told(make: Make, encode: Callable[[bytes], bytes]) -> None:
    data = encode(TEXT)
    behind = ((data + b"more",), (data, b"more"), (data, b"m", b"ore"))
    for pieces in ((b"\xff" * 100,), (data[5:],), *behind):
        with pytest.raises(Undecodable, match="or damaged"):
            read(make(), pieces)


@pytest.mark.parametrize(
    "data",
    [b"no gzip", gzip.compress(TEXT)[:-8] + bytes(8), gzip.compress(TEXT) + b"more", bytes(999)],
    ids=["garbage", "checksum", "trailing", "zeros"],
)
def test_damage_is_told(data: bytes) -> None:
    with pytest.raises(Undecodable, match="it is not gzip, or damaged"):
        read(decoder_of(b"gzip"), (data,))


@pytest.mark.parametrize("value", [b"compress", b"gzip, gzip", b"\xff" * 1000])
def test_what_nothing_decodes_is_told_by_its_name(value: bytes) -> None:
    with pytest.raises(Undecodable, match=value[:8].decode("latin-1")) as raised:
        read(decoder_of(value), (b"x",))
    assert len(str(raised.value)) < 200
