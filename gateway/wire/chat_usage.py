"""Take token usage, model and completeness from OpenAI chat completions while they pass by. Pure.

A stream tells its usage only when the request asked for it (`stream_options.include_usage`). Prompt
tokens include those read from the cache; here they are kept apart, as everywhere in the gateway.
The tier that served an answer stands beside its usage, in a stream in any chunk of it.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec.structs import replace

from gateway.wire import sse
from gateway.wire.decoding import NULL, UNREADABLE
from gateway.wire.stream_meter import StreamError, StreamMeter
from gateway.wire.usage import STANDARD, Count, Reading, Terms, Usage

AUDIO = Terms(other="audio")
"""Terms of an answer to which spoken tokens belong: they have a price of their own."""

_USUAL_TIERS = frozenset({"", "default", "auto", "standard", "on_demand"})  # the last is Groq's


class Details(msgspec.Struct, gc=False):
    """The parts of a prompt, or of an output, that have a price of their own."""

    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None


NO_DETAILS = Details()


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None
    prompt_cache_hit_tokens: Count | None = None  # DeepSeek's name for the cached part


class _Chunk(msgspec.Struct, gc=False):
    model: str | None = None
    service_tier: object = None  # of a server that takes it for something else the rest counts
    usage: msgspec.Raw = NULL
    error: StreamError | None = None


_decode = msgspec.json.Decoder(_Chunk).decode
_decode_usage = msgspec.json.Decoder(_Usage | None).decode


def read_chat(body: bytes) -> Reading:
    """Return what a complete JSON answer says; an empty reading when it is no completion."""
    chunk = _chunk(body)
    return Reading(served(read_usage(chunk.usage), chunk.service_tier), chunk.model)


def read_usage(usage: bytes | msgspec.Raw) -> Usage | None:
    """Return what the value of `usage` says; None when it is null or nonsense."""
    try:
        told = _decode_usage(usage)
    except UNREADABLE:
        return None
    if told is None:
        return None
    prompt = told.prompt_tokens_details or NO_DETAILS
    output = told.completion_tokens_details or NO_DETAILS
    cached = prompt.cached_tokens or told.prompt_cache_hit_tokens
    return counted(told.prompt_tokens, cached, told.completion_tokens, prompt, output)


def counted(
    prompt: int | None,
    cached: int | None,
    output: int | None,
    of_prompt: Details,
    of_output: Details,
) -> Usage:
    """Return OpenAI's counts with the cached parts, which its prompt includes, taken off it."""
    prompt = prompt or 0
    cached = min(cached or 0, prompt)
    written = min(of_prompt.cache_write_tokens or 0, prompt - cached)
    return Usage(
        input_tokens=prompt - cached - written,
        output_tokens=output or 0,
        cache_write_5m_tokens=written,
        cache_read_tokens=cached,
        terms=AUDIO if of_prompt.audio_tokens or of_output.audio_tokens else STANDARD,
    )


def served(usage: Usage | None, tier: object) -> Usage | None:
    """Return the usage of an answer by the service tier it names; the usual one changes nothing.

    Args:
        tier: The value of `service_tier`; what is no text says nothing.
    """
    if usage is None or not isinstance(tier, str) or tier in _USUAL_TIERS:
        return usage
    return replace(usage, terms=replace(usage.terms, tier=tier))


class ChatMeter(StreamMeter):
    """Meters a stream of chat completion chunks; it ends with `data: [DONE]`."""

    stop_word: ClassVar[bytes] = b"[DONE]"
    _words: ClassVar[tuple[bytes, ...]] = (b"prompt_tokens", b"[DONE]", b'"error"', b'"role"')
    _delta_words: ClassVar[tuple[bytes, ...]] = (b'"delta"',)

    __slots__ = ("_tier", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._tier: object = None
        self._usage: Usage | None = None

    def reading(self) -> Reading:
        """Return what is known so far; no usage unless the stream told it."""
        return Reading(served(self._usage, self._tier), self._model)

    def _event(self, event: bytes, at: int) -> None:
        _, payload = sse.fields(event)
        if payload.strip() == b"[DONE]":
            if self.stop_at is None:
                self.stop_at = at
            return
        chunk = _chunk(payload)
        self._model = chunk.model or self._model
        self._tier = chunk.service_tier or self._tier
        self._usage = read_usage(chunk.usage) or self._usage
        if chunk.error is not None:
            self.error = str(chunk.error)


def _chunk(data: bytes) -> _Chunk:
    try:
        return _decode(data)
    except UNREADABLE:
        return _Chunk()
