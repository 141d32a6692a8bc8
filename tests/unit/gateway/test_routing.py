"""Routing, model names, circuits, the retry budget: tables and clocks, no sockets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.breakers import (
    FAILURES_TO_OPEN,
    FIRST_OPEN_S,
    LAST_OPEN_S,
    MAX_CIRCUITS,
    Circuits,
    CircuitState,
    RetryBudget,
    back_off_s,
    parse_retry_after,
)
from gateway.config.settings import ProviderSettings, RoutingSettings
from gateway.overrides.rules import Overrides
from gateway.routing import ModelNames, RequestFacts, Route, Router

ROUTER = Router(
    RoutingSettings(
        default_provider="home",
        agent_rules=(("Code-Reviewer", "azure"), ("qa", "openai")),
        tier_rules=(
            ("opus", "anthropic"),
            ("gpt35", "azure"),
            ("gpt4", "openai"),
            ("llama", "tgi"),
        ),
        patterns=(("^local-", "vllm"), ("local", "ollama")),
        fallback_chain=("anthropic", "azure", "home"),
    )
)


@pytest.mark.parametrize(
    ("agent", "inferred", "model", "provider", "reason"),
    [
        ("code-reviewer", False, "claude-opus-4", "azure", "agent_rule:code-reviewer"),
        ("code-reviewer", True, "claude-opus-4", "anthropic", "model_tier:opus"),
        ("code-reviewer", True, "local-x", "vllm", "model_pattern:^local-"),
        ("code-reviewer", True, "other", "azure", "inferred_agent:code-reviewer"),
        ("code-review", False, "other", "home", "default"),
        ("main", False, "Claude-OPUS-4-8", "anthropic", "model_tier:opus"),
        ("main", False, "claude-sonnet-4", "home", "default"),
        ("main", False, "gpt-3.5-turbo", "azure", "model_tier:gpt35"),
        ("main", False, "gpt-4o", "openai", "model_tier:gpt4"),
        ("main", False, "Meta-Llama-3", "tgi", "model_tier:llama"),
        ("main", False, "very-local-x", "ollama", "model_pattern:local"),
        ("main", False, "", "home", "default"),
    ],
)
def test_route_and_reason(
    agent: str, *, inferred: bool, model: str, provider: str, reason: str
) -> None:
    chain = tuple(name for name in ("anthropic", "azure", "home") if name != provider)
    assert ROUTER.route(RequestFacts(agent, inferred, model)) == Route(provider, reason, chain)


def test_without_rules_everything_is_default() -> None:
    found = Router(RoutingSettings()).route(RequestFacts("qa", False, "claude-opus-4"))
    assert found == Route("anthropic", "default")


ALIASES = (("claude-sonnet-4-5", "own-sonnet"), ("haiku", "own-haiku"), ("gpt4", "own-gpt"))


@pytest.mark.parametrize(
    ("vendor", "default", "aliases", "model", "name"),
    [
        ("openai", "gpt-5", ALIASES, "claude-sonnet-4-5", "own-sonnet"),
        ("openai", "gpt-5", ALIASES, "claude-haiku-4-5-20251001", "own-haiku"),
        ("openai", "gpt-5", ALIASES, "claude-opus-4-8", "gpt-5"),
        ("openai", "gpt-5", ALIASES, "gpt-4o", "own-gpt"),
        ("openai", "gpt-5", (), "gpt-4o", "gpt-4o"),
        ("openai", "gpt-5", (), "o3-mini", "o3-mini"),
        ("openai", "gpt-5", (), "deepseek-chat", "gpt-5"),
        ("openai", "gpt-5", (), "anything-else", "anything-else"),
        ("openai", None, (), "claude-opus-4-8", "claude-opus-4-8"),
        ("anthropic", "claude-x", (), "claude-opus-4-8", "claude-opus-4-8"),
        ("anthropic", "claude-x", (), "gpt-5", "claude-x"),
        ("deepseek", "deepseek-chat", (), "claude-opus-4-8", "deepseek-chat"),
        ("deepseek", "deepseek-chat", (), "deepseek-reasoner", "deepseek-reasoner"),
        (None, "llama", (), "claude-opus-4-8", "llama"),
        (None, "llama", (), "gpt-4o", "llama"),
        (None, "llama", (), "deepseek-coder", "deepseek-coder"),
        (None, "llama", (), "qwen3", "qwen3"),
    ],
)
def test_provider_is_asked_for_a_model_it_knows(
    vendor: str | None,
    default: str | None,
    aliases: tuple[tuple[str, str], ...],
    model: str,
    name: str,
) -> None:
    settings = ProviderSettings(default_model=default, model_aliases=aliases)
    assert ModelNames(settings, vendor).name(model) == name


@pytest.mark.parametrize(
    ("model", "agent", "target"),
    [
        ("a", "main", "b"),
        ("a", "QA", "agent-model"),
        ("other", "qa", "agent-model"),
        ("agent-model", "qa", None),
        ("a", "unruled", "b"),
        ("other", "unruled", None),
    ],
)
def test_agent_rule_comes_before_the_blanket_rules(
    model: str, agent: str, target: str | None
) -> None:
    rules = Overrides([("a", "b")], [("qa", "agent-model"), ("Qa", "later")])
    assert rules.target(model, agent) == target


def opened() -> Circuits:
    circuits = Circuits()
    for _ in range(FAILURES_TO_OPEN):
        circuits.of("p", "m").failed(0.0)
    return circuits


def test_circuit_opens_after_failures_in_a_row_and_only_then() -> None:
    circuit = Circuits().of("p", "m")
    for _ in range(FAILURES_TO_OPEN - 1):
        circuit.failed(0.0)
    assert circuit.allows(0.0)
    circuit.succeeded()
    for _ in range(FAILURES_TO_OPEN - 1):
        circuit.failed(0.0)
    assert circuit.allows(0.0)
    circuit.failed(0.0)
    assert circuit.state is CircuitState.OPEN
    assert not circuit.allows(FIRST_OPEN_S - 0.1)


def test_one_request_tries_a_circuit_whose_time_is_over() -> None:
    circuit = opened().of("p", "m")
    assert circuit.allows(FIRST_OPEN_S)
    assert circuit.state is CircuitState.HALF_OPEN
    assert not circuit.allows(FIRST_OPEN_S), "the others wait for its result"
    assert circuit.allows(2 * FIRST_OPEN_S), "but not for ever"
    circuit.succeeded()
    assert circuit.allows(2 * FIRST_OPEN_S)
    assert circuit.allows(2 * FIRST_OPEN_S)


def test_circuit_stays_open_longer_each_time() -> None:
    circuit = opened().of("p", "m")
    now = 0.0
    for expected_s in (5.0, 10.0, 20.0, 40.0, LAST_OPEN_S, LAST_OPEN_S):
        assert not circuit.allows(now + expected_s - 0.1)
        now += expected_s
        assert circuit.allows(now)
        circuit.failed(now)
    assert circuit.state is CircuitState.OPEN


def test_failure_of_a_request_sent_earlier_does_not_prolong_an_open_circuit() -> None:
    circuit = opened().of("p", "m")
    circuit.failed(FIRST_OPEN_S - 0.1)
    assert circuit.allows(FIRST_OPEN_S)


def test_circuits_are_per_provider_and_model_and_bounded() -> None:
    circuits = opened()
    circuits.of("p", "n")
    circuits.of("q", "m")
    assert circuits.states("p") == {"m": CircuitState.OPEN, "n": CircuitState.CLOSED}
    for number in range(MAX_CIRCUITS):
        circuits.of("p", "m")
        circuits.of("r", str(number))
    assert circuits.states("q") == {}
    assert circuits.states("p") == {"m": CircuitState.OPEN}
    assert len(circuits.states("r")) == MAX_CIRCUITS - 1


def test_retries_are_a_tenth_of_all_requests_and_a_burst() -> None:
    budget = RetryBudget(share=0.1, burst=5)
    retries = 0
    for _ in range(1000):
        budget.earn()
        retries += budget.spend()
    assert 100 <= retries <= 105


@pytest.mark.parametrize(
    ("attempt", "asked_s", "jitter", "wait_s"),
    [
        (1, None, 0.0, 0.25),
        (1, None, 1.0, 0.5),
        (2, None, 1.0, 1.0),
        (9, None, 1.0, 8.0),
        (1, 0, 0.5, 0),
        (1, 20, 0.0, 20),
        (1, 20, 1.0, 22),
        (1, 60, 0.0, 60),
        (1, 61, 0.0, None),
    ],
)
def test_wait_grows_and_honours_the_provider(
    attempt: int, asked_s: float | None, jitter: float, wait_s: float | None
) -> None:
    assert back_off_s(attempt, asked_s, jitter) == wait_s


NOW = 784_111_757  # Sun, 06 Nov 1994 08:49:17 GMT, 20 s before RFC 9110's own example


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, None, None),
        (b"7", None, 7),
        (b"0", None, 0),
        (b"1.5", None, 1.5),
        (b"0.25", None, 0.25),
        (b"", None, None),
        (b".5", None, None),
        (b"1.", None, None),
        (b"-1", None, None),
        (b"1e3", None, None),
        (b"1" * 10, None, None),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", None, 20),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", None, 20),
        (b"Sun Nov  6 08:49:37 1994", None, 20),
        (b"Sun, 06 Nov 1994 08:49:17 GMT", None, 0),
        (b"Sun, 06 Nov 1994 08:00:00 GMT", None, 0),
        (b"Sun, 06 Nov 1994 09:49:37 GMT", b"Sun, 06 Nov 1994 09:49:33 GMT", 4),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", b"now", 20),
        (b"Wed, 21 Oct", None, None),
        (b"Sun, 06 Foo 1994 08:49:37 GMT", None, None),
        (b"Sun, 06 Nov 99999 08:49:37 GMT", None, None),
        (b"soon \xff", None, None),
        (b"Sun, 06 Nov 1994 08:49:37 GMT" + b" " * 64, None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(
    value: bytes | None, date: bytes | None, seconds: float | None
) -> None:
    assert parse_retry_after(value, date, NOW) == seconds


@given(value=st.binary(max_size=80) | st.from_regex(rb"\w{3}, \d+ (Nov|Feb) \d+ [\d:]+ \S+"))
def test_whatever_retry_after_says_is_read_without_an_error(value: bytes) -> None:
    found = parse_retry_after(value, value, NOW)
    assert found is None or found >= 0
