"""Requests, answers, errors and streams in every direction of translation. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count

from fuzz.targets.case import Target, Value, pieces
from fuzz.targets.grammar import CHECKS
from gateway.errors import RequestError, UpstreamError
from gateway.translate import TRANSLATORS, Mint, translators
from gateway.wire.formats import Translator, Wire

STATUSES = (400, 404, 429, 500, 529)

Make = Callable[[], Translator]
"""Makes a translator whose ids count up from one, so that a find repeats."""


def translation() -> Mapping[str, Target]:
    """Return the targets: `<client>_<upstream>.<kind>`."""
    kinds = {"request": request, "answer": answer, "error": error, "stream": stream}
    return {
        f"{client}_{upstream}.{kind}": partial(check, partial(_fresh, client, upstream), client)
        for client, upstream in TRANSLATORS
        for kind, check in kinds.items()
    }


def request(make: Make, _: Wire, body: bytes) -> None:
    """Translate a request: to a JSON object for the model asked for, or to a 400 that says why."""
    try:
        found = _object(make().request(body, "the-model"))
    except RequestError as refusal:
        assert refusal.status == 400
        assert str(refusal).encode()
        return
    assert found["model"] == "the-model"


def answer(make: Make, client: Wire, body: bytes) -> None:
    """Translate a whole answer: a client's SDK can read it, or an UpstreamError says why not."""
    translator = make()
    translator.reading(body)
    try:
        found = translator.answer(body)
    except UpstreamError as problem:
        assert str(problem).encode()
        return
    CHECKS[client].answer(_object(found))


def error(make: Make, client: Wire, body: bytes) -> None:
    """Translate an error answer: always to one with a reason, whatever the body is."""
    for status in STATUSES:
        CHECKS[client].error(_object(make().error(status, body)))


def stream(make: Make, client: Wire, data: bytes) -> None:
    """Translate a stream: well-formed events in their order, one end, the same at any split."""
    ways = []
    for parts in ([data], list(pieces(data))):
        one = make().stream()
        found = b"".join([*(one.feed(part) for part in parts), one.end()])
        assert one.end() == b""
        assert one.feed(b"data: {}\n\n") == b""
        ways.append((CHECKS[client].stream(found), one.complete, one.reading()))
    assert ways[0] == ways[1]


def _fresh(client: Wire, upstream: Wire) -> Translator:
    numbers = count(1)
    mint = Mint(lambda: f"{next(numbers):04}", lambda: 1_700_000_000.5)
    return translators(mint)[client, upstream]


def _object(body: bytes) -> dict[str, Value]:
    found = json.loads(body)
    assert isinstance(found, dict)
    return found
