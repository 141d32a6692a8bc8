"""Token counts of each format as one `Usage`, and back. Pure.

OpenAI counts cached tokens within the prompt's, Anthropic beside them: the cached part is taken off
in one direction and added in the other.
"""

from __future__ import annotations

import msgspec

from gateway.wire.chat_usage import NO_DETAILS, Details, counted
from gateway.wire.decoding import UNREADABLE
from gateway.wire.usage import Count, Usage


class _Responses(msgspec.Struct, gc=False):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: Details | None = None
    output_tokens_details: Details | None = None


class _Ollama(msgspec.Struct, gc=False):
    prompt_eval_count: Count | None = None
    eval_count: Count | None = None


_responses = msgspec.json.Decoder(_Responses | None).decode
_ollama = msgspec.json.Decoder(_Ollama).decode


def from_responses(usage: bytes | msgspec.Raw) -> Usage | None:
    """Return a Responses API answer's `usage`; None when it is null or nonsense."""
    try:
        told = _responses(usage)
    except UNREADABLE:
        return None
    if told is None:
        return None
    prompt = told.input_tokens_details or NO_DETAILS
    output = told.output_tokens_details or NO_DETAILS
    return counted(told.input_tokens, prompt.cached_tokens, told.output_tokens, prompt, output)


def from_ollama(answer: bytes) -> Usage | None:
    """Return the counts in an answer's last line; None when there are none or nonsense.

    Ollama leaves a count of zero out, and does not tell what it had cached.
    """
    try:
        told = _ollama(answer)
    except UNREADABLE:
        return None
    if told.prompt_eval_count is None and told.eval_count is None:
        return None
    return Usage(told.prompt_eval_count or 0, told.eval_count or 0)


def to_messages(usage: Usage | None) -> dict[str, int]:
    """Return an Anthropic `usage`; zeros when nothing is known, since the field is required."""
    usage = usage or Usage()
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
    }


def to_chat(usage: Usage) -> dict[str, object]:
    """Return a chat completion's `usage`; cache writes in the field other gateways use for them."""
    written = usage.cache_write_tokens
    prompt = usage.prompt_tokens()
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": written,
        },
    }
