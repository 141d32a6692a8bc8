"""Decide what to change in a request so that another model accepts it. Pure.

It is decided by the request's shape alone, so that the same function serves a request that has come
and one that is only on record. What is not known of a model is never a reason for a change.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from gateway.overrides.capabilities import Capability
from gateway.overrides.shape import Shape
from gateway.overrides.thinking import FORCED, OFF, Thinking, new_thinking
from gateway.wire.edits import EACH, Edit
from gateway.wire.http import Header

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""From the least on."""

_BETA = b"anthropic-beta"


class Obstacle(StrEnum):
    """What no change to the request overcomes."""

    CONTEXT_WINDOW = "context_window"  # the prompt is longer than the model's window
    SYSTEM_MESSAGES = "system_messages"  # instructions in the middle of the conversation
    SAMPLING = "sampling"  # a temperature, top_p or top_k of its own
    TOOL_CHOICE = "tool_choice"  # a tool that has to be used


class Change(msgspec.Struct, frozen=True, gc=False):
    """One change to a request.

    Attributes:
        word: For the audit record: `effort`, `thinking`, `max_tokens` or `beta:NAME`, and
            `thinking_blocks` for what `unsigned` leaves out.
        edits: What to do to the body, for `Body.forwarded`; empty for a header.
        beta: The beta to leave out of `anthropic-beta`; None for a field of the body.
    """

    word: str
    edits: tuple[Edit, ...] = ()
    beta: str | None = None


class Adaptation(msgspec.Struct, frozen=True, gc=False):
    """What it takes for a model to accept a request.

    Attributes:
        changes: In a fixed order; empty when the request fits as it is.
        skipped: Why no change would do, an `Obstacle`; None when the request can be sent.
        words: The changes, one word each, as the audit record has them; follows from them.
        edits: What to do to the body; follows from them.
        betas: What to leave out of `anthropic-beta`; follows from them.
    """

    changes: tuple[Change, ...] = ()
    skipped: str | None = None
    words: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    betas: tuple[str, ...] = ()

    def headers(self, headers: tuple[Header, ...]) -> tuple[Header, ...]:
        """Return a request's headers without the betas that the model does not take."""
        gone = {beta.encode("latin-1") for beta in self.betas}
        return tuple(_without(headers, gone)) if gone else headers


UNCHANGED = Adaptation()
"""Of a request that fits as it is."""


def adapt(shape: Shape, target: Capability | None, own: Capability | None = None) -> Adaptation:
    """Return what to change in a request of this shape so that the target accepts it.

    Args:
        target: None when nobody knows what it accepts; then nothing is changed.
        own: What the requested model accepts. What that would refuse just as well is no reason
            to stay with it.
    """
    if target is None:
        return UNCHANGED
    shared = () if own is None else tuple(_obstacles(shape, own))
    obstacle = next((one for one in _obstacles(shape, target) if one not in shared), None)
    if obstacle is not None:
        return Adaptation(skipped=obstacle.value)
    return _of(tuple(_changes(shape, target)))


def _of(changes: tuple[Change, ...]) -> Adaptation:
    if not changes:
        return UNCHANGED
    return Adaptation(
        changes,
        words=tuple(change.word for change in changes),
        edits=tuple(edit for change in changes for edit in change.edits),
        betas=tuple(change.beta for change in changes if change.beta is not None),
    )


def _obstacles(shape: Shape, target: Capability) -> Iterator[Obstacle]:
    tokens, window = shape.context_tokens, target.context_tokens
    if tokens is not None and window is not None and tokens > window:
        yield Obstacle.CONTEXT_WINDOW
    if shape.system_messages and target.system_messages is False:
        yield Obstacle.SYSTEM_MESSAGES
    if shape.sampling and target.sampling is False:
        yield Obstacle.SAMPLING
    if shape.tool_choice in FORCED and target.forced_tool_choice is False:
        yield Obstacle.TOOL_CHOICE


def _changes(shape: Shape, target: Capability) -> Iterator[Change]:
    limit = _at_most(shape.max_tokens, target.max_output_tokens)
    thinking = new_thinking(shape, target, limit)
    kind = shape.thinking if thinking is None else thinking.kind
    edits = tuple(_effort_edits(shape, target, off=kind in OFF))
    if edits:
        yield Change("effort", edits)
    if thinking is not None:
        yield Change("thinking", thinking.edits)
    if limit != shape.max_tokens:
        names = ("max_tokens", "max_completion_tokens")
        yield Change("max_tokens", tuple(Edit((name,), limit) for name in names))
    for beta in dict.fromkeys(shape.betas):
        if beta in target.unsupported_betas:
            yield Change(f"beta:{beta}", beta=beta)


def _effort_edits(shape: Shape, target: Capability, *, off: bool) -> Iterator[Edit]:
    """Return what becomes of the efforts.

    Args:
        off: Whether thinking will be off.
    """
    accepted = target.effort_without_thinking if off else None
    accepted = target.effort if accepted is None else accepted
    effort, efforts = shape.effort, shape.message_efforts
    if effort is not None and accepted is not None and not _takes(target, accepted, effort):
        nearest = _nearest(effort, accepted)
        yield Edit(("output_config", "effort"), nearest)
        yield Edit(("reasoning_effort",), nearest)
    refused = accepted is not None and not set(efforts) <= set(accepted)
    if efforts and (refused or target.message_effort is False):
        yield Edit(("messages", EACH, "output_config"), None)


def _takes(target: Capability, accepted: tuple[str, ...], effort: str) -> bool:
    # "none" is a chat completion's way to turn thinking off.
    off = effort == EFFORTS[0] and Thinking.DISABLED in (target.thinking or ())
    return off or effort in accepted


def _nearest(effort: str, accepted: tuple[str, ...]) -> str | None:
    """Return the highest accepted effort below this one, else the lowest above it.

    None when no effort is accepted, and for what is none: an unknown word, thinking turned off.
    """
    place = EFFORTS.index(effort) if effort in EFFORTS else 0
    if not place:
        return None
    order = (*reversed(EFFORTS[:place]), *EFFORTS[place + 1 :])
    return next((one for one in order if one in accepted), None)


def _at_most(value: int | None, limit: int | None) -> int | None:
    return value if value is None or limit is None else min(value, limit)


def _without(headers: tuple[Header, ...], gone: set[bytes]) -> Iterator[Header]:
    for key, value in headers:
        betas = value.split(b",") if key == _BETA else []
        kept = [beta for beta in betas if beta.strip() not in gone]
        if len(kept) == len(betas):
            yield key, value
        elif kept:
            yield key, b",".join(kept).strip()
