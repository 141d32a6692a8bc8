"""What an Anthropic request asks for, in the words that OpenAI's two formats share. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256

from gateway.translate.fields import present
from gateway.translate.messages_request import MessagesRequest, Named, ThinkingOff, ThinkingOn

MAX_USER_CHARS = 64
"""OpenAI refuses a longer `user`; it gets the SHA-256 (64 characters) instead."""

EFFORTS: Mapping[str, str] = {
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "xhigh",
}
"""OpenAI's effort for Anthropic's `output_config.effort`."""

BUDGETS: tuple[tuple[int, str], ...] = ((4096, "low"), (16384, "medium"))
"""The effort for a thinking budget up to so many tokens; `high` above."""

CHOICES: Mapping[str, str] = {"auto": "auto", "any": "required", "none": "none"}
"""OpenAI's `tool_choice`, but for a named tool."""

TIERS: Mapping[str, str] = {"auto": "auto", "standard_only": "default"}
"""OpenAI's `service_tier`."""

SCHEMA_NAME = "answer"
"""OpenAI wants a name for the form of an answer."""


def effort(request: MessagesRequest) -> str | None:
    """Return how hard to think; None leaves it to the model."""
    if isinstance(request.thinking, ThinkingOff):
        return None
    if request.effort is not None:
        return EFFORTS[request.effort]
    if isinstance(request.thinking, ThinkingOn):
        budget = request.thinking.budget_tokens
        return next((effort for limit, effort in BUDGETS if budget <= limit), "high")
    return None


def user(request: MessagesRequest) -> str | None:
    """Return who asks: stable, and not longer than OpenAI takes; None when not said."""
    told = request.metadata.user_id if request.metadata is not None else None
    if told is None or len(told) <= MAX_USER_CHARS:
        return told
    return sha256(told.encode()).hexdigest()


def tier(request: MessagesRequest) -> str | None:
    """Return the class of service; None when not said."""
    return None if request.service_tier is None else TIERS[request.service_tier]


def tool_choice(
    request: MessagesRequest, named: Callable[[str], Mapping[str, object]]
) -> dict[str, object]:
    """Return the fields that say which tools must be called; empty leaves it to the model.

    Args:
        named: From a tool's name to the choice of it.
    """
    choice = request.tool_choice
    if choice is None:
        return {}
    return present(
        tool_choice=named(choice.name) if isinstance(choice, Named) else CHOICES[choice.kind],
        parallel_tool_calls=False if choice.disable_parallel_tool_use else None,
    )


def schema(request: MessagesRequest) -> dict[str, object] | None:
    """Return the form an answer must have; None for free text."""
    if request.schema is None:
        return None
    return {"name": SCHEMA_NAME, "schema": request.schema, "strict": True}
