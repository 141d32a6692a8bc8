"""Errors through a real gateway: the vendors' own SDKs raise their own classes for them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest
from anthropic import _exceptions as anthropic_errors  # 413, 5xx: not all are exported

from tests.e2e.gateway.process import DEADLINE_S, StartGateway
from tests.e2e.gateway.sdk_stage import Stage
from tests.e2e.gateway.threaded import Connection, Json, Provider, Seen

Failure = anthropic.APIStatusError | openai.APIStatusError
TOKEN = "a-token-of-the-gateway"


@dataclass(frozen=True, slots=True)
class Way:
    """Which SDK asks which upstream, and whose key pays."""

    sdk: str
    upstream: str
    model: str

    def provider(self, stage: Stage) -> Provider:
        return {"messages": stage.messages, "chat": stage.chat}[self.upstream]


WAYS = (
    Way("anthropic", "messages", "own-claude"),
    Way("anthropic", "chat", "gpt-9"),
    Way("openai", "chat", "own-gpt"),
    Way("openai", "messages", "claude-9"),
)
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.sdk}-to-{way.upstream}")
each_sdk = pytest.mark.parametrize("sdk", ["anthropic", "openai"])

RAISED: dict[str, dict[int, type[Failure]]] = {
    "anthropic": {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        404: anthropic.NotFoundError,
        413: anthropic_errors.RequestTooLargeError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
        502: anthropic.InternalServerError,
        503: anthropic_errors.ServiceUnavailableError,
        529: anthropic_errors.OverloadedError,
    },
    "openai": {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        404: openai.NotFoundError,
        413: openai.APIStatusError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
        502: openai.InternalServerError,
        503: openai.InternalServerError,
        529: openai.InternalServerError,
    },
}


@contextmanager
def raised(sdk: str, status: int) -> Iterator[list[Failure]]:
    """Expect exactly the SDK's class for a status; what was raised is in the list afterwards."""
    found: list[Failure] = []
    with pytest.raises((anthropic.APIStatusError, openai.APIStatusError)) as caught:
        yield found
    assert type(caught.value) is RAISED[sdk][status], repr(caught.value)
    assert caught.value.status_code == status
    found.append(caught.value)


@dataclass(frozen=True, slots=True)
class Sdks:
    """A client of each SDK; their pools are made once, that takes longer than a request."""

    messages: anthropic.Anthropic
    chat: openai.OpenAI

    def ask(
        self, sdk: str, url: str, model: str, text: str = "Hello", key: str = "sk-client"
    ) -> None:
        """Ask for a whole answer."""
        turn: Json = {"role": "user", "content": text}
        if sdk == "anthropic":
            client = self.messages.with_options(base_url=url, api_key=key)
            client.messages.create(model=model, max_tokens=9, messages=[turn])
        else:
            caller = self.chat.with_options(base_url=f"{url}/v1", api_key=key)
            caller.chat.completions.create(model=model, messages=[turn])

    def stream(self, sdk: str, url: str, model: str) -> Any:  # Any: either SDK's stream
        """Ask for a stream."""
        turn: Json = {"role": "user", "content": "Hello"}
        if sdk == "anthropic":
            client = self.messages.with_options(base_url=url)
            return client.messages.create(model=model, max_tokens=9, messages=[turn], stream=True)
        caller = self.chat.with_options(base_url=f"{url}/v1")
        return caller.chat.completions.create(model=model, messages=[turn], stream=True)


@pytest.fixture(scope="module")
def sdks() -> Iterator[Sdks]:
    http, other = (
        anthropic.DefaultHttpxClient(trust_env=False),
        openai.DefaultHttpxClient(trust_env=False),
    )
    with (
        anthropic.Anthropic(api_key="sk-client", max_retries=0, http_client=http) as client,
        openai.OpenAI(api_key="sk-client", max_retries=0, http_client=other) as caller,
    ):
        yield Sdks(client, caller)


# -- what the provider says


