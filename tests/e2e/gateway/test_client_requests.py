"""Requests of a real client, sent again byte for byte: what arrives, what comes back, what is kept.

`tests/data/client-requests` holds the structure of requests of Claude Code 2.1.197 and 2.1.329, in
the order of their fields; each text is replaced by its length and is filled in anew here.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.gateway.process import DEADLINE_S, GatewayProcess, StartGateway
from tests.e2e.gateway.threaded import Connection, Json, Provider, Seen

FOLDER = Path(__file__).parents[2] / "data" / "client-requests"
HOUSE_MODEL = "house-model"
OWN_KEY = "sk-of-the-gateway-0123456789"

# Who sends the file, and which signal says so; the files of one session are sent in their order.
AGENTS: Mapping[str, tuple[str, str]] = {
    "02": ("main", "thread"),
    "03": ("main", "thread"),
    "04": ("general-purpose", "parent"),
    "05": ("rust-specialist", "parent"),
    "06": ("Explore", "parent"),
    "07": ("plain-agent", "parent"),
    "08": ("Plan", "parent"),
    "09": ("general-purpose", "parent"),  # the second turn of 04
    "10": ("main", "thread"),
    "11": ("subagent", "thread"),  # its parent's answer did not come this way
    "12": ("main", "thread"),
    "13": ("main", "thread"),
    "14": ("main", "thread"),
    "15": ("main", "thread"),
    "16": ("main", "thread"),
    "17": ("main", "thread"),
    "18": ("main", "thread"),
    "19": ("librarian", "definition"),  # --agent on the main thread
    "30": ("main", "thread"),
    "31": ("Explore", "hint"),
    "32": ("rust-specialist", "definition"),  # the hint says "custom"
    "33": ("general-purpose", "hint"),
    "34": ("main", "thread"),
    "35": ("main", "thread"),
    "36": ("subagent", "thread"),
    "38": ("main", "thread"),
}
SPAWNS = ("04", "05", "06", "07", "08")
"""Which sub-agents the answer to 03 starts."""

DEFINITIONS = {"19": "librarian", "32": "rust-specialist"}
"""Whose system prompt begins with an agent definition file of this name."""

Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request of the client, its texts filled in."""

    number: str
    method: str
    path: str
    headers: tuple[Header, ...]
    body: bytes

    @property
    def session(self) -> str | None:
        return dict(self.headers).get("X-Claude-Code-Session-Id")

    @property
    def document(self) -> Json:
        return json.loads(self.body)

    @property
    def model(self) -> str:
        return str(self.document["model"])

    @property
    def raw(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        lines += (f"{name}: {value}" for name, value in self.headers)
        return "\r\n".join([*lines, "", ""]).encode() + self.body

    @property
    def stream(self) -> bool:
        return self.document.get("stream") is True

    @property
    def prompt(self) -> str:
        """Return a sub-agent's prompt: the last text of its first message."""
        return str(self.document["messages"][0]["content"][-1]["text"])


def text(length: int, place: str) -> str:
    """Return text with all that JSON escapes, the same for a place whenever it is asked for."""
    word = hashlib.sha256(place.encode()).hexdigest()[:8]
    return (f'{word} – "é\\\n\t\U0001f600 ' * (length // 8 + 1))[:length]


def filled(value: Json, place: str) -> Json:
    """Return a document with its texts at their length."""
    if isinstance(value, dict):
        return {key: filled(inner, f"{place}.{key}") for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, f"{place}.{at}") for at, inner in enumerate(value)]
    found = re.fullmatch(r"<text of (\d+) characters>", value) if isinstance(value, str) else None
    return value if found is None else text(int(found[1]), place)


def load(path: Path) -> Recorded:
    known = json.loads(path.read_text())
    number, body = path.name[:2], b""
    if known["body"] is not None:
        document = filled(known["body"], number)
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    headers = [
        (name, str(len(body)) if name == "Content-Length" else value)
        for name, value in known["headers_in_order"]
    ]
    return Recorded(number, known["method"], known["path"], tuple(headers), body)


FILES = {one.number: one for one in map(load, sorted(FOLDER.glob("*.json")))}
SESSIONS = {
    session: tuple(group)
    for session, group in itertools.groupby(FILES.values(), lambda one: one.session)
    if session is not None
}


def test_every_file_with_a_session_has_its_agent() -> None:
    assert [one.number for group in SESSIONS.values() for one in group] == list(AGENTS)
    assert {one.session for one in FILES.values()} == {None, *SESSIONS}


# -- the provider


def event(kind: str, **fields: Json) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n".encode()


def spawning() -> Iterator[bytes]:
    """Yield the blocks of an answer that starts the sub-agents of SPAWNS."""
    for index, number in enumerate(SPAWNS):
        agent, _ = AGENTS[number]
        given = json.dumps({"subagent_type": agent, "prompt": FILES[number].prompt})
        block = {"type": "tool_use", "id": f"toolu_{index}", "name": "Agent", "input": {}}
        yield event("content_block_start", index=index, content_block=block)
        for at in range(0, len(given), 11):
            delta = {"type": "input_json_delta", "partial_json": given[at : at + 11]}
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)


def events(model: str, blocks: Iterable[bytes] = ()) -> bytes:
    usage = {"input_tokens": 20, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": model, "usage": usage}
    ending = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
    parts = [event("message_start", message=message), *blocks, ending, event("message_stop")]
    return b"".join(parts)


def whole(model: str) -> Json:
    usage = {"input_tokens": 20, "output_tokens": 9}
    return {"id": "m", "type": "message", "model": model, "content": [], "usage": usage}


def script(seen: Seen, connection: Connection) -> None:
    """Answer a count, a list, a whole message or a stream, as it is asked for."""
    if seen.method == "GET":
        connection.reply(200, {"data": [], "has_more": False})
    elif "count_tokens" in seen.target:
        connection.reply(200, {"input_tokens": 77})
    else:
        body = json.loads(seen.body)
        if not body.get("stream"):
            connection.reply(200, whole(body["model"]))
            return
        connection.begin_stream()
        starts = seen.body == FILES["03"].body
        connection.event(events(body["model"], spawning() if starts else ()))
        connection.end_stream()


# -- the client


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["x-gateway-request-id"]


def send(gateway: GatewayProcess, request: Recorded) -> Reply:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=DEADLINE_S) as client:
        client.sendall(request.raw.replace(b"127.0.0.1:PORT", b"127.0.0.1:%d" % gateway.port))
        answer = http.client.HTTPResponse(client, method=request.method)
        answer.begin()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, headers, answer.read())


