"""Tell from a few comparisons whether a request fits several models as it is. Pure.

Most requests do, and then nobody has to work out what to change in them. In doubt the answer is
no, and `adapt` decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from gateway.overrides.capabilities import Capability
from gateway.overrides.shape import Shape
from gateway.overrides.thinking import FORCED, Thinking


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """What each of several models takes.

    Attributes:
        context_tokens: Longest prompt; infinite when nobody knows a limit, as all numbers here.
        max_tokens: Longest answer that may be asked for.
        efforts: With and without thinking; None for any.
        message_efforts: Those that single messages may set; None for any.
        thinking: Kinds of thinking; None for any.
        thinking_tokens: Largest budget for thinking.
        system_messages: Whether instructions may stand in the middle of the conversation.
        sampling: Whether temperature, top_p and top_k may be set.
        forced_tool_choice: Whether the use of a tool may be forced.
        refused_betas: What one of them refuses.
    """

    context_tokens: float = math.inf
    max_tokens: float = math.inf
    efforts: frozenset[str] | None = None
    message_efforts: frozenset[str] | None = None
    thinking: frozenset[str] | None = None
    thinking_tokens: float = math.inf
    system_messages: bool = True
    sampling: bool = True
    forced_tool_choice: bool = True
    refused_betas: frozenset[str] = frozenset()

    def takes(self, shape: Shape) -> bool:
        """Return True when a request of this shape fits each model as it is; False in doubt."""
        return (
            (shape.context_tokens or 0) <= self.context_tokens
            and (shape.max_tokens or 0) <= self.max_tokens
            and (shape.effort is None or self.efforts is None or shape.effort in self.efforts)
            and (shape.thinking is None or self._thinks(shape, shape.thinking))
            and (not shape.message_efforts or self._sets(shape.message_efforts))
            and (self.system_messages or not shape.system_messages)
            and (self.sampling or not shape.sampling)
            and (self.forced_tool_choice or shape.tool_choice not in FORCED)
            and self.refused_betas.isdisjoint(shape.betas)
        )

    def _thinks(self, shape: Shape, kind: str) -> bool:
        if self.thinking is not None and kind not in self.thinking:
            return False
        if kind != Thinking.ENABLED:
            return True
        budget, limit = shape.thinking_budget or 0, shape.max_tokens
        return budget <= self.thinking_tokens and (limit is None or budget < limit)

    def _sets(self, efforts: tuple[str, ...]) -> bool:
        return self.message_efforts is None or self.message_efforts.issuperset(efforts)


def accepted(models: Iterable[Capability]) -> Accepted:
    """Return what all of these models take; anything when there is none."""
    known = tuple(models)
    efforts = _shared(
        accepts for one in known for accepts in (one.effort, one.effort_without_thinking)
    )
    unset = any(one.message_effort is False for one in known)
    return Accepted(
        context_tokens=_least(one.context_tokens for one in known),
        max_tokens=_least(one.max_output_tokens for one in known),
        efforts=efforts,
        message_efforts=frozenset() if unset else efforts,
        thinking=_shared(one.thinking for one in known),
        thinking_tokens=_least(one.max_thinking_tokens for one in known),
        system_messages=all(one.system_messages is not False for one in known),
        sampling=all(one.sampling is not False for one in known),
        forced_tool_choice=all(one.forced_tool_choice is not False for one in known),
        refused_betas=frozenset(beta for one in known for beta in one.unsupported_betas),
    )


def _least(limits: Iterable[int | None]) -> float:
    return min((limit for limit in limits if limit is not None), default=math.inf)


def _shared(tables: Iterable[tuple[str, ...] | None]) -> frozenset[str] | None:
    known = [frozenset(table) for table in tables if table is not None]
    return frozenset.intersection(*known) if known else None