def problem(upstream: str, kind: str, text: str) -> Json:
    if upstream == "messages":
        return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"}
    return {"error": {"message": text, "type": kind, "param": None, "code": None}}


@each_way
@pytest.mark.parametrize("status", [400, 404, 413, 429, 500, 529])
def test_upstream_error_is_raised_as_the_sdks_own_class(
    stage: Stage, sdks: Sdks, way: Way, status: int
) -> None:
    def script(_: Seen, connection: Connection) -> None:
        document = problem(way.upstream, "some_error", "no luck: reason 17")
        connection.reply(status, document, retry_after="7", x_should_retry="false")

    way.provider(stage).script = script
    with raised(way.sdk, status) as errors:
        sdks.ask(way.sdk, stage.gateway.url, way.model)
    (found,) = errors
    assert "no luck: reason 17" in str(found)
    assert found.response.headers["retry-after"] == "7"
    assert found.response.headers["x-should-retry"] == "false"
    record = stage.gateway.record(found.response.headers["x-gateway-request-id"])
    assert (record["status"], record["success"]) == (status, False)


@each_way
def test_refused_key_is_the_clients_only_when_it_is_its_own(
    stage: Stage, sdks: Sdks, way: Way
) -> None:
    def script(_: Seen, connection: Connection) -> None:
        connection.reply(401, problem(way.upstream, "authentication_error", "invalid key"))

    way.provider(stage).script = script
    with raised(way.sdk, 401 if way.model.startswith("own-") else 503) as errors:
        sdks.ask(way.sdk, stage.gateway.url, way.model)
    assert "invalid key" in str(errors[0])


# -- what the gateway says itself


@each_sdk
def test_request_without_a_model_is_a_bad_request(stage: Stage, sdks: Sdks, sdk: str) -> None:
    with raised(sdk, 400) as errors:
        sdks.ask(sdk, stage.gateway.url, model="")
    assert "model: must not be empty" in str(errors[0])


@each_sdk
def test_body_beyond_the_bound_is_too_large(stage: Stage, sdks: Sdks, sdk: str) -> None:
    with raised(sdk, 413) as errors:
        sdks.ask(sdk, stage.gateway.url, "own-claude", text="x" * 70_000)
    assert "65536 bytes" in str(errors[0])


@each_sdk
def test_unknown_path_is_not_found(stage: Stage, sdks: Sdks, sdk: str) -> None:
    with raised(sdk, 404):
        sdks.ask(sdk, f"{stage.gateway.url}/nowhere", "own-claude")


@pytest.mark.parametrize(
    ("sdk", "model", "status"),
    [
        ("anthropic", "dead", 502),
        ("anthropic", "keyless", 503),
        ("openai", "dead", 503),  # another vendor's key is not sent to it
        ("openai", "keyless", 503),
    ],
)
def test_provider_that_cannot_be_asked_is_named(
    stage: Stage, sdks: Sdks, sdk: str, model: str, status: int
) -> None:
    with raised(sdk, status) as errors:
        sdks.ask(sdk, stage.gateway.url, model)
    assert f"provider {model}" in str(errors[0])


