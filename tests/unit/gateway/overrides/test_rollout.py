"""Who an override is rolled out to: sticky, monotone, the same for every worker."""

from __future__ import annotations

import itertools

import pytest

from gateway.overrides.rollout import ApplyTo, Left, Rollout

SESSIONS = tuple(f"session-{number}" for number in range(4000))


def drawn(rollout: Rollout) -> set[str]:
    return {unit for unit in SESSIONS if rollout.leaves_out(unit, "main", None) is None}


@pytest.mark.parametrize(
    ("rollout", "agent", "project", "left"),
    [
        (Rollout(), "main", None, None),
        (Rollout(agents=("Explore",)), "explore", None, None),
        (Rollout(agents=("Explore",)), "main", None, Left.AGENT),
        (Rollout(projects=("a",)), "main", "a", None),
        (Rollout(projects=("a",)), "main", "A", Left.PROJECT),
        (Rollout(projects=("a",)), "main", None, Left.PROJECT),
        (Rollout(percent=0), "main", None, Left.SHARE),
        (Rollout(holdout_percent=100), "main", None, Left.HOLDOUT),
    ],
)
def test_leaves_out_names_its_reason(
    rollout: Rollout, agent: str, project: str | None, left: Left | None
) -> None:
    assert rollout.leaves_out("session-1", agent, project) is left


@pytest.mark.parametrize(
    ("rollout", "everybody"),
    [
        (Rollout(), True),
        (Rollout(ApplyTo.NEW_SESSIONS), True),
        (Rollout(percent=99.9), False),
        (Rollout(holdout_percent=0.1), False),
        (Rollout(agents=("main",)), False),
        (Rollout(projects=("a",)), False),
    ],
)
def test_everybody_is_reached_only_where_nothing_is_drawn(
    rollout: Rollout, *, everybody: bool
) -> None:
    assert rollout.everybody is everybody
    assert not everybody or drawn(rollout) == set(SESSIONS)


def test_larger_percentage_keeps_everybody_who_was_drawn() -> None:
    shares = [drawn(Rollout(percent=percent)) for percent in (0, 5, 20, 50, 99.5, 100)]
    assert all(small <= large for small, large in itertools.pairwise(shares))
    found = [len(share) / len(SESSIONS) for share in shares]
    assert found == pytest.approx([0, 0.05, 0.2, 0.5, 0.995, 1], abs=0.02)
    assert len(shares[-1]) == len(SESSIONS)


def test_holdout_stays_out_at_every_percentage() -> None:
    out = set(SESSIONS) - drawn(Rollout(holdout_percent=10))
    assert 300 < len(out) < 500
    for percent in (1, 50, 90, 100):
        assert not out & drawn(Rollout(percent=percent, holdout_percent=10))


def test_draw_is_the_same_in_every_release() -> None:
    """A release that drew anew would switch the models of running sessions."""
    small = Rollout(percent=10)
    assert [unit for unit in SESSIONS[:40] if small.leaves_out(unit, "main", None) is None] == [
        "session-19",
        "session-29",
        "session-31",
    ]
