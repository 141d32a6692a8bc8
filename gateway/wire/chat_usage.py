"""Take token usage, model and completeness from OpenAI chat completions while they pass by. Pure.

A stream tells its usage only when the request asked for it (`stream_options.include_usage`). Prompt
tokens include those read from the cache; here they are kept apart, as everywhere in the gateway.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from gateway.wire import sse
from gateway.wire.decoding import NULL, UNREADABLE
from gateway.wire.stream_meter import StreamError, StreamMeter
from gateway.wire.usage import Count, Reading, Usage


class Details(msgspec.Struct, gc=False):
    """The parts of a prompt that were read from the cache or written to it."""

    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None  # not OpenAI's: other gateways' name for it


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: Details | None = None
    prompt_cache_hit_tokens: Count | None = None  # DeepSeek's name for the cached part


class _Chunk(msgspec.Struct, gc=False):
    model: str | None = None
    usage: msgspec.Raw = NULL
    error: StreamError | None = None


_decode = msgspec.json.Decoder(_Chunk).decode
_decode_usage = msgspec.json.Decoder(_Usage | None).decode


def read_chat(body: bytes) -> Reading:
    """Return what a complete JSON answer says; an empty reading when it is no completion."""
    chunk = _chunk(body)
    return Reading(read_usage(chunk.usage), chunk.model)


def read_usage(usage: bytes | msgspec.Raw) -> Usage | None:
    """Return what the value of `usage` says; None when it is null or nonsense."""
    try:
        told = _decode_usage(usage)
    except UNREADABLE:
        return None
    if told is None:
        return None
    details = told.prompt_tokens_details or Details()
    cached = details.cached_tokens or told.prompt_cache_hit_tokens
    return counted(told.prompt_tokens, cached, details.cache_write_tokens, told.completion_tokens)


def counted(
    prompt: int | None, cached: int | None, written: int | None, output: int | None
) -> Usage:
    """Return OpenAI's counts with the cached parts, which its prompt includes, taken off it."""
    prompt = prompt or 0
    cached = min(cached or 0, prompt)
    written = min(written or 0, prompt - cached)
    return Usage(
        input_tokens=prompt - cached - written,
        output_tokens=output or 0,
        cache_write_5m_tokens=written,
        cache_read_tokens=cached,
    )


class ChatMeter(StreamMeter):
    """Meters a stream of chat completion chunks; it ends with `data: [DONE]`."""

    stop_word: ClassVar[bytes] = b"[DONE]"
    _words: ClassVar[tuple[bytes, ...]] = (b"prompt_tokens", b"[DONE]", b'"error"', b'"role"')
    _delta_words: ClassVar[tuple[bytes, ...]] = (b'"delta"',)

    __slots__ = ("_usage",)

    def __init__(self) -> None:
        super().__init__()
        self._usage: Usage | None = None

    def reading(self) -> Reading:
        """Return what is known so far; no usage unless the stream told it."""
        return Reading(self._usage, self._model)

    def _event(self, event: bytes, at: int) -> None:
        _, payload = sse.fields(event)
        if payload.strip() == b"[DONE]":
            if self.stop_at is None:
                self.stop_at = at
            return
        chunk = _chunk(payload)
        self._model = chunk.model or self._model
        self._usage = read_usage(chunk.usage) or self._usage
        if chunk.error is not None:
            self.error = str(chunk.error)


def _chunk(data: bytes) -> _Chunk:
    try:
        return _decode(data)
    except UNREADABLE:
        return _Chunk()
