"""Decide what becomes of a request's `thinking` where another model takes it differently. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.overrides.capabilities import Capability
from gateway.overrides.shape import Shape
from gateway.wire.edits import Edit

MIN_THINKING_TOKENS = 1024
"""The API takes no smaller `budget_tokens`."""

MAX_CHOSEN_THINKING_TOKENS = 32_000
"""The largest budget set where the client left it to the model: Anthropic advises against more
in a request that somebody waits for."""

FORCED = frozenset({"any", "tool", "required", "function"})
"""Tool choices that leave the model no other way than to use one."""

_INTERLEAVED = "interleaved-thinking-2025-05-14"


class Thinking(StrEnum):
    """Values of `thinking.type`."""

    ADAPTIVE = "adaptive"
    ENABLED = "enabled"
    DISABLED = "disabled"
    BETWEEN_TOOLS = "between_tools"


OFF = frozenset({Thinking.DISABLED, Thinking.BETWEEN_TOOLS})
"""Where a model does not think before it answers."""

_INSTEAD: Mapping[str, Thinking] = {
    # Cutting the field would be simpler, but the API refuses `clear_thinking_20251015`, which
    # Claude Code sends along with it, without thinking. Told to think in the middle of a tool loop
    # that began without, a model just answers without.
    Thinking.ADAPTIVE: Thinking.ENABLED,
    Thinking.ENABLED: Thinking.ADAPTIVE,
    Thinking.DISABLED: Thinking.BETWEEN_TOOLS,
    Thinking.BETWEEN_TOOLS: Thinking.DISABLED,
}
"""What comes nearest to a type that is not accepted; where that is not either, the field goes."""


@dataclass(frozen=True, slots=True)
class NewThinking:
    """What becomes of `thinking`.

    Attributes:
        kind: None when the field goes.
    """

    kind: Thinking | None
    edits: tuple[Edit, ...]


def new_thinking(shape: Shape, target: Capability, limit: int | None) -> NewThinking | None:
    """Return what becomes of the field; None when it stays as it is.

    Args:
        limit: The request's `max_tokens` as it will be sent.
    """
    wanted, accepted = shape.thinking, target.thinking
    if wanted is None:
        return None
    if accepted is None or wanted in accepted:
        most = _most_thinking(shape, target, limit)
        if wanted != Thinking.ENABLED or (shape.thinking_budget or 0) <= most:
            return None
        if most >= MIN_THINKING_TOKENS:
            return NewThinking(Thinking.ENABLED, (_budget(most),))
    kind = _INSTEAD.get(wanted)
    if kind is None or kind not in (accepted or ()):
        return NewThinking(None, (Edit(("thinking",), None),))
    if kind is not Thinking.ENABLED:
        return NewThinking(kind, (_kind(kind), _budget(None)))
    budget = _chosen_thinking(target, limit)
    if budget < MIN_THINKING_TOKENS or shape.tool_choice in FORCED:
        return NewThinking(None, (Edit(("thinking",), None),))
    return NewThinking(kind, (_kind(kind), _budget(budget)))


def _most_thinking(shape: Shape, target: Capability, limit: int | None) -> float:
    """Return the largest budget the request may have."""
    most = _or_any(target.max_thinking_tokens)
    # With thinking between tool calls the budget is the whole turn's: it may exceed one answer.
    # One that was meant to lie below a `max_tokens` which is lowered now has to follow it.
    if limit == shape.max_tokens and _INTERLEAVED in shape.betas:
        return most
    return min(most, _or_any(limit) - 1)


def _chosen_thinking(target: Capability, limit: int | None) -> int:
    """Return a budget for a request that left it to the model; half the answer stays for words."""
    most = min(_or_any(target.max_thinking_tokens), _or_any(limit) / 2)
    return int(min(most, MAX_CHOSEN_THINKING_TOKENS))


def _kind(kind: Thinking) -> Edit:
    return Edit(("thinking", "type"), kind.value)


def _budget(tokens: float | None) -> Edit:
    value = None if tokens is None else int(tokens)
    return Edit(("thinking", "budget_tokens"), value, add=value is not None)


def _or_any(limit: int | None) -> float:
    return math.inf if limit is None else limit
