"""What is changed so that another model accepts a request: each rule, and the whole at the body."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway import resources
from gateway.overrides.adaptation import EFFORTS, Adaptation, Obstacle, adapt
from gateway.overrides.capabilities import Capabilities, Capability
from gateway.overrides.shape import Shape, read_betas, read_shape
from gateway.wire.body import Body
from gateway.wire.http import Head, Header, Request

TABLE = Capabilities.parse(resources.capabilities())
INTERLEAVED = "interleaved-thinking-2025-05-14"

OLD = Capability(
    context_tokens=200_000,
    max_output_tokens=64_000,
    effort=(),
    message_effort=False,
    thinking=("enabled", "disabled"),
    system_messages=False,
    unsupported_betas=("effort-2025-11-24", "context-1m-2025-08-07"),
)
NEW = Capability(
    max_output_tokens=128_000,
    effort=("low", "medium", "high", "max"),
    message_effort=True,
    thinking=("adaptive",),
    sampling=False,
    forced_tool_choice=False,
)


def asked(body: Mapping[str, object], *betas: str) -> tuple[Body, Request]:
    """Return a request as the gateway has it."""
    data = json.dumps({"model": "m", **body}).encode()
    headers = tuple((b"anthropic-beta", beta.encode()) for beta in betas)
    return Body(data), Request(Head(b"POST", b"/v1/messages", headers), data, 0)


def adapted(
    body: Mapping[str, object], target: Capability, *betas: str
) -> tuple[dict[str, object], Adaptation]:
    """Return what a body becomes and how; what it becomes has to need no change any more."""
    parsed, request = asked(body, *betas)
    found = adapt(read_shape(parsed, read_betas(request.head)), target)
    assert found.skipped is None
    sent = Body(parsed.forwarded("m", found.edits))
    headers = found.headers(request.headers)
    head = Head(request.method, request.target, headers)
    again = structs.replace(request, head=head, body=sent.forwarded("m"))
    assert adapt(read_shape(sent, read_betas(again.head)), target) == Adaptation()
    document: dict[str, object] = json.loads(sent.forwarded("m"))
    del document["model"]
    return document, found


def thinking(kind: str, **rest: object) -> dict[str, object]:
    return {"thinking": {"type": kind, **rest}}


def effort(value: str, **rest: object) -> dict[str, object]:
    return {"output_config": {"effort": value, **rest}}


@pytest.mark.parametrize(
    ("body", "target", "sent", "words"),
    [
        # effort
        (effort("high"), NEW, effort("high"), ()),
        (effort("xhigh"), NEW, effort("high"), ("effort",)),
        (effort("minimal"), NEW, effort("low"), ("effort",)),
        (effort("none"), NEW, {}, ("effort",)),
        (effort("turbo"), NEW, {}, ("effort",)),
        (effort("high"), OLD, {}, ("effort",)),
        (
            effort("high", format={"a": 1}),
            OLD,
            {"output_config": {"format": {"a": 1}}},
            ("effort",),
        ),
        (effort("high"), Capability(), effort("high"), ()),
        ({"output_config": {}}, OLD, {"output_config": {}}, ()),
        ({"reasoning_effort": "xhigh"}, NEW, {"reasoning_effort": "high"}, ("effort",)),
        ({"reasoning_effort": "high"}, OLD, {}, ("effort",)),
        ({"reasoning_effort": "none"}, OLD, {"reasoning_effort": "none"}, ()),
        ({"reasoning_effort": "none"}, NEW, {}, ("effort",)),
        # thinking
        (thinking("adaptive"), NEW, thinking("adaptive"), ()),
        (thinking("adaptive"), Capability(), thinking("adaptive"), ()),
        (thinking("adaptive"), Capability(thinking=("disabled",)), {}, ("thinking",)),
        (
            thinking("adaptive", display="omitted") | {"max_tokens": 64_000},
            OLD,
            thinking("enabled", display="omitted", budget_tokens=32_000) | {"max_tokens": 64_000},
            ("thinking",),
        ),
        (
            thinking("adaptive") | {"max_tokens": 128_000},
            replace(OLD, max_output_tokens=8192),
            thinking("enabled", budget_tokens=4096) | {"max_tokens": 8192},
            ("thinking", "max_tokens"),
        ),
        (
            thinking("adaptive"),  # a token count names no limit
            replace(OLD, max_thinking_tokens=9000),
            thinking("enabled", budget_tokens=9000),
            ("thinking",),
        ),
        (thinking("adaptive") | {"max_tokens": 2047}, OLD, {"max_tokens": 2047}, ("thinking",)),
        (
            thinking("adaptive") | {"max_tokens": 9000, "tool_choice": {"type": "any"}},
            OLD,
            {"max_tokens": 9000, "tool_choice": {"type": "any"}},
            ("thinking",),
        ),
        (
            thinking("enabled", budget_tokens=9000, display="omitted"),
            NEW,
            thinking("adaptive", display="omitted"),
            ("thinking",),
        ),
        (thinking("disabled"), NEW, {}, ("thinking",)),
        (
            thinking("disabled"),
            Capability(thinking=("between_tools",)),
            thinking("between_tools"),
            ("thinking",),
        ),
        (thinking("between_tools"), OLD, thinking("disabled"), ("thinking",)),
        (thinking("mystic"), NEW, {}, ("thinking",)),
        # budgets
        (
            thinking("enabled", budget_tokens=127_999) | {"max_tokens": 128_000},
            OLD,
            thinking("enabled", budget_tokens=63_999) | {"max_tokens": 64_000},
            ("thinking", "max_tokens"),
        ),
        (
            thinking("enabled", budget_tokens=9000),
            replace(OLD, max_thinking_tokens=8000),
            thinking("enabled", budget_tokens=8000),
            ("thinking",),
        ),
        (
            thinking("enabled", budget_tokens=5000) | {"max_tokens": 9000},
            replace(OLD, max_output_tokens=1024),
            {"max_tokens": 1024},
            ("thinking", "max_tokens"),
        ),
        (
            thinking("enabled", budget_tokens=5000) | {"max_tokens": 9000},
            replace(OLD, thinking=("adaptive", "enabled"), max_output_tokens=1024),
            thinking("adaptive") | {"max_tokens": 1024},
            ("thinking", "max_tokens"),
        ),
        (thinking("enabled"), OLD, thinking("enabled"), ()),
        (
            thinking("enabled", budget_tokens=5000) | {"max_tokens": 9000},
            Capability(max_output_tokens=4000),
            thinking("enabled", budget_tokens=3999) | {"max_tokens": 4000},
            ("thinking", "max_tokens"),
        ),
        # effort while thinking is off
        (
            thinking("disabled") | effort("max"),
            Capability(
                effort=("low", "high", "max"),
                effort_without_thinking=("low", "high"),
                thinking=("disabled",),
            ),
            thinking("disabled") | effort("high"),
            ("effort",),
        ),
        (
            thinking("disabled") | effort("max"),
            Capability(effort=("max",), effort_without_thinking=("low",), thinking=("adaptive",)),
            effort("max"),
            ("thinking",),
        ),
        # max_tokens
        ({"max_tokens": 64_001}, OLD, {"max_tokens": 64_000}, ("max_tokens",)),
        ({"max_tokens": 64_000}, OLD, {"max_tokens": 64_000}, ()),
        ({"max_tokens": 1e9}, OLD, {"max_tokens": 1e9}, ()),
        (
            {"max_completion_tokens": 99_999},
            OLD,
            {"max_completion_tokens": 64_000},
            ("max_tokens",),
        ),
        # what stands elsewhere, or has another type
        ({"thinking": "adaptive"}, OLD, {"thinking": "adaptive"}, ()),
        ({"x": effort("high")}, OLD, {"x": effort("high")}, ()),
    ],
)
def test_request_is_changed_where_the_target_needs_it(
    body: Mapping[str, object],
    target: Capability,
    sent: Mapping[str, object],
    words: Sequence[str],
) -> None:
    document, found = adapted(body, target)
    assert (document, found.words) == (sent, words)


@pytest.mark.parametrize(
    ("betas", "budget"), [((), 8999), ((INTERLEAVED,), 20_000), (("x," + INTERLEAVED,), 20_000)]
)
def test_budget_of_interleaved_thinking_may_exceed_the_answer(
    betas: tuple[str, ...], budget: int
) -> None:
    body = thinking("enabled", budget_tokens=20_000) | {"max_tokens": 9000}
    document, _ = adapted(body, OLD, *betas)
    assert document["thinking"] == {"type": "enabled", "budget_tokens": budget}


def test_budget_follows_a_lowered_limit_although_thinking_is_interleaved() -> None:
    body = thinking("enabled", budget_tokens=99_999) | {"max_tokens": 100_000}
    document, found = adapted(body, OLD, INTERLEAVED)
    assert document == thinking("enabled", budget_tokens=63_999) | {"max_tokens": 64_000}
    assert found.words == ("thinking", "max_tokens")


def turn(role: str, content: object = "hi", **rest: object) -> dict[str, object]:
    return {"role": role, "content": content, **rest}


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        (replace(NEW, message_effort=False), False),
        (replace(NEW, effort=("low",)), False),
        (replace(NEW, effort=None), True),
        (NEW, True),
    ],
)
def test_efforts_of_messages_go_together(target: Capability, *, kept: bool) -> None:
    low, high = effort("low"), effort("high")
    messages = [turn("user"), turn("system", **low), turn("system", [], **high), turn("user")]
    document, found = adapted({"messages": messages}, target)
    without = [turn("user"), turn("system"), turn("user")]
    assert document["messages"] == (messages if kept else without)
    assert found.words == (() if kept else ("effort",))


@pytest.mark.parametrize(
    ("body", "target", "obstacle"),
    [
        (
            {"messages": [turn("user", "x" * 4000)]},
            Capability(context_tokens=1000),
            Obstacle.CONTEXT_WINDOW,
        ),
        (
            {"messages": [turn("user"), turn("system")]},
            OLD,
            Obstacle.SYSTEM_MESSAGES,
        ),
        ({"temperature": 0.2} | effort("xhigh"), NEW, Obstacle.SAMPLING),
        ({"tool_choice": {"type": "tool", "name": "t"}}, NEW, Obstacle.TOOL_CHOICE),
        ({"tool_choice": "required"}, NEW, Obstacle.TOOL_CHOICE),
        ({"tool_choice": {"type": "function"}}, NEW, Obstacle.TOOL_CHOICE),
    ],
)
def test_request_that_no_change_makes_fit_is_left_alone(
    body: Mapping[str, object], target: Capability, obstacle: Obstacle
) -> None:
    parsed, request = asked(body)
    found = adapt(read_shape(parsed, read_betas(request.head)), target)
    assert found == Adaptation(skipped=obstacle)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [turn("system"), turn("user")]},
        {"temperature": 1, "top_p": 1.0},
        {"tool_choice": {"type": "auto"}},
        {"tool_choice": "auto"},
        {"messages": [turn("user", "x" * 3000)]},
    ],
)
def test_common_request_meets_no_obstacle(body: Mapping[str, object]) -> None:
    parsed, request = asked(body)
    target = replace(NEW, system_messages=False, context_tokens=1000)
    assert adapt(read_shape(parsed, read_betas(request.head)), target) == Adaptation()


def test_unknown_model_is_never_adapted() -> None:
    shape = Shape(effort="max", thinking="mystic", max_tokens=10**9, betas=("x",), sampling=("x",))
    assert adapt(shape, None) == adapt(shape, Capability()) == Adaptation()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((b"a,effort-2025-11-24, b",), (b"a, b",)),
        ((b"effort-2025-11-24 ,a",), (b"a",)),
        ((b" effort-2025-11-24", b"a"), (b"a",)),
        ((b"a", b"context-1m-2025-08-07,effort-2025-11-24,a"), (b"a", b"a")),
        ((b"a , b",), (b"a , b",)),
        ((b"effort-2025-11-24x",), (b"effort-2025-11-24x",)),
    ],
)
def test_betas_the_target_does_not_take_are_left_out(
    before: tuple[bytes, ...], after: tuple[bytes, ...]
) -> None:
    def headers(values: tuple[bytes, ...]) -> tuple[Header, ...]:
        betas = tuple((b"anthropic-beta", value) for value in values)
        return ((b"x-app", b"effort-2025-11-24"), *betas, (b"host", b"h"))

    request = Request(Head(b"POST", b"/v1/messages", headers(before)), b"", 0)
    found = adapt(read_shape(Body(b'{"model":"m"}'), read_betas(request.head)), OLD)
    assert found.headers(request.headers) == headers(after)
    changed = {word.partition(":")[2].encode() for word in found.words}
    assert changed == {beta.strip() for value in before for beta in value.split(b",")} - {
        beta.strip() for value in after for beta in value.split(b",")
    }


def test_beta_is_named_once_in_the_record() -> None:
    shape = Shape(betas=("effort-2025-11-24", "a", "effort-2025-11-24"))
    assert adapt(shape, OLD).words == ("beta:effort-2025-11-24",)


def test_headers_stay_the_same_object_without_such_a_beta() -> None:
    headers = ((b"anthropic-beta", b"a,b"),)
    assert Adaptation().headers(headers) is headers


BODIES: st.SearchStrategy[dict[str, object]] = st.builds(
    dict,
    output_config=st.fixed_dictionaries(
        {}, optional={"effort": st.sampled_from([*EFFORTS, "turbo"]), "format": st.just({"a": 1})}
    ),
    reasoning_effort=st.sampled_from([*EFFORTS, None]),
    thinking=st.fixed_dictionaries(
        {"type": st.sampled_from(["adaptive", "enabled", "disabled", "between_tools", "new"])},
        optional={"budget_tokens": st.integers(0, 200_000), "display": st.just("omitted")},
    ),
    max_tokens=st.integers(1, 200_000),
    tool_choice=st.sampled_from([{"type": "auto"}, {"type": "any"}]),
    messages=st.lists(
        st.builds(
            turn,
            st.sampled_from(["user", "assistant"]),
            st.sampled_from(["", "hi"]),
            output_config=st.fixed_dictionaries({}, optional={"effort": st.sampled_from(EFFORTS)}),
        ),
        max_size=3,
    ),
)
MODELS = sorted(resources.capabilities()["models"])


@given(
    body=BODIES.flatmap(
        lambda whole: st.sets(st.sampled_from(sorted(whole))).map(
            lambda names: {name: whole[name] for name in names}
        )
    ),
    model=st.sampled_from(MODELS),
    betas=st.lists(st.sampled_from([INTERLEAVED, "effort-2025-11-24", "other"]), max_size=3),
)
def test_adapted_request_needs_no_change_and_is_valid(
    body: dict[str, object], model: str, betas: list[str]
) -> None:
    target = TABLE.of(model)
    assert target is not None
    target = replace(target, forced_tool_choice=None)
    document, found = adapted(body, target, *betas)
    assert set(body) - set(document) <= {"thinking", "output_config", "reasoning_effort"}
    if not found.changes:
        assert document == body
    new = document.get("thinking")
    if "thinking" in found.words and isinstance(new, dict) and new["type"] == "enabled":
        assert 1024 <= new["budget_tokens"] < document.get("max_tokens", 200_001)
