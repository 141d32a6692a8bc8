"""Decode bodies in a content coding, only to read them: in small blocks, within bounds. Pure.

A body is sent on as it came; what is decoded here is a copy. A few bytes may decode to gigabytes,
so the copy is made block by block, and given up when it grows beyond all proportion. Brotli and
Zstandard are read where one of the modules for them is installed; none is needed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import Any, Protocol

PLAIN_CODINGS = frozenset({None, b"", b"identity"})
"""Values of `content-encoding` that change nothing; None where there is none."""

MAX_BLOCK_BYTES = 64 << 10
"""About so much is decoded at a time; by the package zstandard 2 MiB at most."""

MAX_PIECE_BYTES = 32 << 20
"""So much one piece of a body may decode to."""

_RATIO = 256  # a stream of small events shrinks to a seventieth; gzip's limit is a thousandth
_FRAME_BYTES = 4 << 10  # to begin one takes as long as to decode so many bytes
_FED_BYTES = 16 << 10
_ZSTANDARD_FED_BYTES = 64  # it knows no bound, and four bytes decode to 128 KiB at most
_WINDOW_LOG = 23  # RFC 9659: 8 MiB, so that nobody needs more memory than that
_MAX_NAME_BYTES = 64


class Undecodable(Exception):
    """A body, or the rest of it, cannot be read; says why."""


class Frame(Protocol):
    """Decodes one frame, as the decompressors of the standard library do.

    Attributes:
        eof: Whether the frame has ended.
        needs_input: Whether it can give no more without more input.
        unused_data: What was found behind its end.
    """

    @property
    def eof(self) -> bool: ...  # noqa: D102
    @property
    def needs_input(self) -> bool: ...  # noqa: D102
    @property
    def unused_data(self) -> bytes: ...  # noqa: D102

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return about `max_length` bytes at most; what is left of `data` is kept."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How one coding is decoded.

    Attributes:
        open: Returns what decodes a frame.
        errors: What that raises.
        fed_bytes: So much it is given at a time.
    """

    open: Callable[[], Frame]
    errors: tuple[type[Exception], ...]
    fed_bytes: int = _FED_BYTES


class Decoder:
    """Decodes one body that comes in pieces; of several frames, one after the other."""

    __slots__ = ("_codec", "_frame", "_name", "_room")

    def __init__(self, name: str, codec: Codec | None) -> None:
        """Decode nothing yet.

        Args:
            name: The coding's, for messages.
            codec: None makes every body undecodable.
        """
        self._name, self._codec = name, codec
        self._frame: Frame | None = None
        self._room = MAX_PIECE_BYTES

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Return what a piece decodes to, in blocks, some of them empty: ask for one at a time.

        Raises Undecodable, after which nothing can be fed any more.
        """
        codec = self._codec
        if codec is None:
            raise Undecodable(f"nothing that decodes {self._name} is installed")
        self._room = min(MAX_PIECE_BYTES, self._room + _RATIO * len(piece))
        try:
            for at in range(0, len(piece), codec.fed_bytes):
                for block in self._blocks(codec, piece[at : at + codec.fed_bytes]):
                    self._spend(len(block))
                    yield block
        except codec.errors as error:
            raise Undecodable(f"it is not {self._name}, or damaged") from error

    def _blocks(self, codec: Codec, data: bytes) -> Iterator[bytes]:
        while True:
            if self._frame is None or self._frame.eof:
                self._spend(_FRAME_BYTES)
                self._frame = codec.open()
            frame = self._frame
            yield frame.decompress(data, MAX_BLOCK_BYTES)
            data = frame.unused_data if frame.eof else b""
            if not data and (frame.eof or frame.needs_input):
                return

    def _spend(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise Undecodable(f"what is {self._name} grows beyond what is read of it")


def decoder_of(value: bytes) -> Decoder:
    """Return what decodes a body with this value of `content-encoding`."""
    name = value[:_MAX_NAME_BYTES].strip().lower().decode("latin-1")
    return Decoder(name, _codec(name) if name in _CODECS else None)


class Inflating:
    """A frame of zlib's."""

    __slots__ = ("_tail", "_zlib", "needs_input")

    def __init__(self, wbits: int) -> None:
        self._zlib, self._tail = zlib.decompressobj(wbits), b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """See `Frame`."""
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        """See `Frame`."""
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """See `Frame`."""
        block = self._zlib.decompress(self._tail + data, max_length)
        self._tail = self._zlib.unconsumed_tail
        self.needs_input = not self._tail and len(block) < max_length
        return block


class BrotliFrame:
    """A body in Brotli, which knows no frames: what follows its end is damage."""

    __slots__ = ("_brotli", "needs_input")
    eof = False
    unused_data = b""

    def __init__(self, module: Any) -> None:  # Any: a module that need not be there
        self._brotli = module.Decompressor()
        self.needs_input = True

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """See `Frame`."""
        block: bytes = self._brotli.process(data, output_buffer_limit=max_length)
        self.needs_input = not block
        return block


class ZstandardFrame:
    """A frame of the package zstandard, which gives all that it can: feed it little."""

    __slots__ = ("_zstd",)
    needs_input = True

    def __init__(self, module: Any) -> None:  # Any: a module that need not be there
        decompressor = module.ZstdDecompressor(max_window_size=1 << _WINDOW_LOG)
        self._zstd = decompressor.decompressobj()

    @property
    def eof(self) -> bool:
        """See `Frame`."""
        return bool(self._zstd.eof)

    @property
    def unused_data(self) -> bytes:
        """See `Frame`."""
        rest: bytes = self._zstd.unused_data
        return rest

    def decompress(self, data: bytes, _: int) -> bytes:
        """See `Frame`."""
        block: bytes = self._zstd.decompress(data)
        return block


def _inflating(wbits: int, module: Any) -> Codec:  # Any: zlib
    return Codec(partial(Inflating, wbits), (module.error,))


def _brotli(module: Any) -> Codec:  # Any: a module that need not be there
    return Codec(partial(BrotliFrame, module), (module.error,))


def _zstandard(module: Any) -> Codec:  # Any: a module that need not be there
    return Codec(partial(ZstandardFrame, module), (module.ZstdError,), _ZSTANDARD_FED_BYTES)


def _zstd(module: Any) -> Codec:  # Any: a module that need not be there
    options = {module.DecompressionParameter.window_log_max: _WINDOW_LOG}
    return Codec(partial(module.ZstdDecompressor, options=options), (module.ZstdError,))


_GZIP = (("zlib", partial(_inflating, 31)),)
_CODECS: Mapping[str, tuple[tuple[str, Callable[[Any], Codec]], ...]] = {
    "gzip": _GZIP,
    "x-gzip": _GZIP,
    "deflate": (("zlib", partial(_inflating, 15)),),
    "br": (("brotli", _brotli),),
    "zstd": (("compression.zstd", _zstd), ("zstandard", _zstandard)),
}
"""Of each coding the modules that decode it, best first, and how they are used."""


@cache
def _codec(name: str) -> Codec | None:
    """Return how a coding is decoded; None when no module that can is installed."""
    for module, made in _CODECS[name]:
        try:
            codec = made(import_module(module))
            codec.open().decompress(b"", MAX_BLOCK_BYTES)
        except (ImportError, AttributeError, TypeError):
            continue  # absent, or of a version that is used in another way, without a bound
        return codec
    return None
