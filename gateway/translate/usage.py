"""Token counts of each format as one `Usage`, and back. Pure.

OpenAI counts cached tokens within the prompt's, Anthropic beside them: the cached part is taken off
in one direction and added in the other.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from gateway.wire.usage import Usage

# More tokens than any model can take: a nonsensical number must not reach the ledger's integers.
_Count = Annotated[int, msgspec.Meta(ge=0, le=10**10)]


class _Details(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None


class _Chat(msgspec.Struct, gc=False):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    prompt_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: _Count | None = None  # DeepSeek's name for the cached part


class _Responses(msgspec.Struct, gc=False):
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    input_tokens_details: _Details | None = None


class _Ollama(msgspec.Struct, gc=False):
    prompt_eval_count: _Count | None = None
    eval_count: _Count | None = None


_chat = msgspec.json.Decoder(_Chat | None).decode
_responses = msgspec.json.Decoder(_Responses | None).decode
_ollama = msgspec.json.Decoder(_Ollama).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def from_chat(usage: bytes | msgspec.Raw) -> Usage | None:
    """Return a chat completion's `usage`; None when it is null or nonsense."""
    try:
        told = _chat(usage)
    except _UNREADABLE:
        return None
    if told is None:
        return None
    details = told.prompt_tokens_details or _Details()
    cached = details.cached_tokens or told.prompt_cache_hit_tokens or 0
    return _usage(told.prompt_tokens, cached, details.cache_write_tokens, told.completion_tokens)


def from_responses(usage: bytes | msgspec.Raw) -> Usage | None:
    """Return a Responses API answer's `usage`; None when it is null or nonsense."""
    try:
        told = _responses(usage)
    except _UNREADABLE:
        return None
    if told is None:
        return None
    details = told.input_tokens_details or _Details()
    cached = details.cached_tokens or 0
    return _usage(told.input_tokens, cached, details.cache_write_tokens, told.output_tokens)


def from_ollama(answer: bytes) -> Usage | None:
    """Return the counts in an answer's last line; None when there are none or nonsense.

    Ollama leaves a count of zero out, and does not tell what it had cached.
    """
    try:
        told = _ollama(answer)
    except _UNREADABLE:
        return None
    if told.prompt_eval_count is None and told.eval_count is None:
        return None
    return Usage(told.prompt_eval_count or 0, told.eval_count or 0)


def to_messages(usage: Usage | None) -> dict[str, int]:
    """Return an Anthropic `usage`; zeros when nothing is known, since the field is required."""
    usage = usage or Usage()
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
    }


def to_chat(usage: Usage) -> dict[str, object]:
    """Return a chat completion's `usage`; cache writes in the field other gateways use for them."""
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    prompt = usage.input_tokens + usage.cache_read_tokens + written
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": written,
        },
    }


def _usage(prompt: int | None, cached: int, written: int | None, output: int | None) -> Usage:
    written = written or 0
    return Usage(
        input_tokens=max(0, (prompt or 0) - cached - written),
        output_tokens=output or 0,
        cache_write_5m_tokens=written,
        cache_read_tokens=cached,
    )
