"""What several models take as it is: never more than each of them takes, and what is common."""

from __future__ import annotations

from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import resources
from gateway.overrides.accepted import accepted
from gateway.overrides.adaptation import EFFORTS, UNCHANGED, adapt
from gateway.overrides.capabilities import Capabilities, Capability
from gateway.overrides.shape import Shape

T = TypeVar("T")
TABLE = Capabilities.parse(resources.capabilities())
MODELS = sorted(resources.capabilities()["models"])
BETAS = ("interleaved-thinking-2025-05-14", "effort-2025-11-24", "other")

# Small numbers on both sides, so that limits are met from above, from below and exactly.
SMALL = st.integers(0, 9)
WORDS = st.lists(st.sampled_from([*EFFORTS, "turbo"]), unique=True).map(tuple)
KINDS = st.sampled_from(["adaptive", "enabled", "disabled", "between_tools", "new"])
NAMES = st.lists(st.sampled_from(BETAS), max_size=2).map(tuple)
FACTS: dict[str, st.SearchStrategy[object]] = {
    "context_tokens": SMALL,
    "max_output_tokens": SMALL,
    "effort": WORDS,
    "effort_without_thinking": WORDS,
    "message_effort": st.booleans(),
    "thinking": st.lists(KINDS, unique=True).map(tuple),
    "max_thinking_tokens": SMALL,
    "system_messages": st.booleans(),
    "sampling": st.booleans(),
    "forced_tool_choice": st.booleans(),
    "unsupported_betas": NAMES,
}
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "effort": st.sampled_from([*EFFORTS, "turbo"]),
    "message_efforts": WORDS,
    "thinking": KINDS,
    "thinking_budget": SMALL,
    "betas": NAMES,
    "max_tokens": SMALL,
    "sampling": st.just(("top_k",)),
    "tool_choice": st.sampled_from(["auto", "any", "required"]),
    "system_messages": SMALL,
    "context_tokens": SMALL,
}


def some(kind: type[T], fields: dict[str, st.SearchStrategy[object]]) -> st.SearchStrategy[T]:
    """Return objects of which a few fields are set."""
    names = st.sets(st.sampled_from(sorted(fields)), max_size=4)
    return names.flatmap(lambda chosen: st.builds(kind, **{one: fields[one] for one in chosen}))


SHAPES, CAPABILITIES = some(Shape, FIELDS), some(Capability, FACTS)


@given(shape=SHAPES, models=st.lists(CAPABILITIES, min_size=1, max_size=3))
def test_what_is_taken_needs_no_change_for_any_model(
    shape: Shape, models: list[Capability]
) -> None:
    if accepted(models).takes(shape):
        assert all(adapt(shape, model) == UNCHANGED for model in models)


@given(shape=SHAPES, model=st.sampled_from(MODELS))
def test_what_is_taken_needs_no_change_for_a_model_of_the_table(shape: Shape, model: str) -> None:
    known = TABLE.of(model)
    assert known is not None
    if accepted([known]).takes(shape):
        assert adapt(shape, known) == UNCHANGED


FULL = Capability(
    context_tokens=200_000,
    max_output_tokens=64_000,
    effort=("low", "high"),
    effort_without_thinking=("low",),
    thinking=("adaptive", "enabled"),
    max_thinking_tokens=40_000,
    unsupported_betas=("old",),
)
STRICT = Capability(
    message_effort=False, system_messages=False, sampling=False, forced_tool_choice=False
)


@pytest.mark.parametrize(
    ("shape", "taken"),
    [
        (Shape(), True),
        (Shape(max_tokens=64_000, context_tokens=200_000, tools=30, messages=9), True),
        (Shape(max_tokens=64_001), False),
        (Shape(context_tokens=200_001), False),
        (Shape(effort="low", message_efforts=("low",)), True),
        (Shape(effort="high"), False),  # not without thinking
        (Shape(message_efforts=("high",)), False),
        (Shape(thinking="adaptive"), True),
        (Shape(thinking="disabled"), False),
        (Shape(thinking="enabled", thinking_budget=4000, max_tokens=4001), True),
        (Shape(thinking="enabled", thinking_budget=4000, max_tokens=4000), False),
        (Shape(thinking="enabled", thinking_budget=40_000), True),
        (Shape(thinking="enabled", thinking_budget=40_001), False),
        (Shape(betas=("new", "newer")), True),
        (Shape(betas=("new", "old")), False),
        (Shape(sampling=("top_k",), tool_choice="any", system_messages=1), True),
    ],
)
def test_common_requests_are_taken_and_doubtful_ones_are_not(shape: Shape, *, taken: bool) -> None:
    assert accepted([FULL, Capability()]).takes(shape) is taken


@pytest.mark.parametrize(
    ("shape", "taken"),
    [
        (Shape(effort="max", thinking="adaptive", betas=("old",), tool_choice="auto"), True),
        (Shape(sampling=("top_k",)), False),
        (Shape(system_messages=1), False),
        (Shape(tool_choice="any"), False),
        (Shape(message_efforts=("low",)), False),
    ],
)
def test_what_one_model_refuses_is_not_taken(shape: Shape, *, taken: bool) -> None:
    assert accepted([Capability(), STRICT]).takes(shape) is taken


def test_anything_is_taken_where_nothing_is_known() -> None:
    shape = Shape(effort="max", thinking="mystic", max_tokens=10**9, betas=("x",), sampling=("x",))
    assert accepted([]).takes(shape)
    assert accepted([Capability()]).takes(shape)