@pytest.fixture(scope="module")
def provider(provider_factory: Callable[[], Provider]) -> Provider:
    made = provider_factory()
    made.script = script
    return made


@pytest.fixture(scope="module")
def gateway(
    provider: Provider,
    start_gateway: StartGateway,
    tmp_path_factory: pytest.TempPathFactory,
) -> GatewayProcess:
    """Return a gateway that changes nothing, and knows two agents' definitions."""
    folder = tmp_path_factory.mktemp("agents")
    for number, name in DEFINITIONS.items():
        prompt = FILES[number].document["system"][2]["text"]
        (folder / f"{name}.md").write_text(f"---\nname: {name}\n---\n{prompt}\n")
    own = f"[agents]\ndirectories = [{json.dumps(str(folder))}]\n"
    return start_gateway({**orchestra(provider), "gateway.toml": own})


@pytest.fixture(scope="module")
def overriding(provider: Provider, start_gateway: StartGateway) -> GatewayProcess:
    """Return a gateway that sends every model of the files to another, and pays itself."""
    models = sorted({one.model for one in FILES.values() if one.body})
    rules = [[model, HOUSE_MODEL] for model in models]
    toml = f"[overrides]\nenabled = true\nrules = {json.dumps(rules)}\n"
    files = {**orchestra(provider, apiKeyRef="env:OWN_KEY"), "model-overrides.toml": toml}
    return start_gateway(files, OWN_KEY=OWN_KEY)


def orchestra(provider: Provider, **more: str) -> dict[str, str]:
    entry = {"providerType": "anthropic", "baseUrl": provider.url, "maxRetries": 0, **more}
    document = {"llmGateway": {"providers": {"anthropic": entry}}}
    return {"orchestra-config.json": json.dumps(document)}


