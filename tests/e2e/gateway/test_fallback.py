"""Providers in trouble behind a real worker's application: asked again, or another one is."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from tests.e2e.gateway.in_process import (
    ANTHROPIC,
    COUNT,
    DEAD_URL,
    DEADLINE_S,
    MESSAGES,
    OPENAI,
    Gateway,
    Setup,
    overriding,
    run,
    until,
)
from tests.e2e.gateway.scripted import JSON, SSE, Answer, Json, Script, answering
from tests.e2e.gateway.spoken import HAIKU, SAID, SONNET, asking, message, start_event

pytestmark = pytest.mark.usefixtures("own_keys")

ELSEWHERE = "https://models.invalid"  # a name that never leads anywhere (RFC 2606)
NOW = (b"retry-after", b"0")
OVERLOADED = Answer(529, b'{"type":"error","error":{"message":"overloaded"}}', (JSON, NOW))
TWO = {
    "a": (ANTHROPIC, answering(Answer(body=message("from a")))),
    "b": (ANTHROPIC, answering(Answer(body=message("from b")))),
}


def two(*answers: Answer, **first: Json) -> dict[str, tuple[dict[str, Json], Script]]:
    return {"a": (ANTHROPIC | first, answering(*answers)), "b": TWO["b"]}


CHAIN = {"defaultProvider": "a", "fallbackChain": ["a", "b"]}


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_next_provider_is_asked_when_the_first_is_in_trouble(tmp_path: Path, status: int) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert (reply.status, reply.header(b"x-gateway-provider")) == (200, b"b")
        (entry,) = await gateway.audit()
        assert (entry["provider"], entry["route_reason"]) == ("b", "fallback:a")
        assert (len(gateway.asked("a")), len(gateway.asked("b"))) == (1, 1)

    run(tmp_path, Setup(two(Answer(status)), CHAIN), scenario)


def test_token_count_is_asked_only_of_who_speaks_its_format(tmp_path: Path) -> None:
    """Another format has no count: there it would be a request that is answered and paid."""

    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(), COUNT)
        assert (reply.status, gateway.asked("b")) == (529, [])

    setup = Setup({"a": (ANTHROPIC, answering(OVERLOADED)), "b": (OPENAI, answering(SAID))}, CHAIN)
    run(tmp_path, setup, scenario)


def test_token_count_is_estimated_where_the_clients_key_fits_nobody_who_counts(
    tmp_path: Path,
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(), COUNT)
        assert reply.header(b"x-gateway-estimate") == b"true"
        assert (gateway.asked("a"), gateway.asked("b")) == ([], [])

    first = ANTHROPIC | {"apiKeyRef": "env:NOT_SET_ANYWHERE"}
    setup = Setup({"a": (first, answering(SAID)), "b": (OPENAI, answering(SAID))}, CHAIN)
    run(tmp_path, setup, scenario)


@pytest.mark.parametrize(
    "first",
    [
        {"baseUrl": DEAD_URL},
        {"apiKeyRef": "env:NOT_SET_ANYWHERE"},
    ],
    ids=["refused", "no-key"],
)
def test_provider_that_cannot_be_asked_is_passed_over(tmp_path: Path, first: Json) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.post(asking())).header(b"x-gateway-provider") == b"b"

    run(tmp_path, Setup(two(SAID, **first), CHAIN), scenario)


def test_second_vendor_is_not_shown_the_clients_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.post(asking())).header(b"x-gateway-provider") == b"b"
        health = await gateway.get("/gateway/health")
        assert health["providers"] == {"a": True, "b": True, "z": False}

    providers = two(OVERLOADED) | {"z": (ANTHROPIC | {"baseUrl": ELSEWHERE}, answering(SAID))}
    routing = CHAIN | {"fallbackChain": ["z", "b"]}
    run(tmp_path, Setup(providers, routing), scenario)
    assert "provider z: it needs apiKeyRef, because clients' keys are sent only to" in caplog.text
    assert "llmGateway.providers.z: is sent no client's key" in caplog.text


def test_refused_own_key_moves_on_and_a_clients_does_not(tmp_path: Path) -> None:
    async def own(gateway: Gateway) -> None:
        assert (await gateway.post(asking())).header(b"x-gateway-provider") == b"b"

    async def clients(gateway: Gateway) -> None:
        assert (await gateway.post(asking())).status == 401
        assert gateway.asked("b") == []

    for name, scenario, more in (("own", own, {"apiKeyRef": "env:OWN_KEY"}), ("its", clients, {})):
        (tmp_path / name).mkdir()
        run(tmp_path / name, Setup(two(Answer(401, b"{}"), **more), CHAIN), scenario)


def test_first_answer_stands_when_no_other_is_better(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert (reply.status, reply.body) == (529, OVERLOADED.body)
        assert reply.header(b"retry-after") == b"0"
        (entry,) = await gateway.audit()
        assert (entry["provider"], entry["status"]) == ("a", 529)

    setup = {
        "a": (ANTHROPIC, answering(OVERLOADED)),
        "b": (ANTHROPIC, answering(Answer(500, b"{}"))),
    }
    run(tmp_path, Setup(setup, CHAIN), scenario)


def test_nothing_is_asked_twice_after_the_first_byte(tmp_path: Path) -> None:
    cut = Answer(body=start_event(), headers=(SSE,), whole=False)

    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(stream=True))
        assert reply.body.count(b"event: error") == 1
        assert (len(gateway.asked("a")), gateway.asked("b")) == (1, [])

    run(tmp_path, Setup(two(cut, maxRetries=5), CHAIN), scenario)


def test_fallback_that_cannot_express_the_request_is_passed_over(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(x_unknown=1))
        assert (reply.status, reply.header(b"x-gateway-provider")) == (200, b"b")
        assert gateway.asked("o") == []

    setup = two(OVERLOADED) | {"o": (OPENAI | {"defaultModel": "gpt-x"}, answering(SAID))}
    routing = {"defaultProvider": "a", "fallbackChain": ["o", "b"]}
    run(tmp_path, Setup(setup, routing), scenario)


@pytest.mark.parametrize(
    ("answers", "retries", "status", "asked"),
    [
        ([OVERLOADED, OVERLOADED, SAID], 2, 200, 3),
        ([OVERLOADED], 2, 529, 3),
        ([OVERLOADED], 0, 529, 1),
        ([Answer(500, b"{}", (JSON, NOW, (b"x-should-retry", b"false")))], 2, 500, 1),
        ([Answer(429, b"{}", (JSON, (b"retry-after", b"61")))], 2, 429, 1),
        ([Answer(429, b"{}", (JSON, (b"retry-after", b"0.001")))], 2, 429, 3),
        (
            [Answer(429, b"{}", (JSON, (b"retry-after", b"Sun, 06 Nov 1994 08:49:37 GMT")))],
            2,
            429,
            3,
        ),
        (
            [Answer(429, b"{}", (JSON, (b"retry-after", b"Fri, 06 Nov 2893 08:49:37 GMT")))],
            2,
            429,
            1,
        ),
        ([Answer(400, b"{}", (JSON, NOW))], 2, 400, 1),
        ([OVERLOADED, Answer(400, b"{}")], 2, 400, 2),
    ],
)
def test_retries_honour_the_provider(
    tmp_path: Path, answers: list[Answer], retries: int, status: int, asked: int
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert reply.status == status
        assert reply.header(b"retry-after") == dict(answers[-1].headers).get(b"retry-after")
        assert len(gateway.asked("a")) == asked
        assert len(await gateway.audit()) == 1

    run(
        tmp_path, Setup({"a": (ANTHROPIC | {"maxRetries": retries}, answering(*answers))}), scenario
    )


def test_refused_connection_is_tried_again_and_then_told(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert (reply.status, reply.json()["error"]["type"]) == (502, "api_error")
        (entry,) = await gateway.audit()
        assert (entry["provider"], entry["status"]) == ("a", 502)

    entry = ANTHROPIC | {"baseUrl": DEAD_URL, "maxRetries": 1}
    run(tmp_path, Setup({"a": (entry, answering(SAID))}), scenario)


def test_retries_end_with_their_budget(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        for _ in range(20):
            await gateway.post(asking())
        assert 20 + 10 <= len(gateway.asked("a")) <= 20 + 10 + 2

    run(tmp_path, Setup({"a": (ANTHROPIC | {"maxRetries": 5}, answering(OVERLOADED))}), scenario)


def test_long_wait_gives_way_to_another_provider(tmp_path: Path) -> None:
    slow = Answer(429, b"{}", (JSON, (b"retry-after", b"30")))

    async def scenario(gateway: Gateway) -> None:
        async with asyncio.timeout(DEADLINE_S):
            assert (await gateway.post(asking())).header(b"x-gateway-provider") == b"b"

    run(tmp_path, Setup(two(slow, maxRetries=2), CHAIN), scenario)


def test_failing_provider_is_left_alone_while_another_can_answer(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        for _ in range(12):
            assert (await gateway.post(asking())).status == 200
        assert len(gateway.asked("a")) == 5
        assert (await gateway.post(asking(HAIKU))).status == 200
        assert len(gateway.asked("a")) == 6, "another model has a circuit of its own"

    run(tmp_path, Setup(two(OVERLOADED), CHAIN), scenario)


def test_only_provider_is_asked_however_often_it_failed(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        for _ in range(8):
            assert (await gateway.post(asking())).status == 529
        assert len(gateway.asked("a")) == 8

    run(tmp_path, Setup({"a": (ANTHROPIC, answering(OVERLOADED))}), scenario)


def test_client_that_leaves_during_a_wait_is_recorded(tmp_path: Path) -> None:
    slow = Answer(429, b"{}", (JSON, (b"retry-after", b"60")))

    async def scenario(gateway: Gateway) -> None:
        async def asked() -> bool:
            return bool(gateway.asked("a"))

        async with gateway.connect("POST", MESSAGES, json.dumps(asking()).encode()):
            await until(asked)
        (entry,) = await gateway.audit()
        assert entry["status"] == 499

    run(tmp_path, Setup({"a": (ANTHROPIC | {"maxRetries": 1}, answering(slow))}), scenario)


SUBSCRIBER = {b"authorization": b"Bearer sk-ant-oat01-x"}


@pytest.mark.parametrize(("allowed", "status"), [(False, 529), (True, 200)])
def test_subscriber_does_not_fall_back_to_a_company_key(
    tmp_path: Path, *, allowed: bool, status: int
) -> None:
    providers = two(OVERLOADED)
    providers["b"] = (ANTHROPIC | {"apiKeyRef": "env:OWN_KEY"}, answering(SAID))
    files = {"gateway.toml": "[fallback]\nsubscriptions = true\n"} if allowed else {}

    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.post(asking(), headers=SUBSCRIBER)).status == status
        (entry,) = await gateway.audit()
        assert entry["billing"] == ("metered" if allowed else "subscription")

    run(tmp_path, Setup(providers, CHAIN, files), scenario)


# -- overrides whose target is in trouble


def when_target_is_down(do: str) -> dict[str, str]:
    own = f'[overrides_rollout]\non_target_down = "{do}"\n'
    return {"gateway.toml": own} | overriding([SONNET, HAIKU])


def test_overridden_request_goes_back_to_its_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert reply.status == 200
        assert reply.header(b"x-gateway-override") is None
        assert [seen.json()["model"] for seen in gateway.asked("a")] == [HAIKU, SONNET]
        (entry,) = await gateway.audit()
        assert (entry["model"], entry["skipped_reason"]) == (SONNET, "target_down")
        stats = await gateway.get("/api/overrides/stats")
        assert stats["total_overrides"] == 0

    entry = ANTHROPIC | {"maxRetries": 2}
    setup = Setup(
        {"a": (entry, answering(OVERLOADED, SAID))}, files=when_target_is_down("original")
    )
    run(tmp_path, setup, scenario)
    assert any(f"override reverted: {HAIKU} → {SONNET}" in line for line in caplog.messages)


def test_override_to_a_format_without_words_for_the_request_is_skipped(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking(x_unknown=1))
        assert (reply.status, reply.header(b"x-gateway-provider")) == (200, b"a")
        assert gateway.asked("o") == []
        (entry,) = await gateway.audit()
        assert (entry["model"], entry["skipped_reason"]) == (SONNET, "inexpressible")

    providers = {"a": TWO["a"], "o": (OPENAI, answering(SAID))}
    rules = {"defaultProvider": "a", "modelTierRules": {"haiku": "o"}}
    run(tmp_path, Setup(providers, rules, when_target_is_down("original")), scenario)


def test_overridden_request_fails_with_its_target_when_told_so(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway) -> None:
        reply = await gateway.post(asking())
        assert (reply.status, reply.body) == (529, OVERLOADED.body)
        assert [seen.json()["model"] for seen in gateway.asked("a")] == [HAIKU]
        (entry,) = await gateway.audit()
        assert (entry["model"], entry["skipped_reason"]) == (HAIKU, None)

    run(
        tmp_path,
        Setup({"a": (ANTHROPIC, answering(OVERLOADED))}, files=when_target_is_down("fail")),
        scenario,
    )


@pytest.mark.parametrize("cache", ["false", "true"])
def test_routing_is_told_once_when_nobody_can_be_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cache: str
) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert (await gateway.post(asking(x_unknown=1))).status == 400
        assert gateway.asked("o") == []

    files = {"gateway.toml": f"[cache]\nenabled = {cache}\n"}
    with caplog.at_level(logging.INFO):
        run(tmp_path, Setup({"o": (OPENAI, answering(SAID))}, {}, files), scenario)
    assert "\n".join(caplog.messages).count("Routing request: ") == 1
