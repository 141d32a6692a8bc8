"""Read what a request asks for, without any of its text: what decides how it is adapted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from gateway.cost.estimate import input_tokens
from gateway.redact import redact
from gateway.wire.body import Body
from gateway.wire.http import Head, all_values, per_head
from gateway.wire.outline import Message

MAX_NAME_CHARS = 200
"""Longer names are cut: the fields hold words of an API, and text must not get in."""

SAMPLING: Mapping[str, float | None] = {"temperature": 1, "top_p": 1, "top_k": None}
"""Fields that steer sampling, with the value that changes nothing; None: every value does."""

_EFFORTS = frozenset({"output_config", "reasoning_effort"})
_LIMITS = ("max_completion_tokens", "max_tokens")
_STEERING = frozenset(SAMPLING)
_SAID = frozenset({"thinking", "tool_choice", *_EFFORTS, *_LIMITS, *SAMPLING})
_INSTRUCTING = frozenset({"system", "developer"})


class Shape(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a request asked for, without any of its text; None where the request did not say.

    The ledger keeps it as JSON, in which what was not said takes no room.

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


def read_shape(body: Body, betas: tuple[str, ...] = ()) -> Shape:
    """Return what a request asked for; a field of an unexpected type counts as not said.

    Args:
        betas: What `read_betas` found in its head.
    """
    said = body.said(_SAID)
    thinking, choice = said.get("thinking"), said.get("tool_choice")
    count, system, efforts = _messages(body)
    return Shape(  # in the order of the fields: each name would be searched for among them
        None if _EFFORTS.isdisjoint(said) else _effort(said),
        efforts,
        None if thinking is None else _word(_member(thinking, "type")),
        None if thinking is None else _whole(_member(thinking, "budget_tokens")),
        betas,
        _limit(said),
        () if _STEERING.isdisjoint(said) else _sampling(said),
        None if choice is None else _tool_choice(choice),
        body.count("tools"),
        count,
        system,
        input_tokens(body),
    )


def name(text: str) -> str:
    """Return a name from outside, fit for a record: without secrets, on one line, cut to size."""
    return _known(text) if len(text) <= MAX_NAME_CHARS else redact(text)[:MAX_NAME_CHARS]


def header_name(head: Head, header: bytes) -> str | None:
    """Return what a header (its name in lower case) calls something; None when it is not there."""
    value = head.first.get(header)
    return name(value.decode("latin-1")) if value else None


@per_head
def read_betas(head: Head) -> tuple[str, ...]:
    """Return the values of every `anthropic-beta` header, in order."""
    given = b",".join(all_values(head.headers, head.first, b"anthropic-beta"))
    return tuple(map(name, filter(None, map(str.strip, given.decode("latin-1").split(",")))))


# Clients, betas and sessions come again and again, and looking for secrets is not cheap.
_known = lru_cache(4096)(redact)


def _messages(body: Body) -> tuple[int | None, int | None, tuple[str, ...]]:
    """Return a shape's `messages`, `system_messages` and `message_efforts`."""
    found = body.messages()
    if found is None:
        return body.count("messages"), None, ()
    if not found.unusual:
        return found.count, 0, ()
    return found.count, _instructing_later(found.unusual), _message_efforts(found.unusual)


def _instructing_later(messages: Sequence[Message]) -> int:
    """Return how many instructions stand behind a message that is none."""
    turns = [message.role in _INSTRUCTING for message in messages]
    return sum(turns) - (turns.index(False) if False in turns else len(turns))


def _message_efforts(messages: Sequence[Message]) -> tuple[str, ...]:
    configs = [message.output_config for message in messages]
    efforts = [config.effort for config in configs if config is not None and config.effort]
    return tuple(map(name, dict.fromkeys(efforts)))


def _effort(said: Mapping[str, object]) -> str | None:
    """Return how hard the model is asked to try, in either wire format."""
    own = _word(_member(said.get("output_config"), "effort"))
    return own or _word(said.get("reasoning_effort"))


def _limit(said: Mapping[str, object]) -> int | None:
    """Return how long an answer may be; a chat completion's newer field counts first."""
    limit = _whole(said["max_completion_tokens"]) if "max_completion_tokens" in said else None
    return _whole(said.get("max_tokens")) if limit is None else limit


def _sampling(said: Mapping[str, object]) -> tuple[str, ...]:
    fields = SAMPLING.items()
    return tuple([field for field, usual in fields if said.get(field) not in (None, usual)])


def _tool_choice(value: object) -> str | None:
    """Return the kind of choice: a chat completion gives it as a word where it can."""
    return _word(value) or _word(_member(value, "type"))


def _member(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _word(value: object) -> str | None:
    return name(value) if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    # Of a decoded value `bool` is the only other type that is an `int`.
    return value if type(value) is int and abs(value) < 2**53 else None
