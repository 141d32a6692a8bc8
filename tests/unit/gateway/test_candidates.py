"""Which model a request is for and who is asked, by the rules and by what the request is."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway import resources
from gateway.agents.identity import Agent, AgentSource
from gateway.candidates import MAX_KNOWN, MAX_PLANS, Asked, Policy
from gateway.config.settings import ProviderSettings, RoutingSettings
from gateway.links import open_links
from gateway.overrides.adaptation import UNCHANGED, adapt
from gateway.overrides.capabilities import Capabilities, Capability
from gateway.overrides.rollout import ApplyTo, Rollout
from gateway.overrides.rules import Overrides
from gateway.overrides.shape import Shape
from gateway.routing import Router
from gateway.wire.formats import Wire

ASKED = Asked(Agent("main", AgentSource.THREAD), "big", Shape(), "session-1")
KNOWN = Capabilities(
    {
        "claude-haiku": Capability(context_tokens=1000, max_output_tokens=64, thinking=()),
        "a-big": Capability(context_tokens=10),
        "claude-opus": Capability(context_tokens=4000),
    }
)
PROVIDERS = (
    ProviderSettings(name="a", max_retries=3, model_aliases=(("big", "a-big"),)),
    ProviderSettings(name="b", type="openai", api_key_ref="env:KEY"),
    ProviderSettings(name="c", type="ollama"),
)
LINKS = open_links(PROVIDERS, {"KEY": "k"})  # once: each reads all certificates that it trusts


def policy(
    *, reverts: bool = True, subscriptions: bool = False, rollout: Rollout | None = None
) -> Policy:
    routing = RoutingSettings("a", tier_rules=(("haiku", "b"),), fallback_chain=("b", "c"))
    return Policy(
        links=LINKS,
        router=Router(routing),
        overrides=Overrides([("claude-opus", "claude-haiku")]),
        rollout=rollout or Rollout(),
        capabilities=KNOWN,
        reverts=reverts,
        subscription_fallback=subscriptions,
    )


BY_CHAIN = ("big", "fallback:a", 2)
HAIKU_AT_B = ("b", "claude-haiku", "model_tier:haiku")


@pytest.mark.parametrize(
    ("rules", "model", "subscription", "expected"),
    [
        (
            policy(),
            "big",
            False,
            [("a", "a-big", "default", 3), ("b", *BY_CHAIN), ("c", *BY_CHAIN)],
        ),
        (
            policy(),
            "claude-opus",
            False,
            [
                (*HAIKU_AT_B, 0),
                ("a", "claude-opus", "default", 3),
                ("c", "claude-haiku", "fallback:b", 2),
            ],
        ),
        (
            policy(reverts=False),
            "claude-opus",
            False,
            [(*HAIKU_AT_B, 2), ("c", "claude-haiku", "fallback:b", 2)],
        ),
        (policy(), "big", True, [("a", "a-big", "default", 3), ("c", "big", "fallback:a", 2)]),
        (policy(subscriptions=True), "big", True, [
            ("a", "a-big", "default", 3), ("b", *BY_CHAIN), ("c", *BY_CHAIN)]),
    ],
    ids=["chain", "override-reverts", "override-fails", "subscriber", "subscriber-may"],
)  # fmt: skip
def test_candidates_in_order(
    rules: Policy, model: str, *, subscription: bool, expected: list[tuple[str, str, str, int]]
) -> None:
    asked = replace(ASKED, requested=model, subscription=subscription)
    found = rules.choose(asked).candidates
    assert [(one.link.name, one.model, one.reason, one.retries) for one in found] == expected


def test_decisions_are_kept_within_bounds() -> None:
    rules = policy()
    for number in range(MAX_KNOWN + 5):
        rules.choose(replace(ASKED, requested=f"m{number}"))
    assert len(rules.known) == 5
    long = rules.choose(replace(ASKED, requested="m" * 1000))
    assert (long.candidates[0].chosen, len(rules.known)) == ("m" * 1000, 5)


@pytest.mark.parametrize(
    ("shape", "chosen", "adapted", "left"),
    [
        (Shape(), "claude-haiku", (), None),
        (Shape(max_tokens=65), "claude-haiku", ("max_tokens",), None),
        (Shape(max_tokens=64, thinking="adaptive"), "claude-haiku", ("thinking",), None),
        (Shape(context_tokens=1001), "claude-opus", (), "context_window"),
        (Shape(context_tokens=4001), "claude-haiku", (), None),
    ],
    ids=["fits", "too-long-an-answer", "thinking", "too-long-a-prompt", "too-long-for-both"],
)
def test_overridden_request_is_adapted_or_left(
    shape: Shape, chosen: str, adapted: tuple[str, ...], left: str | None
) -> None:
    choice = policy().choose(replace(ASKED, requested="claude-opus", shape=shape))
    first = choice.candidates[0]
    assert (first.chosen, first.adaptation.words, choice.left) == (chosen, adapted, left)
    own = [one for one in choice.candidates if one.model == "claude-opus"]
    assert own
    assert all(one.adaptation.changes == () for one in own)


def test_fallback_that_cannot_read_the_prompt_is_left_out_only_for_an_override() -> None:
    long = Shape(context_tokens=3000)
    overridden = policy().choose(replace(ASKED, requested="claude-opus", shape=long))
    assert "claude-haiku" not in {one.chosen for one in overridden.candidates}
    # Nobody else can be asked for a model that the client itself names.
    own = policy().choose(replace(ASKED, requested="big", shape=long))
    assert [one.model for one in own.candidates] == ["a-big", "big", "big"]


@pytest.mark.parametrize(
    ("rollout", "bound", "chosen", "left"),
    [
        (Rollout(percent=0), None, "claude-opus", "not_in_share"),
        (Rollout(agents=("Plan",)), None, "claude-opus", "agent_not_selected"),
        (Rollout(ApplyTo.NEW_SESSIONS), None, "claude-haiku", None),
        (Rollout(ApplyTo.NEW_SESSIONS), "claude-haiku", "claude-haiku", None),
        (Rollout(ApplyTo.NEW_SESSIONS), "claude-opus", "claude-opus", "live_session"),
        (Rollout(ApplyTo.NEW_SESSIONS), "older", "older", "live_session"),
    ],
)
def test_rollout_decides_before_the_rules(
    rollout: Rollout, bound: str | None, chosen: str, left: str | None
) -> None:
    choice = policy(rollout=rollout).choose(replace(ASKED, requested="claude-opus"), bound)
    assert (choice.candidates[0].chosen, choice.left) == (chosen, left)


@pytest.mark.parametrize(
    ("apply_to", "model", "asks"),
    [
        (ApplyTo.ALL, "claude-opus", False),
        (ApplyTo.NEW_SESSIONS, "claude-opus", True),
        (ApplyTo.NEW_SESSIONS, "big", False),
    ],
)
def test_binding_is_asked_for_only_where_it_matters(
    apply_to: ApplyTo, model: str, *, asks: bool
) -> None:
    rules = policy(rollout=Rollout(apply_to))
    assert rules.asks_for_binding(replace(ASKED, requested=model)) is asks


AGENTS = (
    Agent("main", AgentSource.THREAD),
    Agent("reviewer", AgentSource.HEADER),
    Agent("reviewer", AgentSource.MARKER),
)
ASKING = st.builds(
    Asked,
    agent=st.sampled_from(AGENTS),
    requested=st.sampled_from(["claude-opus", "claude-haiku", "big", "other"]),
    shape=st.builds(
        Shape,
        thinking=st.sampled_from([None, "adaptive", "disabled"]),
        max_tokens=st.sampled_from([None, 64, 65]),
        context_tokens=st.sampled_from([None, 10, 11, 1000, 1001, 4000, 4001]),
    ),
    unit=st.sampled_from([f"session-{number}" for number in range(8)]),
    subscription=st.booleans(),
    wire=st.sampled_from([Wire.MESSAGES, Wire.CHAT]),
)
TURNS = st.lists(st.tuples(ASKING, st.sampled_from([None, "claude-opus", "older"])), max_size=12)
ROLLOUTS = (
    Rollout(),
    Rollout(percent=50),
    Rollout(ApplyTo.NEW_SESSIONS),
    Rollout(agents=("main",)),
)


@given(rollout=st.sampled_from(ROLLOUTS), turns=TURNS)
def test_remembered_decision_is_the_same_as_a_new_one(
    rollout: Rollout, turns: list[tuple[Asked, str | None]]
) -> None:
    seasoned = policy(rollout=rollout)
    for asked, bound in turns:
        fresh = forgetful(seasoned)
        assert seasoned.choose(asked, bound) == fresh.choose(asked, bound)


def forgetful(rules: Policy) -> Policy:
    """Return the same rules with nothing remembered."""
    return dataclasses.replace(rules, known={})


@given(asked=ASKING)
def test_whoever_is_asked_gets_what_it_needs_changed(asked: Asked) -> None:
    rules = policy()
    for one in rules.choose(asked).candidates:
        as_it_is = one.model == asked.requested and one.link.wire is asked.wire
        known = None if as_it_is else rules.capability(one)
        needed = adapt(asked.shape, known, KNOWN.of(asked.requested))
        unfit = needed.skipped is not None and one.chosen == asked.requested
        assert one.adaptation == (UNCHANGED if unfit else needed)


TABLE = Capabilities.parse(resources.capabilities())
UNADAPTED: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("wire", "provider", "model", "shape", "adapted"),
    [
        # In its own format a request goes as it is, whatever the model makes of it.
        (Wire.CHAT, "b", "gpt-4o", Shape(effort="high", max_tokens=64_000), UNADAPTED),
        (Wire.MESSAGES, "a", "claude-haiku-4-5", Shape(effort="high"), UNADAPTED),
        # In another it says what the model takes.
        (
            Wire.MESSAGES,
            "b",
            "gpt-4o",
            Shape(effort="high", thinking="adaptive", max_tokens=64_000),
            ("effort", "thinking", "max_tokens"),
        ),
        (Wire.MESSAGES, "b", "gpt-4o", Shape(effort=None, max_tokens=16_384), UNADAPTED),
        (Wire.MESSAGES, "b", "gpt-5", Shape(effort="max"), ("effort",)),
        (Wire.MESSAGES, "b", "gpt-5", Shape(effort="high", thinking="adaptive"), UNADAPTED),
        (Wire.CHAT, "a", "claude-haiku-4-5", Shape(effort="high"), ("effort",)),
        (Wire.CHAT, "a", "claude-opus-4-5", Shape(effort="minimal"), ("effort",)),
        (Wire.CHAT, "a", "claude-opus-4-5", Shape(effort="low", max_tokens=9), UNADAPTED),
        # What it cannot be made to take is no reason to leave the rest as it is.
        (
            Wire.MESSAGES,
            "b",
            "gpt-5",
            Shape(effort="max", sampling=("temperature",)),
            ("effort",),
        ),
        # Nothing is known of it.
        (Wire.MESSAGES, "b", "gpt-99", Shape(effort="max", max_tokens=10**9), UNADAPTED),
    ],
)
def test_translated_request_is_adapted_to_the_very_model_that_was_asked_for(
    wire: Wire, provider: str, model: str, shape: Shape, adapted: tuple[str, ...]
) -> None:
    router = Router(RoutingSettings(provider))
    rules = Policy(links=LINKS, router=router, overrides=Overrides([]), capabilities=TABLE)
    asked = replace(ASKED, requested=model, shape=shape, wire=wire)
    for _ in range(2):  # what is remembered of one format is not taken for the other's
        (found,) = rules.choose(asked).candidates
        assert (found.model, found.chosen, found.adaptation.words) == (model, model, adapted)
        other = Wire.CHAT if wire is Wire.MESSAGES else Wire.MESSAGES
        rules.choose(replace(asked, wire=other))


def test_models_that_conversations_still_run_on_are_remembered_within_bounds() -> None:
    rules = policy(rollout=Rollout(ApplyTo.NEW_SESSIONS))
    asked = replace(ASKED, requested="claude-opus")
    for number in range(3 * MAX_PLANS):
        choice = rules.choose(asked, f"older-{number}")
        assert choice.candidates[0].chosen == f"older-{number}"
    assert [0 < len(known.plans) <= MAX_PLANS for known in rules.known.values()] == [True]
