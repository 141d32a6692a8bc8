"""Which launches are drawn for the gateway: laws of the draw, and what a session is known by."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serve.canary import PLACES, KnownBy, SessionKey, Way, place, session_key, way

FOLDER = Path("/work/project")
KEYS = st.builds(SessionKey, st.sampled_from(KnownBy), st.text(max_size=60))
SALTS = st.binary(max_size=40)
SHARES = st.integers(0, 100)
ID = "0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d"


@given(KEYS, SALTS, SHARES, SHARES)
def test_larger_share_keeps_whoever_went_to_the_gateway(
    key: SessionKey, salt: bytes, one: int, other: int
) -> None:
    smaller, larger = sorted((one, other))
    if way(key, salt, smaller) is Way.GATEWAY:
        assert way(key, salt, larger) is Way.GATEWAY


@given(KEYS, SALTS)
def test_draw_is_one_of_a_hundred_places_and_stays(key: SessionKey, salt: bytes) -> None:
    assert 0 <= place(key, salt) < PLACES
    assert place(key, salt) == place(key, salt)
    assert way(key, salt, 0) is Way.PROXY
    assert way(key, salt, 100) is Way.GATEWAY


@pytest.mark.parametrize("salt", [b"", b"a", b"another"])
@pytest.mark.parametrize("known_by", KnownBy)
def test_places_are_drawn_evenly(known_by: KnownBy, salt: bytes) -> None:
    """The draws are fixed, so this never fails by chance; 3σ of a place are 30."""
    drawn = Counter(place(SessionKey(known_by, f"session {n}"), salt) for n in range(10_000))
    assert set(drawn) == set(range(PLACES))
    assert all(60 <= count <= 140 for count in drawn.values())
    for share in (1, 5, 25, 50):
        below = sum(count for one, count in drawn.items() if one < share)
        assert abs(below - 100 * share) <= 4 * (100 * share * (1 - share / 100)) ** 0.5


@pytest.mark.parametrize(
    ("known_by", "value", "salt", "expected"),
    [
        (KnownBy.ID, ID, b"", 70),
        (KnownBy.ID, ID, b"salt", 5),
        (KnownBy.ID, "x", b"", 11),
        (KnownBy.FOLDER, "x", b"", 99),
        (KnownBy.FOLDER, "/work/project", b"salt\n", 86),
        (KnownBy.FOLDER, "/home/zoë", b"salt\n", 23),
        (KnownBy.FOLDER, "/home/\udcff", b"salt\n", 78),
    ],
)
def test_place_never_changes_between_versions(
    known_by: KnownBy, value: str, salt: bytes, expected: int
) -> None:
    """Another place would move running shares: sessions would change their way by an update."""
    assert place(SessionKey(known_by, value), salt) == expected


def test_salts_make_the_shares_of_two_machines_independent() -> None:
    keys = [SessionKey(KnownBy.FOLDER, f"/app/{number}") for number in range(2000)]
    both = sum(
        way(key, b"one", 50) is Way.GATEWAY and way(key, b"two", 50) is Way.GATEWAY for key in keys
    )
    assert 400 <= both <= 600  # a quarter of them; alike it would be half


@pytest.mark.parametrize(
    ("client", "known_by", "value"),
    [
        (("claude",), KnownBy.FOLDER, str(FOLDER)),
        (("claude", "--continue"), KnownBy.FOLDER, str(FOLDER)),
        (("claude", "--resume"), KnownBy.FOLDER, str(FOLDER)),  # it shows a list
        (("claude", "--resume", "--verbose"), KnownBy.FOLDER, str(FOLDER)),
        (("claude", "--resume", ""), KnownBy.FOLDER, str(FOLDER)),
        (("claude", "--resume="), KnownBy.FOLDER, str(FOLDER)),
        (("claude", "-p", "--", "--resume", ID), KnownBy.FOLDER, str(FOLDER)),
        (("--resume", "x"), KnownBy.FOLDER, str(FOLDER)),  # the client itself is no option
        ((), KnownBy.FOLDER, str(FOLDER)),
        (("claude", "--resume", ID, "go on"), KnownBy.ID, ID),
        (("claude", "-r", ID), KnownBy.ID, ID),
        (("claude", f"--resume={ID}"), KnownBy.ID, ID),
        (("claude", "--session-id", ID, "-p", "hello"), KnownBy.ID, ID),
        (("claude", f"--session-id={ID}"), KnownBy.ID, ID),
        (("claude", "--resume", "old", "--fork-session", "--session-id", ID), KnownBy.ID, ID),
    ],
)
def test_session_is_known_by_its_id_else_by_its_folder(
    client: tuple[str, ...], known_by: KnownBy, value: str
) -> None:
    assert session_key(client, FOLDER) == SessionKey(known_by, value)
