"""Take token usage, model and completeness from OpenAI chat completions while they pass by. Pure.

A stream tells its usage only when the request asked for it (`stream_options.include_usage`). Prompt
tokens include those read from the cache; here they are kept apart, as everywhere in the gateway.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from gateway.wire import sse
from gateway.wire.usage import Reading, StreamMeter, Usage

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**10)]


class _Details(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    prompt_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: _Count | None = None


class _Error(msgspec.Struct, gc=False):
    type: str | None = None
    message: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    model: str | None = None
    usage: _Usage | None = None
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


def read_chat(body: bytes) -> Reading:
    """Return what a complete JSON answer says; an empty reading when it is no completion."""
    chunk = _chunk(body)
    return Reading(None if chunk.usage is None else _usage(chunk.usage), chunk.model)


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
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
        if chunk.error is not None:
            self.error = f"{chunk.error.type or 'error'}: {chunk.error.message or 'no message'}"


def _chunk(data: bytes) -> _Chunk:
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Chunk()


def _usage(found: _Usage) -> Usage:
    details = found.prompt_tokens_details
    cached = (details and details.cached_tokens) or found.prompt_cache_hit_tokens or 0
    prompt = found.prompt_tokens or 0
    return Usage(
        input_tokens=max(0, prompt - cached),
        output_tokens=found.completion_tokens or 0,
        cache_read_tokens=min(cached, prompt),
    )
