"""Members added to JSON answers: their own bytes kept, and nothing but objects touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.annotated import NAMES, annotated

MORE = b'"provider":"p","latency_ms":7,"cost_usd":0.0105'
ADDED = {"provider": "p", "latency_ms": 7, "cost_usd": 0.0105}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a":1}', b'{"a":1,%b}'),
        (b'{"a": {"b": []}\n}\r\n', b'{"a": {"b": []}\n,%b}\r\n'),
        (b"{}", b"{%b}"),
        (b" { } ", b" { %b} "),
        (
            b'{"a":"}","b":1.0e0,"a":"\xc3\xa9\\u00e9"}',
            b'{"a":"}","b":1.0e0,"a":"\xc3\xa9\\u00e9",%b}',
        ),
        (b'{"content":[{"cost_usd":1}]}', b'{"content":[{"cost_usd":1}],%b}'),
    ],
)
def test_members_are_the_last_and_all_other_bytes_stay(body: bytes, expected: bytes) -> None:
    assert annotated(body, MORE) == expected % MORE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[{}]",
        b'"{}"',
        b"{",
        b"{}}",
        b'{"a":\xff}',
        b'data: {"a":1}\n\n',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        *(b'{"%b":null}' % name.encode() for name in NAMES),
        b'{"a":1,"cost\\u005fusd":2}',
    ],
    ids=range(13),
)
def test_what_is_no_object_or_has_such_a_member_stays_as_it_is(body: bytes) -> None:
    assert annotated(body, MORE) == body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text().filter(lambda name: name not in NAMES), json_values))
def test_any_object_keeps_its_members(document: dict[str, Any]) -> None:  # Any: JSON
    found = json.loads(annotated(json.dumps(document).encode(), MORE))
    assert found == document | ADDED
    assert list(found)[-3:] == list(ADDED)
