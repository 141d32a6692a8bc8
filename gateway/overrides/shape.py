"""Read what a request asks for, without any of its text: what decides how it is adapted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from gateway.cost.estimate import input_tokens
from gateway.redact import redact
from gateway.wire.body import Body
from gateway.wire.http import Request

MAX_NAME_CHARS = 200
"""Longer names are cut: the fields hold words of an API, and text must not get in."""

SAMPLING: Mapping[str, float | None] = {"temperature": 1, "top_p": 1, "top_k": None}
"""Fields that steer sampling, with the value that changes nothing; None: every value does."""

_BETA = b"anthropic-beta"
_INSTRUCTING = ("system", "developer")


class Shape(msgspec.Struct, frozen=True, gc=False):
    """What a request asked for, without any of its text; None where the request did not say.

    Attributes:
        effort: `output_config.effort`, or `reasoning_effort` of a chat completion.
        message_efforts: Efforts that single messages set for what follows them, each once.
        thinking: `thinking.type`.
        thinking_budget: `thinking.budget_tokens`.
        betas: Values of `anthropic-beta`, in order.
        max_tokens: Longest answer allowed, tokens; `max_completion_tokens` of a chat completion.
        sampling: Names of the sampling fields that ask for anything but the default.
        tool_choice: "auto", "any", "tool", "none"; "required", "function" of a chat completion.
        tools: Number of tools.
        messages: Number of messages.
        system_messages: How many of them are instructions in the middle of the conversation.
        context_tokens: Estimated length of the prompt, tokens.
    """

    effort: str | None = None
    message_efforts: tuple[str, ...] = ()
    thinking: str | None = None
    thinking_budget: int | None = None
    betas: tuple[str, ...] = ()
    max_tokens: int | None = None
    sampling: tuple[str, ...] = ()
    tool_choice: str | None = None
    tools: int | None = None
    messages: int | None = None
    system_messages: int | None = None
    context_tokens: int | None = None


read_stored = msgspec.json.Decoder(Shape).decode
"""Return a shape from the JSON of a record; fields that an older version did not keep are unset."""


def read_shape(request: Request, body: Body) -> Shape:
    """Return what a request asked for; a field of an unexpected type counts as not said."""
    thinking = body.value("thinking")
    messages = _read_messages(body)
    limit = _whole(body.value("max_completion_tokens"))
    effort = _word(_member(body.value("output_config"), "effort"))
    return Shape(
        effort=effort or _word(body.value("reasoning_effort")),
        message_efforts=messages.efforts,
        thinking=_word(_member(thinking, "type")),
        thinking_budget=_whole(_member(thinking, "budget_tokens")),
        betas=_betas(request),
        max_tokens=_whole(body.value("max_tokens")) if limit is None else limit,
        sampling=_sampling(body),
        tool_choice=_tool_choice(body.value("tool_choice")),
        tools=body.count("tools"),
        messages=messages.count,
        system_messages=messages.system,
        context_tokens=input_tokens(body),
    )


def name(text: str) -> str:
    """Return a name from outside, fit for a record: without secrets, on one line, cut to size."""
    return _known(text) if len(text) <= MAX_NAME_CHARS else redact(text)[:MAX_NAME_CHARS]


def header_name(request: Request, header: bytes) -> str | None:
    """Return what a header (its name in lower case) calls something; None when it is not there."""
    value = request.header(header)
    return name(value.decode("latin-1")) if value else None


# Clients, betas and sessions come again and again, and looking for secrets is not cheap.
_known = lru_cache(4096)(redact)


class _OutputConfig(msgspec.Struct, gc=False):
    effort: str | None = None


class _Message(msgspec.Struct, gc=False):
    role: str | None = None
    output_config: _OutputConfig | None = None


_decode_messages = msgspec.json.Decoder(list[_Message]).decode


class _Messages(msgspec.Struct, frozen=True, gc=False):
    count: int | None = None
    system: int | None = None
    efforts: tuple[str, ...] = ()


def _read_messages(body: Body) -> _Messages:
    try:
        found = _decode_messages(body.view("messages"))
    except msgspec.DecodeError:
        return _Messages(body.count("messages"))
    turns = [message.role not in _INSTRUCTING for message in found]
    start = turns.index(True) if True in turns else len(turns)
    configs = [config for message in found if (config := message.output_config)]
    efforts = dict.fromkeys([config.effort for config in configs if config.effort])
    return _Messages(len(found), turns[start:].count(False), tuple(map(name, efforts)))


def _betas(request: Request) -> tuple[str, ...]:
    """Return the values of every `anthropic-beta` header, in order."""
    if request.header(_BETA) is None:
        return ()
    given = b",".join([value for key, value in request.headers if key == _BETA])
    return tuple(map(name, filter(None, map(str.strip, given.decode("latin-1").split(",")))))


def _sampling(body: Body) -> tuple[str, ...]:
    fields = SAMPLING.items()
    return tuple([field for field, usual in fields if body.value(field) not in (None, usual)])


def _tool_choice(value: object) -> str | None:
    """Return the kind of choice: a chat completion gives it as a word where it can."""
    return _word(value) or _word(_member(value, "type"))


def _member(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _word(value: object) -> str | None:
    return name(value) if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < 2**53 else None
