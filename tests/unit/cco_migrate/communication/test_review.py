"""A review: what the gateway recorded in a stretch of time, and nothing that nobody knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest

from cco_migrate.communication.review import UNKNOWN, Recorded, figures
from cco_migrate.communication.settings import NoticeKind
from cco_migrate.communication.usage import Usage, read_saved, read_usage
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.probes.site import Site
from cco_migrate.runs.attestations import Approval
from cco_migrate.world import World

Reply = tuple[int, Mapping[str, str], bytes | Sequence[bytes | None]]
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]

SINCE = datetime(2026, 11, 21, 14, 3, 11, tzinfo=UTC)
UNTIL = SINCE + timedelta(weeks=1)
USAGE = Usage(2000, 3, 1000, 812.4, 93.5, 640)
DARK = Unmeasured("http://127.0.0.1:1 does not answer")


def said(status: int, document: object) -> Reply:
    return status, {"content-type": "application/json"}, json.dumps(document).encode()


def test_usage_is_asked_for_the_stretch_and_averaged_over_what_has_figures(
    serve: Serve, world: World
) -> None:
    asked: list[dict[str, list[str]]] = []

    def gateway(_method: str, target: str, _body: bytes) -> Reply:
        query = parse_qs(urlsplit(target).query)
        asked.append(query)
        if "success" in query:
            return said(200, {"entries": [], "total": 3})
        rows = [
            {"latency_ms": 100, "ttft_ms": 10, "stream": True},
            {"latency_ms": 300, "ttft_ms": None, "stream": False},
        ]
        return said(200, {"entries": rows, "total": 2000})

    found = read_usage(Site(serve(gateway), world), SINCE, UNTIL)
    assert found == Usage(2000, 3, 2, 200.0, 10.0, 1)
    assert [(one["start_time"], one["end_time"]) for one in asked] == [
        (["2026-11-21T14:03:11Z"], ["2026-11-28T14:03:11Z"])
    ] * 2
    assert asked[1]["success"] == ["false"]


@pytest.mark.parametrize(
    ("status", "document", "why"),
    [
        (404, {}, "/gateway/audit answers 404"),
        (200, [], "JSON that is no object"),
        (200, {"entries": []}, "does not say how many"),
        (200, {"total": 3}, "does not say how many"),
    ],
)
def test_gateway_that_does_not_tell_is_unmeasured(
    serve: Serve, world: World, status: int, document: object, why: str
) -> None:
    url = serve(lambda _method, _target, _body: said(status, document))
    found = read_usage(Site(url, world), SINCE, UNTIL)
    assert isinstance(found, Unmeasured)
    assert why in found.why


def test_silent_gateway_is_unmeasured(closed_port: int, world: World) -> None:
    site = Site(f"http://127.0.0.1:{closed_port}", world)
    for found in (read_usage(site, SINCE, UNTIL), read_saved(site)):
        assert isinstance(found, Unmeasured)
        assert "does not answer" in found.why


@pytest.mark.parametrize(
    ("models", "saved"),
    [
        ({"a": {"cost_saved_usd": 18.5}, "b": {"cost_saved_usd": 0.1}}, Decimal("18.6")),
        ({}, Decimal(0)),
        ({"a": {"cost_saved_usd": 1}, "b": {"cost_saved_usd": None}}, None),
        ({"a": ["b", 3]}, None),
        (None, None),
    ],
)
def test_saved_is_the_sum_or_unknown(
    serve: Serve, world: World, models: object, saved: Decimal | None
) -> None:
    url = serve(lambda _method, _target, _body: said(200, {"overrides_by_model": models}))
    found = read_saved(Site(url, world))
    assert (None if isinstance(found, Unmeasured) else found) == saved


def values(kind: NoticeKind, recorded: Recorded) -> dict[str, str]:
    return {one.name: one.value for one in figures(kind, recorded)}


def test_first_week_is_told_in_figures() -> None:
    word = Approval("user-feedback", "Ann", SINCE, "nobody complained", UNTIL, "ann@host")
    older = Approval("user-feedback", "Bob", SINCE - timedelta(1), "too early", UNTIL, "bob@host")
    other = Approval("team-approval", "Cy", UNTIL, "phase 3", UNTIL, "cy@host")
    assert values(NoticeKind.WEEK_1, Recorded(USAGE, DARK, 1, (word, older, other))) == {
        "Requests": "2000",
        "Error rate": "0.15 %",
        "Latency to the last byte": "812 ms",
        "Time to the first token": "94 ms",
        "Uptime": UNKNOWN,
        "Rollbacks": "1",
        "User feedback": "nobody complained",
    }


def test_fourth_week_adds_money_streams_and_incidents() -> None:
    found = values(NoticeKind.WEEK_4, Recorded(USAGE, Decimal("18.604"), 0))
    assert found["Saved by overrides"] == "$18.60"
    assert found["Streamed answers"] == "64 %"
    assert (found["Incidents"], found["User feedback"]) == (UNKNOWN, UNKNOWN)


@pytest.mark.parametrize("kind", [NoticeKind.WEEK_1, NoticeKind.WEEK_4])
@pytest.mark.parametrize("usage", [DARK, Usage(0, 0, 0, None, None, 0)])
def test_what_nobody_knows_is_unknown_and_says_why(
    kind: NoticeKind, usage: Usage | Unmeasured
) -> None:
    found = figures(kind, Recorded(usage, DARK, 0))
    known = {"Rollbacks"} | ({"Requests"} if isinstance(usage, Usage) else set())
    assert {one.name for one in found if one.value != UNKNOWN} == known
    assert all(one.source for one in found)


def test_averages_say_of_how_many_requests_they_are() -> None:
    def source(usage: Usage) -> str:
        return figures(NoticeKind.WEEK_1, Recorded(usage, DARK, 0))[2].source

    assert source(USAGE) == "average of the newest 1000 requests"
    assert source(Usage(12, 0, 12, 1.0, 1.0, 0)) == "average of 12 requests"
