"""The one record of an exchange: every field holds what its name says."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.account import Account, Books
from gateway.agents.identity import Agent, AgentSource
from gateway.body_log import AnswerLog
from gateway.candidates import Candidate
from gateway.config.settings import ProviderSettings
from gateway.cost.pricing import Pricing
from gateway.cost.tariffs import Price, Tariff
from gateway.describe import Sender
from gateway.links import open_links
from gateway.overrides.adaptation import Adaptation
from gateway.overrides.shape import Shape
from gateway.store.records import AuditRecord, CacheOutcome, Endpoint
from gateway.told import Told
from gateway.wire.body import Body
from gateway.wire.formats import Wire
from gateway.wire.http import Head, Request
from gateway.wire.usage import Reading, Usage

PRICING = Pricing({"asked": Tariff(Price(9, 8, 7, 6, 1)), "sent": Tariff(Price(1, 1, 1, 1, 1))})
BOOKS = Books(PRICING, "boot", "default", track_statistics=True)
LOGGED = Books(PRICING, "boot", "default", True, True, True, frozenset({"project"}))
USAGE = Usage(10, 20, 1, 2, 3)
TOKEN = (b"authorization", b"Bearer sk-ant-oat01-x")
FIRST = {b"x-request-id": b"upstream", b"x-ratelimit-limit-tokens": b"7"}


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every exchange end 12 seconds after the epoch of its clock."""
    monkeypatch.setattr(time, "perf_counter", lambda: 12.0)


def opened(*headers: tuple[bytes, bytes]) -> Account:
    """Return the account of a request that was taken 2 seconds ago."""
    request = Request(Head(b"POST", b"/v1/messages", headers), b'{"model":"asked"}', 0.0)
    id_header = (b"x-gateway-request-id", b"id")
    return Account(
        Endpoint.MESSAGES, request, "id", id_header, 3, 4, 10.5, 10.0, Wire.MESSAGES, counting=False
    )


def candidate(key: str | None = None, *, forwards: bool = True) -> Candidate:
    settings = ProviderSettings(
        name="provider",
        type="anthropic",
        base_url="http://127.0.0.1:9",
        api_key_ref=None if key is None else "env:KEY",
    )
    links = open_links([settings], {"KEY": key or ""}, tokens=not forwards)
    return Candidate(
        links["provider"],
        model="sent",
        chosen="chosen",
        reason="reason",
        retries=0,
        adaptation=Adaptation(words=("word",)),
        told=Told(lines=b"x-gateway-provider: provider\r\n"),
    )


def ended(account: Account) -> Account:
    """Return the account, with everything told that can be told of an exchange."""
    account.sender = Sender("session", "agent-id", "client", "project")
    account.body = Body(account.request.body)
    account.requested, account.shape = account.body.model, Shape(effort="high")
    account.agent = Agent("agent", AgentSource.HINT)
    account.chosen, account.skipped, account.user = "chosen", "skipped", "user"
    account.candidate = candidate()
    sent: Any = SimpleNamespace(answer=SimpleNamespace(first=FIRST))  # of `Sent` no more is read
    account.sent = sent
    account.first_at, account.cache = 11.5, CacheOutcome.MISS
    account.answer_log = AnswerLog()
    account.answer_log.add(b"answered")
    return account


def test_record_holds_each_thing_under_its_name() -> None:
    account = ended(opened())
    found = account.record(LOGGED, 201, Reading(USAGE), "error", stream=True, partial=True)
    assert found == AuditRecord(
        request_id="id",
        boot_id="boot",
        seq=3,
        at_us=4,
        endpoint=Endpoint.MESSAGES,
        provider="provider",
        model="sent",
        requested_model="asked",
        status=201,
        success=False,
        partial=True,
        stream=True,
        overridden=True,
        counted=True,
        latency_us=2_000_000,
        ttft_us=1_500_000,
        usage=USAGE,
        cost_pico=36,
        saved_pico=272 - 36,
        agent_type="agent",
        agent_source="hint",
        session_id="session",
        client="client",
        billing="metered",
        error_message="error",
        upstream_request_id="upstream",
        shape=Shape(effort="high"),
        user="user",
        project_id="project",
        route_reason="reason",
        adapted=("word",),
        skipped_reason="skipped",
        cache=CacheOutcome.MISS,
        agent_id="agent-id",
        chosen="chosen",
        rewrite_pico=(6, 5),
        limits=(("tokens", 7),),
        request_body=b'{"model":"asked"}',
        response_body=b"answered",
    )


def test_record_of_a_request_that_was_not_looked_into() -> None:
    found = opened(TOKEN).record(LOGGED, 401, Reading(), "error", stream=False, partial=False)
    assert found == AuditRecord(
        request_id="id",
        boot_id="boot",
        seq=3,
        at_us=4,
        endpoint=Endpoint.MESSAGES,
        provider="default",
        model=None,
        requested_model=None,
        status=401,
        success=False,
        partial=False,
        stream=False,
        overridden=False,
        counted=True,
        latency_us=2_000_000,
        billing="subscription",
        error_message="error",
    )


@pytest.mark.parametrize(
    ("asked", "billing"),
    [
        (candidate(), "subscription"),
        (candidate(forwards=False), "metered"),
        (candidate("sk-ant-api03-x"), "metered"),
        (candidate("sk-ant-oat01-x"), "subscription"),
        (candidate("sk-ant-api03-x", forwards=False), "metered"),
    ],
)
def test_key_that_is_sent_on_says_who_pays(asked: Candidate, billing: str) -> None:
    account = opened(TOKEN)
    account.parse()
    account.candidate = asked
    found = account.record(BOOKS, 200, Reading(USAGE), None, stream=False, partial=False)
    assert (found.billing, found.saved_pico) == (billing, 236 if billing == "metered" else None)


def test_bodies_are_kept_only_where_they_are_asked_for() -> None:
    account = ended(opened())
    account.answer_log = None
    found = account.record(BOOKS, 200, Reading(USAGE), None, stream=False, partial=False)
    assert (found.request_body, found.response_body, found.success) == (None, None, True)


def test_annotations_tell_cost_and_latency_after_the_choice() -> None:
    account = ended(opened())
    chosen, latency = b"x-gateway-provider: provider\r\n", b"x-gateway-latency-ms: 2000\r\n"
    assert account.annotations() == chosen + latency
    account.record(BOOKS, 200, Reading(USAGE), None, stream=False, partial=False)
    cost = b"x-gateway-cost-usd: 0.000000000036\r\n"
    assert account.annotations() == chosen + cost + latency
