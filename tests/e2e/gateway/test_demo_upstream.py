"""The demo upstream as a process on loopback, seen by a real client."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from anthropic import Anthropic, BadRequestError, NotFoundError
from anthropic.types import Message, MessageParam, ToolParam

HAIKU = "claude-haiku-4-5-20251001"
DEADLINE_S = 20.0
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "Tells the sky",
    "input_schema": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
}


@dataclass(frozen=True, slots=True)
class Demo:
    process: subprocess.Popen[bytes]
    port: int
    started_at: str

    def client(self, key: str = "demo-key") -> Anthropic:
        return Anthropic(api_key=key, base_url=f"http://127.0.0.1:{self.port}", max_retries=0)

    def connect(self) -> contextlib.closing[http.client.HTTPConnection]:
        return contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        )


@contextlib.contextmanager
def demo_process(folder: Path, *options: str) -> Iterator[Demo]:
    ready = folder / "ready.json"
    with (folder / "demo.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.demo.upstream", "--ready-file", str(ready), *options],
            stderr=log,
        )
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not ready.exists():
            assert process.poll() is None, (folder / "demo.log").read_text()
            assert time.monotonic() < deadline, "the demo upstream did not become ready"
            time.sleep(0.01)
        record = json.loads(ready.read_text())
        assert record["pid"] == process.pid
        yield Demo(process, record["port"], record["started_at"])
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo_process(tmp_path_factory.mktemp("demo"), "--delay-ms", "0.5") as running:
        yield running


@pytest.fixture
def client(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Anthropic]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with demo.client() as client:
        yield client


def said(text: str) -> list[MessageParam]:
    return [{"role": "user", "content": text}]


def but_content(message: Message) -> dict[str, Any]:
    # Any: the client's own dump, compared as a whole.
    return message.model_dump(mode="json", exclude={"id", "content"})


def test_sdk_message_has_text_and_honest_usage(client: Anthropic) -> None:
    message = client.messages.create(model=HAIKU, max_tokens=300, messages=said("Hello you"))
    block = message.content[0]
    assert block.type == "text"
    assert "demo" in block.text
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens == 3
    assert message.usage.output_tokens == -(-len(block.text.encode()) // 4)


def test_sdk_stream_says_the_same_as_the_message(client: Anthropic) -> None:
    whole = client.messages.create(model=HAIKU, max_tokens=300, messages=said("Hello"))
    with client.messages.stream(model=HAIKU, max_tokens=300, messages=said("Hello")) as stream:
        pieces = list(stream.text_stream)
        streamed = stream.get_final_message()
    assert len(pieces) > 5
    assert but_content(streamed) == but_content(whole)
    assert [b.text for b in streamed.content if b.type == "text"] == ["".join(pieces)]
    assert [b.text for b in whole.content if b.type == "text"] == ["".join(pieces)]


@pytest.mark.parametrize("streaming", [False, True])
def test_sdk_tool_call_round_trip(client: Anthropic, streaming: bool) -> None:
    question = said("What is the weather in Lisbon?")
    if streaming:
        with client.messages.stream(
            model=HAIKU, max_tokens=300, messages=question, tools=[WEATHER]
        ) as stream:
            message: Message = stream.get_final_message()
    else:
        message = client.messages.create(
            model=HAIKU, max_tokens=300, messages=question, tools=[WEATHER]
        )
    call = message.content[-1]
    assert call.type == "tool_use"
    assert (call.name, call.input, message.stop_reason) == (
        "get_weather",
        {"location": "Lisbon"},
        "tool_use",
    )
    answer = client.messages.create(
        model=HAIKU,
        max_tokens=300,
        tools=[WEATHER],
        messages=[
            *question,
            {"role": "assistant", "content": message.content},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}],
            },
        ],
    )
    assert answer.stop_reason == "end_turn"


def test_sdk_thinking_block_comes_first(client: Anthropic) -> None:
    with client.messages.stream(
        model=HAIKU,
        max_tokens=2000,
        thinking={"type": "enabled", "budget_tokens": 1024},
        messages=said("Hello"),
    ) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].type == "thinking"
    assert message.content[0].signature


def test_prompt_cache_is_written_once_and_then_read_per_model(client: Anthropic) -> None:
    def usage(model: str) -> tuple[int | None, int | None]:
        found = client.messages.create(
            model=model,
            max_tokens=10,
            system=[{"type": "text", "text": "x" * 400, "cache_control": {"type": "ephemeral"}}],
            messages=said("Hello"),
        ).usage
        return found.cache_creation_input_tokens, found.cache_read_input_tokens

    assert [usage(HAIKU), usage(HAIKU), usage("claude-sonnet-5"), usage(HAIKU)] == [
        (100, 0),
        (0, 100),
        (100, 0),
        (0, 100),
    ]


def test_count_tokens_agrees_with_usage(client: Anthropic) -> None:
    counted = client.messages.count_tokens(model=HAIKU, messages=said("Hello"), tools=[WEATHER])
    message = client.messages.create(
        model=HAIKU, max_tokens=1, messages=said("Hello"), tools=[WEATHER]
    )
    assert counted.input_tokens == message.usage.input_tokens
    assert message.stop_reason == "max_tokens"


def test_models_are_listed_page_by_page(client: Anthropic) -> None:
    names = [model.id for model in client.models.list(limit=7)]
    assert HAIKU in names
    assert len(names) == len(set(names)) > 7
    assert client.models.retrieve(HAIKU).created_at.year == 2025


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("claude-haiku-4-5", True),
        ("claude-haiku-4-5-20991231", True),
        ("claude-sonnet-4.5-20250929", False),
        ("sonnet", False),
    ],
)
def test_only_models_of_the_price_table_are_known(
    client: Anthropic, model: str, known: bool
) -> None:
    expected = contextlib.nullcontext() if known else pytest.raises(NotFoundError, match="model: ")
    with expected:
        reply = client.messages.create(model=model, max_tokens=5, messages=said("Hello"))
        assert reply.model == model


def test_bad_request_is_refused_in_the_providers_grammar(client: Anthropic) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.messages.create(model=HAIKU, max_tokens=0, messages=said("Hello"))
    body = caught.value.body
    assert isinstance(body, dict)
    assert body["error"]["type"] == "invalid_request_error"
    assert body["request_id"] == caught.value.request_id


def test_missing_credential_is_refused(demo: Demo) -> None:
    with demo.connect() as connection:
        connection.request("POST", "/v1/messages?beta=true", body=b"{}")
        response = connection.getresponse()
        body = json.loads(response.read())
    assert (response.status, body["error"]["type"]) == (401, "authentication_error")
    assert response.headers["request-id"] == body["request_id"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("HEAD", "/"), ("GET", "/v1/messages"), ("PUT", "/v1/models")],
)
def test_other_routes_are_not_found(demo: Demo, method: str, path: str) -> None:
    with demo.connect() as connection:
        connection.request(method, path, headers={"x-api-key": "k"})
        response = connection.getresponse()
        body = response.read()
    assert response.status == 404
    assert response.headers["request-id"].startswith("req_")
    assert (body == b"") == (method == "HEAD")


def test_ready_file_names_the_process_start(demo: Demo) -> None:
    created = psutil.Process(demo.process.pid).create_time()
    shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created))
    assert demo.started_at.startswith(shown)
    assert demo.started_at.endswith("Z")


def test_sigterm_ends_the_process_cleanly(tmp_path: Path) -> None:
    with demo_process(tmp_path) as running:
        os.kill(running.process.pid, signal.SIGTERM)
        assert running.process.wait(DEADLINE_S) == 0


def test_taken_port_is_reported(demo: Demo, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "gateway.demo.upstream",
            "--port",
            str(demo.port),
            "--ready-file",
            str(ready),
        ],
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1
    assert str(demo.port).encode() in done.stderr
    assert not ready.exists()
