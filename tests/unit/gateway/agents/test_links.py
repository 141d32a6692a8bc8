"""Which sub-agents one worker expects, and what it calls those that came: bounded, expiring."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.agents.links import MAX_WAITING, SPAWN_TTL_S, AgentLinks, Key, Name
from gateway.agents.spawns import Spawn, prompt_digest


def spawn(agent_type: str, prompt: str) -> Spawn:
    return Spawn(agent_type, prompt_digest(prompt))


P = prompt_digest("p")


def links(*spawns: Spawn) -> AgentLinks:
    found = AgentLinks()
    found.observe("s1", spawns, 0.0)
    return found


def test_children_with_one_prompt_take_their_calls_in_order() -> None:
    known = links(spawn("a", "p"), spawn("x", "q"), spawn("b", "p"))
    assert [known.claim("s1", P, 1.0) for _ in range(3)] == ["a", "b", None]
    assert known.expects("s1", 1.0)
    assert known.claim("s1", prompt_digest("q"), 1.0) == "x"
    assert not known.expects("s1", 1.0)


@pytest.mark.parametrize(
    ("fill", "claimed"),
    [
        (lambda known: known.observe("s1", [spawn("t", "p")], 0.0), None),
        (lambda known: known.observe("s1", [spawn("t", "p")], 50.0), "t"),
        (
            lambda known: [known.observe(f"s{n}", [spawn("t", "p")], 50.0) for n in range(2, 6)],
            None,
        ),
    ],
    ids=["expired", "fresh", "too-many-sessions"],
)
def test_calls_expire_and_are_bounded(
    fill: Callable[[AgentLinks], None], claimed: str | None
) -> None:
    known = AgentLinks(max_sessions=3, max_names=2)
    known.observe("s1", [spawn("t", "p")], 0.0)
    fill(known)
    assert known.claim("s1", P, SPAWN_TTL_S + 20.0) == claimed


def test_oldest_calls_of_a_session_are_forgotten() -> None:
    known = links(*(spawn("t", str(n)) for n in range(MAX_WAITING + 1)))
    assert known.claim("s1", prompt_digest("0"), 1.0) is None
    assert known.claim("s1", prompt_digest("1"), 1.0) == "t"


def test_names_are_forgotten_when_unused_or_too_many() -> None:
    known = AgentLinks(ttl_s=10, max_names=2)
    keys = [Key("s", name) for name in "abc"]
    for key in keys:
        known.remember(key, Name(key.agent_id, "hint"), 0.0)
    assert [known.name(key, 5.0) for key in keys] == [None, Name("b", "hint"), Name("c", "hint")]
    assert known.name(keys[1], 14.0) == Name("b", "hint"), "each use counts"
    assert known.name(keys[2], 16.0) is None


def test_agent_nobody_named_is_known_for_a_while() -> None:
    known = AgentLinks(ttl_s=10)
    known.remember_unnamed(Key("s", "a"), 0.0)
    times = (0.0, 10.0, 11.0)
    assert [known.unnamed(Key("s", "a"), now) for now in times] == [True, True, False]
    assert not known.unnamed(Key("s", "b"), 0.0)
