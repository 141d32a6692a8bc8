"""Which operations the gateway serves, for operators and for clients. Pure: tables.

What a vendor describes stays the vendor's: of the client API only is told what the gateway adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway.operator.question import Question

JSON, EVENTS = "application/json", "text/event-stream"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value of a query or of a path; `schema` is a JSON Schema."""

    name: str
    text: str
    schema: Mapping[str, object]
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one path.

    Attributes:
        schema: Name of the answer's schema; None when the answer is no JSON.
        media: Content types of the answer.
        admin: Whether the admin token is needed.
        unavailable: Whether the same answer is given with status 503, too.
        question: What the body asks; None when there is none, or a vendor describes it.
        vendor: Where the format is described that question and answer have; None for our own.
        headers: What the answer may carry beside its request id, of `HEADERS`.
        error: Name of the schema of the gateway's own errors.
    """

    method: str
    path: str
    text: str
    schema: str | None = None
    media: tuple[str, ...] = (JSON,)
    admin: bool = False
    unavailable: bool = False
    parameters: tuple[Parameter, ...] = ()
    question: type[msgspec.Struct] | None = None
    vendor: str | None = None
    headers: tuple[str, ...] = ()
    error: str = "error"


REQUEST_ID = "x-gateway-request-id"
HEADERS: Mapping[str, str] = {
    REQUEST_ID: "The request's name: its audit record has the same.",
    "x-gateway-provider": "Who was asked.",
    "x-gateway-model": "That provider's name of the model.",
    "x-gateway-override": "The requested model => the model asked instead; only when they differ.",
    "x-gateway-cost-usd": "What the answer cost, USD; not of a stream, nor when it is unknown.",
    "x-gateway-latency-ms": "Milliseconds from the request's first byte; not of a stream.",
    "x-gateway-cache": '"hit" when the response cache answered.',
    "x-gateway-estimate": '"true" when the gateway estimated what its provider cannot count.',
}
"""What the gateway's answers carry of its own; those of providers never do."""

_FLAG: Mapping[str, object] = {"type": "boolean"}
_TEXT: Mapping[str, object] = {"type": "string"}
_TIME: Mapping[str, object] = {"type": "string", "format": "date-time"}
_COUNT: Mapping[str, object] = {"type": "integer", "minimum": 0}

_METRICS = (
    *(
        Parameter(f"include_{name}", f"Whether to return by_{name}.", {**_FLAG, "default": default})
        for name, default in (("agent", True), ("provider", True), ("model", True))
    ),
    Parameter("include_project", "Whether to return by_project.", {**_FLAG, "default": False}),
    Parameter("recent_limit", "How many of the latest requests.", {**_COUNT, "default": 20}),
)
_AUDIT = (
    Parameter("start_time", "Earliest arrival.", _TIME),
    Parameter("end_time", "Latest arrival.", _TIME),
    *(
        Parameter(name, "Only this one.", _TEXT)
        for name in ("agent_type", "provider", "project_id", "request_id")
    ),
    Parameter("success", "Only successes, or only failures.", _FLAG),
    Parameter("limit", "How many, at most 1000.", {**_COUNT, "default": 100}),
    Parameter("offset", "How many to leave out.", {**_COUNT, "default": 0}),
    Parameter("include_bodies", "Bodies, too; needs the admin token.", {**_FLAG, "default": False}),
)

OPERATOR: tuple[Operation, ...] = (
    Operation("get", "/", "The dashboard.", media=("text/html",)),
    Operation("get", "/health", "Whether a worker lives.", "health", unavailable=True),
    Operation("get", "/ready", "Whether it takes requests.", "ready", unavailable=True),
    Operation("get", "/gateway/workers", "Every live worker.", "workers"),
    Operation("get", "/gateway/health", "Providers and ledger.", "gateway-health"),
    Operation(
        "get", "/gateway/metrics", "Sums of all requests.", "gateway-metrics", parameters=_METRICS
    ),
    Operation("post", "/gateway/metrics/reset", "Count from now.", "metrics-reset", admin=True),
    Operation("get", "/gateway/providers", "The providers.", "providers"),
    Operation("get", "/gateway/audit", "Recorded requests.", "audit", parameters=_AUDIT),
    Operation("get", "/api/overrides/stats", "What overrides did.", "overrides"),
    Operation("get", "/api/cache/stats", "What the response caches did.", "cache"),
    Operation("get", "/api/machine/stats", "Sums for charts.", "machine"),
    Operation("get", "/api/project/stats", "Sums and trends.", "project"),
    Operation("get", "/api/stream", "Figures and events, live.", "event", media=(EVENTS,)),
    Operation(
        "get",
        "/metrics",
        "Metrics for Prometheus.",
        media=("text/plain", "application/openmetrics-text"),
    ),
    Operation("get", "/openapi.json", "This document."),
    Operation(
        "post",
        "/gateway/what-if",
        "What other rules would do.",
        "what-if",
        admin=True,
        question=Question,
    ),
    Operation("post", "/api/shutdown", "Drain, then end.", "shutdown", admin=True),
)

_CLAUDE_DOCS = "https://platform.claude.com/docs/en/api"
_OPENAI_DOCS = "https://platform.openai.com/docs/api-reference"
_ASKED = ("x-gateway-provider", "x-gateway-model", "x-gateway-override")
_GENERATED = (*_ASKED, "x-gateway-cost-usd", "x-gateway-latency-ms", "x-gateway-cache")

CLIENT: tuple[Operation, ...] = (
    Operation(
        "post",
        "/v1/messages",
        "A message, whole or as events.",
        media=(JSON, EVENTS),
        vendor=f"{_CLAUDE_DOCS}/messages/create",
        headers=_GENERATED,
    ),
    Operation(
        "post",
        "/v1/messages/count_tokens",
        "The tokens of a prompt.",
        vendor=f"{_CLAUDE_DOCS}/messages/count_tokens",
        headers=(*_ASKED, "x-gateway-cost-usd", "x-gateway-latency-ms", "x-gateway-estimate"),
    ),
    Operation(
        "post",
        "/v1/chat/completions",
        "A chat completion, whole or as events.",
        media=(JSON, EVENTS),
        vendor=f"{_OPENAI_DOCS}/chat/create",
        headers=_GENERATED,
        error="chat-error",
    ),
    Operation(
        "get", "/v1/models", "The default provider's models.", vendor=f"{_CLAUDE_DOCS}/models/list"
    ),
    Operation(
        "get",
        "/v1/models/{id}",
        "One of its models.",
        parameters=(Parameter("id", "The model's.", _TEXT, place="path"),),
        vendor=f"{_CLAUDE_DOCS}/models/retrieve",
    ),
)

OPERATIONS = (*OPERATOR, *CLIENT)
