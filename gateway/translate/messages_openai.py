"""What an Anthropic request asks for, in the words that OpenAI's two formats share. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256

import msgspec

from gateway.translate.fields import present
from gateway.translate.messages_request import MessagesRequest, Named, ThinkingOn
from gateway.wire.decoding import UNREADABLE
from gateway.wire.form import Form

MAX_USER_CHARS = 64
"""OpenAI refuses a longer `user`; it gets the SHA-256 (64 characters) instead."""

NOT_ALWAYS: Mapping[str, str] = {
    "effort": "OpenAI's says how hard to think: without thinking the least one that the model is "
    "known to take is sent, or none; at Ollama it would make models think that cannot",
    "metadata": "who asks, for the provider's accounts: to OpenAI and Azure alone, others know no "
    "field for it and some refuse it",
    "service_tier": "the same: a class of service of OpenAI's accounts",
}
"""Fields that are left out on the way to some providers, as their `Form` and the request say."""

EFFORTS = ("none", "minimal", "low", "medium", "high")
"""OpenAI's efforts from the least on; each model knows some of them.
Source: OpenAI, guide "Reasoning models", section "Reasoning effort"."""

BUDGETS: tuple[tuple[int, str], ...] = ((4096, "low"), (16384, "medium"))
"""The effort for a thinking budget up to so many tokens; `high` above."""

CHOICES: Mapping[str, str] = {"auto": "auto", "any": "required", "none": "none"}
"""OpenAI's `tool_choice`, but for a named tool."""

TIERS: Mapping[str, str] = {"auto": "auto", "standard_only": "default"}
"""OpenAI's `service_tier`."""

SCHEMA_NAME = "answer"
"""OpenAI wants a name for the form of an answer."""


def effort(request: MessagesRequest, form: Form) -> str | None:
    """Return how hard to think; None leaves it to the model."""
    known, thinking = form.efforts or (), request.thinking
    if request.thinks_not:
        return form.off or next((word for word in EFFORTS if word in known), None)
    if form.effort_thinks and form.efforts is None and not isinstance(thinking, ThinkingOn):
        return None
    if request.effort is not None:
        taken = request.effort in EFFORTS or request.effort in known
        return request.effort if taken else form.highest
    if isinstance(thinking, ThinkingOn):
        budget = thinking.budget_tokens
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
    strict = may_be_strict(request.schema)
    return {"name": SCHEMA_NAME, "schema": request.schema, "strict": strict}


def may_be_strict(schema: msgspec.Raw) -> bool:
    """Return whether OpenAI holds answers to a schema to the letter, rather than refuse it.

    It does where every property of every object is required; Anthropic knows optional ones, too.
    Source: OpenAI, guide "Structured model outputs", section "Supported schemas".
    """
    try:
        return _all_required(msgspec.json.decode(schema))
    except UNREADABLE:
        return False


def _all_required(schema: object) -> bool:
    if isinstance(schema, list):
        return all(map(_all_required, schema))
    if not isinstance(schema, dict):
        return True
    properties, required = schema.get("properties"), schema.get("required")
    if isinstance(properties, dict):
        names = required if isinstance(required, list) else ()
        if any(name not in names for name in properties):
            return False
    return all(map(_all_required, schema.values()))
