"""What a whole message says of its usage, and on what terms it was made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.message_usage import Tally, read_message
from gateway.wire.usage import Reading, Terms, Usage


@pytest.mark.parametrize(
    ("body", "usage", "model"),
    [
        (b'{"model":"m","usage":{"input_tokens":1,"output_tokens":2}}', Usage(1, 2), "m"),
        (
            b'{"usage":{"input_tokens":1,"output_tokens":2,"cache_creation_input_tokens":5}}',
            Usage(1, 2, 5, 0, 0),
            None,
        ),
        (b'{"usage":{"input_tokens":null}}', Usage(), None),
        (b'{"usage":{"input_tokens":-1}}', None, None),
        (b'{"usage":{"input_tokens":99999999999999999999}}', None, None),
        (b'{"model":"m"}', None, "m"),
        (b"[]", None, None),
        (b"{", None, None),
        (b"", None, None),
    ],
)
def test_message_is_read(body: bytes, usage: Usage | None, model: str | None) -> None:
    assert read_message(body) == Reading(usage, model)


def usage_of(**fields: object) -> Usage | None:
    return read_message(json.dumps({"usage": {"output_tokens": 2, **fields}}).encode()).usage


@pytest.mark.parametrize(
    ("fields", "terms"),
    [
        ({"service_tier": "standard", "speed": "standard", "inference_geo": "global"}, Terms()),
        ({"service_tier": None, "inference_geo": "not_available"}, Terms()),
        ({"service_tier": "batch"}, Terms(tier="batch")),
        ({"service_tier": "priority", "speed": "fast"}, Terms(tier="priority", speed="fast")),
        ({"inference_geo": "us", "speed": ""}, Terms(geo="us")),
    ],
)
def test_terms_are_what_is_not_usual(fields: dict[str, object], terms: Terms) -> None:
    assert usage_of(**fields) == Usage(0, 2, terms=terms)


def test_searches_are_counted_and_fetches_are_free() -> None:
    tools = {"web_search_requests": 3, "web_fetch_requests": 5}
    assert usage_of(server_tool_use=tools) == Usage(0, 2, web_searches=3)
    assert usage_of(server_tool_use=None) == Usage(0, 2)


def step(kind: str, tokens: int, **more: object) -> dict[str, object]:
    cached = {"cache_creation_input_tokens": 5, "cache_read_input_tokens": 6}
    return {"type": kind, "input_tokens": tokens, "output_tokens": 1, **cached, **more}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], ()),
        ([step("message", 9, model="m")], ()),
        ([step("compaction", 9)], ((None, Usage(9, 1, 5, 0, 6)),)),
        (
            [step("compaction", 9), step("message", 8, model="m")],
            ((None, Usage(9, 1, 5, 0, 6)), (None, Usage(8, 1, 5, 0, 6))),
        ),
        (
            [
                step("message", 9),
                step("advisor_message", 7, model="wise"),
                step("message", 8, cache_creation={"ephemeral_1h_input_tokens": 5}),
            ],
            (
                (None, Usage(9, 1, 5, 0, 6)),
                ("wise", Usage(7, 1, 5, 0, 6)),
                (None, Usage(8, 1, 0, 5, 6)),
            ),
        ),
        ([step("message", 9), step("advisor_message", 7)],
         ((None, Usage(9, 1, 5, 0, 6)), ("", Usage(7, 1, 5, 0, 6)))),
    ],
)  # fmt: skip
def test_steps_are_kept_where_the_sum_does_not_tell(
    steps: list[object], expected: tuple[tuple[str | None, Usage], ...]
) -> None:
    assert usage_of(iterations=steps) == Usage(0, 2, steps=expected)


def test_way_back_to_another_model_is_told_as_a_term() -> None:
    found = usage_of(iterations=[step("message", 9), step("fallback_message", 8)])
    assert found is not None
    assert found.terms == Terms(other="fallback_message")


COUNTS = st.none() | st.integers(0, 9)
TERMS = st.sampled_from([None, "", "standard", "fast", "batch", "us"])
USAGES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("input_tokens", "output_tokens"), COUNTS),
        **dict.fromkeys(("cache_creation_input_tokens", "cache_read_input_tokens"), COUNTS),
        "cache_creation": st.none()
        | st.fixed_dictionaries(
            {},
            optional={f"ephemeral_{life}_input_tokens": COUNTS for life in ("5m", "1h")},
        ),
        "server_tool_use": st.none() | st.fixed_dictionaries({"web_search_requests": COUNTS}),
        **dict.fromkeys(("service_tier", "speed", "inference_geo"), TERMS),
        "iterations": st.none() | st.just([]) | st.just([step("compaction", 3)]),
    },
)


@given(st.lists(USAGES, min_size=1, max_size=4))
def test_several_usage_objects_say_the_largest_counts_and_the_last_words(
    told: list[dict[str, Any]],
) -> None:
    tally = Tally()
    for one in told:
        tally.read(json.dumps({"usage": one}).encode())

    def largest(name: str, *within: str) -> int:
        parts = told
        for part in within:
            parts = [one.get(part) or {} for one in parts]
        return max(one.get(name) or 0 for one in parts)

    def last(name: str) -> Any:  # Any: JSON
        return next((one[name] for one in reversed(told) if one.get(name)), None)

    outputs = [one["output_tokens"] for one in told if one.get("output_tokens") is not None]
    minutes, hour = (
        largest(f"ephemeral_{life}_input_tokens", "cache_creation") for life in ("5m", "1h")
    )
    words = (last(name) for name in ("service_tier", "speed", "inference_geo"))
    found = tally.usage()
    assert found == Usage(
        largest("input_tokens"),
        outputs[-1] if outputs else 0,
        max(minutes, largest("cache_creation_input_tokens") - hour),
        hour,
        largest("cache_read_input_tokens"),
        largest("web_search_requests", "server_tool_use"),
        Terms(*(None if word == "standard" else word for word in words)),
        ((None, Usage(3, 1, 5, 0, 6)),) if last("iterations") else (),
    )


@given(USAGES)
def test_one_usage_object_says_what_it_says_twice(told: dict[str, Any]) -> None:
    body = json.dumps({"model": "m", "usage": told}).encode()
    tally = Tally()
    assert [tally.read(body), tally.read(body)] == ["m", "m"]
    assert read_message(body) == Reading(tally.usage(), "m")