@pytest.fixture(scope="module")
def closed_url(stage: Stage, start_gateway: StartGateway) -> str:
    """Return the address of a gateway that wants a token, and takes one request a minute."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    toml = f'[[clients]]\nname = "tests"\ntoken_sha256 = "{digest}"\nrequests_per_minute = 1\n'
    entry = {"providerType": "anthropic", "baseUrl": stage.messages.url, "apiKeyRef": "env:A_KEY"}
    document = {"llmGateway": {"providers": {"anthropic": entry}}}
    files = {"orchestra-config.json": json.dumps(document), "gateway.toml": toml}
    return start_gateway(files, A_KEY="sk-of-the-gateway").url


@each_sdk
def test_wrong_token_is_an_authentication_error(closed_url: str, sdks: Sdks, sdk: str) -> None:
    with raised(sdk, 401):
        sdks.ask(sdk, closed_url, "claude-9", key="another-token")


@each_sdk
def test_client_beyond_its_limit_is_told_when_to_come_back(
    stage: Stage, closed_url: str, sdks: Sdks, sdk: str
) -> None:
    def script(_: Seen, connection: Connection) -> None:
        connection.reply(400, problem("messages", "invalid_request_error", "asked"))

    stage.messages.script = script
    with raised(sdk, 429) as errors:
        for _ in range(2):  # whichever SDK comes first spends the one request
            try:
                sdks.ask(sdk, closed_url, "claude-9", key=TOKEN)
            except (anthropic.BadRequestError, openai.BadRequestError):
                continue
    (found,) = errors
    assert 1 <= int(found.response.headers["retry-after"]) <= 60


# -- streams


def begin(upstream: str, connection: Connection) -> None:
    """Send the beginning of a stream, up to its first word."""
    connection.begin_stream()
    if upstream == "chat":
        choice = {"index": 0, "delta": {"role": "assistant", "content": "Hel"}}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        connection.event(f"data: {json.dumps(chunk | {'choices': [choice]})}\n\n".encode())
        return
    message: Json = {"id": "m", "type": "message", "role": "assistant", "model": "m"}
    message |= {"content": [], "stop_reason": None, "stop_sequence": None}
    message |= {"usage": {"input_tokens": 5, "output_tokens": 1}}
    block = {"type": "text", "text": ""}
    delta = {"type": "text_delta", "text": "Hel"}
    for event in (
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
    ):
        connection.event(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())


@each_way
def test_error_event_in_a_stream_is_raised_with_its_reason(
    stage: Stage, sdks: Sdks, way: Way
) -> None:
    def script(_: Seen, connection: Connection) -> None:
        begin(way.upstream, connection)
        name = b"event: error\n" if way.upstream == "messages" else b""
        document = problem(way.upstream, "overloaded_error", "busy: reason 17")
        connection.event(name + b"data: " + json.dumps(document).encode() + b"\n\n")
        connection.end_stream()

    way.provider(stage).script = script
    received = ""
    with (
        pytest.raises((anthropic.APIError, openai.APIError), match="reason 17"),
        sdks.stream(way.sdk, stage.gateway.url, way.model) as stream,
    ):
        for event in stream:
            received += str(event)
    assert "Hel" in received


@each_way
@pytest.mark.parametrize("cleanly", [False, True], ids=["cut", "ended-early"])
def test_broken_stream_is_raised_and_recorded(
    stage: Stage, sdks: Sdks, way: Way, cleanly: bool
) -> None:
    def script(_: Seen, connection: Connection) -> None:
        begin(way.upstream, connection)
        if cleanly:
            connection.end_stream()
        else:
            connection.cut()

    way.provider(stage).script = script
    received = ""
    with (
        pytest.raises((anthropic.APIError, openai.APIError)),
        sdks.stream(way.sdk, stage.gateway.url, way.model) as stream,
    ):
        request_id = stream.response.headers["x-gateway-request-id"]
        for event in stream:
            received += str(event)
    assert "Hel" in received
    record = stage.gateway.record(request_id)
    assert (record["status"], record["success"], record["partial"]) == (200, False, True)


@each_way
def test_client_that_leaves_ends_the_upstreams_work_and_is_recorded(
    stage: Stage, sdks: Sdks, way: Way
) -> None:
    left = threading.Event()

    def script(_: Seen, connection: Connection) -> None:
        begin(way.upstream, connection)
        connection.wait_until_left()
        left.set()

    way.provider(stage).script = script
    with sdks.stream(way.sdk, stage.gateway.url, way.model) as stream:
        request_id = stream.response.headers["x-gateway-request-id"]
        assert any("Hel" in str(event) for event in stream)
    record = stage.gateway.record(request_id)
    assert (record["success"], record["partial"]) == (False, True)
    assert "client left" in record["error_message"]
    assert left.wait(DEADLINE_S)