def travelling(request: Recorded) -> list[Header]:
    """Return the headers that reach the provider, credentials aside, in their order."""
    own = {"connection", "host", "content-length", "x-api-key", "authorization"}
    kept = [(name.lower(), value) for name, value in request.headers if name.lower() not in own]
    return [(name, "identity" if name == "accept-encoding" else value) for name, value in kept]


CREDENTIALS = ("x-api-key", "authorization")


def check_answer(request: Recorded, reply: Reply, model: str) -> None:
    assert reply.status == 200
    if "count_tokens" in request.path:
        assert json.loads(reply.body) == {"input_tokens": 77}
    elif request.stream:
        starts = request.number == "03" and model == request.model
        assert reply.body == events(model, spawning() if starts else ())
    else:
        assert json.loads(reply.body) == whole(model)


def check_record(gateway: GatewayProcess, request: Recorded, reply: Reply) -> Json:
    entry = gateway.record(reply.id)
    assert (entry["success"], entry["partial"], entry["status"]) == (True, False, 200)
    assert (entry["session_id"], entry["requested_model"]) == (request.session, request.model)
    assert entry["stream"] is request.stream
    assert entry["client"] == dict(request.headers)["User-Agent"]
    assert entry["request_shape"]["messages"] == len(request.document["messages"])
    return entry


@pytest.mark.parametrize("session", SESSIONS)
def test_session_arrives_byte_for_byte_and_its_agents_are_named(
    provider: Provider, gateway: GatewayProcess, session: str
) -> None:
    for request in SESSIONS[session]:
        reply = send(gateway, request)
        seen: Seen = provider.seen[-1]
        assert (seen.method, seen.target) == (request.method, request.path)
        assert seen.body == request.body, request.number
        sent = {name.lower(): value for name, value in request.headers}
        kept = [
            one for one in seen.headers if one[0] not in {"host", "content-length", *CREDENTIALS}
        ]
        assert kept == travelling(request)
        assert [seen.header(name) for name in CREDENTIALS] == [sent.get(n) for n in CREDENTIALS]
        check_answer(request, reply, request.model)
        entry = check_record(gateway, request, reply)
        found = (entry["agent_type"], entry["agent_source"])
        assert found == AGENTS[request.number], request.number


@pytest.mark.parametrize("number", [one.number for one in FILES.values() if one.body])
def test_override_changes_the_model_and_no_other_byte(
    provider: Provider, overriding: GatewayProcess, number: str
) -> None:
    request = FILES[number]
    reply = send(overriding, request)
    seen: Seen = provider.seen[-1]
    before, after = (f'"model":"{model}"'.encode() for model in (request.model, HOUSE_MODEL))
    assert seen.body == request.body.replace(before, after, 1)
    assert json.loads(seen.body) == request.document | {"model": HOUSE_MODEL}
    assert seen.header("x-api-key") == OWN_KEY
    assert seen.header("authorization") is None
    for name in ("anthropic-beta", "anthropic-version", "x-claude-code-session-id"):
        assert seen.header(name) == dict(travelling(request)).get(name)
    check_answer(request, reply, HOUSE_MODEL)
    entry = check_record(overriding, request, reply)
    assert (entry["model"], entry["adapted"]) == (HOUSE_MODEL, [])
    if not request.stream:
        assert reply.headers["x-gateway-override"] == f"{request.model}=>{HOUSE_MODEL}"


def test_requests_outside_of_sessions_are_answered_and_not_recorded(
    provider: Provider, gateway: GatewayProcess
) -> None:
    before = gateway.get("/gateway/audit?limit=1")["total"]
    preflight = send(gateway, FILES["01"])
    assert (preflight.status, preflight.body) == (200, b"")
    listing = send(gateway, FILES["37"])
    assert json.loads(listing.body) == {"data": [], "has_more": False}
    seen: Seen = provider.seen[-1]
    assert (seen.method, seen.target) == ("GET", "/v1/models?limit=1000")
    assert seen.header("x-api-key") == "dummy"
    assert gateway.get("/gateway/audit?limit=1")["total"] == before
