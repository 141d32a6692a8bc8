"""JSON nested more deeply than the bound is refused, whatever its strings say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import nesting
from gateway.wire.nesting import MAX_NESTING, refuse_deep

DEEPEST = 5

JSON = st.recursive(
    st.text('[]{}"\\x', max_size=8) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text('[{"\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=30,
)


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(value=JSON)
def test_exactly_what_is_too_deep_is_refused(value: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nesting, "MAX_NESTING", DEEPEST)
        try:
            refuse_deep(json.dumps(value).encode())
        except RecursionError:
            assert depth(value) > DEEPEST
        else:
            assert depth(value) <= DEEPEST


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_bound_is_exact(opening: bytes, closing: bytes) -> None:
    def nested(levels: int) -> bytes:
        return opening * levels + b"1" + closing * levels

    refuse_deep(nested(MAX_NESTING))
    with pytest.raises(RecursionError, match="10000 levels"):
        refuse_deep(nested(MAX_NESTING + 1))


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b"[]," * MAX_NESTING + b"1]",
        b'["' + b"[" * 2 * MAX_NESTING + b'"]',
        b'["\\"' + b"{" * 2 * MAX_NESTING + b'"]',
    ],
    ids=["wide", "text", "escaped"],
)
def test_many_brackets_are_not_deep(data: bytes) -> None:
    refuse_deep(data)


def test_text_without_an_end_is_looked_at_once() -> None:
    opened = b"[]" * MAX_NESTING + b'"'
    refuse_deep(opened + b'\\"' * 2_000_000)  # quadratic, this would take hours


@pytest.mark.parametrize(
    "data",
    [
        b"[" * (MAX_NESTING + 1),
        b'["' + b"]" * MAX_NESTING + b'",' + b"[" * (MAX_NESTING + 1),
        b'["\\\\",' + b"[" * (MAX_NESTING + 1),
    ],
    ids=["cut", "closed only in a text", "text that ends with a backslash"],
)
def test_text_hides_nothing(data: bytes) -> None:
    with pytest.raises(RecursionError):
        refuse_deep(data)
