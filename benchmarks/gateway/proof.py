"""Prove that the gateway did the work it was measured at: override, cost, ledger, metrics."""

from __future__ import annotations

import asyncio
import http.client
import json

from benchmarks.gateway.bodies import plain_request
from benchmarks.gateway.clients import ask, request_bytes
from benchmarks.gateway.errors import WrongAnswer
from benchmarks.gateway.programs import Address

_WITHIN_S = 60.0
_TOLD = (b"x-gateway-override", b"x-gateway-cost-usd")


def prove(address: Address, requests: int) -> None:
    """Ask once more, and look at what the gateway kept of the requests before.

    Args:
        requests: How many it has answered at least.

    Raises WrongAnswer when an answer is not overridden or has no cost, and when the ledger or the
    metrics know of fewer requests.
    """
    head = asyncio.run(ask(address, request_bytes(address, plain_request(1)))).head
    for name in _TOLD:
        if b"\r\n%b: " % name not in head:
            raise WrongAnswer(f"an answer of the gateway has no {name.decode()}")
    recorded = json.loads(_get(address, "/gateway/audit?limit=1"))["total"]
    counted = _counted(_get(address, "/metrics").decode())
    for where, known in (("the ledger has", recorded), ("the metrics have", counted)):
        if known < requests:
            raise WrongAnswer(f"{where} {known} requests, and {requests} were sent")


def _counted(metrics: str) -> float:
    lines = (line.rpartition(" ") for line in metrics.splitlines())
    return sum(
        float(value) for name, _, value in lines if name.startswith("gateway_requests_total{")
    )


def _get(address: Address, path: str) -> bytes:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_WITHIN_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()
