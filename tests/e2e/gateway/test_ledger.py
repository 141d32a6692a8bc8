"""What a real worker's application records of its answers, whatever becomes of the ledger."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store.opening import connect
from tests.e2e.gateway.in_process import MESSAGES, before_one, open_gateway, until
from tests.e2e.gateway.scripted import Answer, Seen, answering, streaming
from tests.e2e.gateway.spoken import ENDING, HAIKU, MESSAGE, PLAIN, SONNET, start_event


def test_every_answer_has_one_record_and_the_sums_agree(tmp_path: Path) -> None:
    async def main() -> None:
        async def script(
            seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            stream = b'"stream":true' in seen.body
            kind = streaming(start_event(), ENDING) if stream else answering(Answer(body=MESSAGE))
            await kind(seen, reader, writer)

        async with open_gateway(tmp_path, before_one(script, [SONNET, HAIKU])) as gateway:
            bodies = [
                json.dumps({"model": model, "stream": stream}, separators=(",", ":")).encode()
                for model in (SONNET, "claude-opus-4-5", "unknown-model")
                for stream in (True, False)
            ] + [b"broken"]
            replies = await asyncio.gather(
                *(gateway.call("POST", MESSAGES, body) for body in bodies * 20)
            )
            ids = {reply.request_id for reply in replies}
            entries = await gateway.audit(140)
            assert len(ids) == len(entries) == 140
            assert {entry["request_id"] for entry in entries} == ids
            assert [entry["seq"] for entry in entries] == list(range(1, 141))
            summary = (await gateway.get("/gateway/metrics"))["summary"]
            assert (summary["total_requests"], summary["failed_requests"]) == (140, 20)
            stats = await gateway.get("/api/overrides/stats")
            assert (stats["total_overrides"], stats["unmatched_requests"]) == (40, 100)
            some = sorted(ids)[:3]
            found = await gateway.get(f"/gateway/audit?request_id={some[0]},{some[1]}&limit=1")
            assert (found["total"], len(found["entries"])) == (2, 1)
            repeated = "&".join(f"request_id={name}" for name in some)
            assert (await gateway.get(f"/gateway/audit?{repeated}"))["total"] == 3

    asyncio.run(main())


def test_statistics_survive_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        answer = answering(Answer(body=MESSAGE % HAIKU.encode()))
        for expected in (1, 2):
            async with open_gateway(tmp_path, before_one(answer, [SONNET, HAIKU])) as gateway:
                await gateway.call("POST", MESSAGES, PLAIN)
                await gateway.audit(expected)
                stats = await gateway.get("/api/overrides/stats")
                assert stats["total_overrides"] == expected

    asyncio.run(main())


def test_locked_ledger_delays_no_answer_for_long(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_gateway(tmp_path, before_one(streaming(start_event(), ENDING))) as gateway:
            ledger = gateway.settings.audit.db_path
            with closing(connect(ledger)) as other:
                other.execute("BEGIN IMMEDIATE")
                reply = await gateway.call("POST", MESSAGES, PLAIN)
                assert reply.body == start_event() + ENDING
                health = await gateway.get("/gateway/health")
                assert health["audit"]["late_commits"] == 1
            assert len(await gateway.audit()) == 1

    asyncio.run(main())


def test_broken_ledger_degrades_health_and_fails_no_request(tmp_path: Path) -> None:
    async def main() -> None:
        answer = answering(Answer(body=MESSAGE % HAIKU.encode()))
        async with open_gateway(tmp_path, before_one(answer)) as gateway:
            with closing(connect(gateway.settings.audit.db_path)) as other:
                other.execute("DROP TABLE totals")
            assert (await gateway.call("POST", MESSAGES, PLAIN)).status == 200

            async def degraded() -> bool:
                return bool((await gateway.get("/gateway/health"))["status"] == "degraded")

            await until(degraded)
            health = await gateway.get("/gateway/health")
            assert health["audit"]["write_failures"] == 1
            assert (await gateway.call("GET", "/ready")).status == 200
            assert (await gateway.call("GET", "/gateway/metrics")).status == 503

    asyncio.run(main())


def test_no_credential_reaches_log_or_ledger(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = (b"sk-ant-client-0123456789", b"c00kie-0123456789")

    async def main() -> None:
        echo = b'{"error":{"message":"bad x-api-key: %b in Cookie: %b"}}' % secrets
        headers = dict(zip((b"x-api-key", b"cookie"), secrets, strict=True)) | {
            b"user-agent": secrets[0]
        }
        async with open_gateway(tmp_path, before_one(answering(Answer(401, echo)))) as gateway:
            assert (await gateway.call("POST", MESSAGES, PLAIN, headers)).body == echo
            assert len(await gateway.audit()) == 1

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert b"HTTP 401" in kept
    for secret in secrets:
        assert secret not in kept
        assert secret.decode() not in caplog.text
