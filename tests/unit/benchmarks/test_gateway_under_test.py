"""The gateway that is measured is the real one: overrides, prices, ledger and metrics at work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

import pytest

from benchmarks.gateway.bodies import Pace
from benchmarks.gateway.errors import WrongAnswer
from benchmarks.gateway.loads import take_whole
from benchmarks.gateway.process_tree import pids_of
from benchmarks.gateway.programs import Address
from benchmarks.gateway.proof import prove
from benchmarks.gateway.subjects import GatewayPlan, Provider, gateway, paced_upstream

Scripted = Callable[..., AbstractAsyncContextManager[Address]]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Address]:
    with paced_upstream() as subject:
        yield subject.address


def test_gateway_overrides_prices_records_and_streams(upstream: Address) -> None:
    with gateway(GatewayPlan(upstream, rules=10)) as subject:
        assert len(pids_of(subject.pid)) == 2  # supervisor and worker
        take_whole(subject.address, Pace(deltas=5, every_ms=1), 4)
        prove(subject.address, 5)
        with pytest.raises(WrongAnswer, match="the ledger has 6 requests, and 7 were sent"):
            prove(subject.address, 7)


def test_gateway_translates_streams(upstream: Address) -> None:
    with gateway(GatewayPlan(upstream, Provider.OPENAI)) as subject:
        take_whole(subject.address, Pace(deltas=5, every_ms=1), 4)
        prove(subject.address, 5)


@pytest.mark.parametrize("told", ["", "x-gateway-override: a=>b\r\n"])
def test_answer_without_override_or_cost_is_no_proof(scripted: Scripted, told: str) -> None:
    answer = f"HTTP/1.1 200 OK\r\n{told}content-length: 2\r\n\r\n{{}}".encode()

    async def main() -> None:
        async with scripted(answer) as address:
            with pytest.raises(WrongAnswer, match="an answer of the gateway has no x-gateway-"):
                await asyncio.to_thread(prove, address, 1)

    asyncio.run(main())
