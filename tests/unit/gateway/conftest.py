"""What the gateway's parts hand to each other, once: one request as it is recorded."""

from __future__ import annotations

import pytest

from gateway.store.records import AuditRecord, Endpoint
from gateway.wire.usage import Usage


@pytest.fixture(scope="session")
def record() -> AuditRecord:
    """Return an overridden stream that went well; a test replaces what it is about."""
    return AuditRecord(
        request_id="r1",
        boot_id="boot",
        seq=1,
        at_us=1_763_700_000_123_456,
        endpoint=Endpoint.MESSAGES,
        provider="p",
        model="b",
        requested_model="a",
        status=200,
        success=True,
        partial=False,
        stream=True,
        overridden=True,
        counted=True,
        latency_us=2500,
        ttft_us=1500,
        usage=Usage(10, 20, 1, 2, 3),
        cost_pico=3 * 10**9,
        saved_pico=7 * 10**9,
        agent_type="reviewer",
    )
