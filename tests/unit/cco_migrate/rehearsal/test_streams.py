"""A client that asks again and again: which streams came whole, and what broke the others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence

import pytest

from cco_migrate.rehearsal.streams import StreamingClient

Reply = tuple[int, Mapping[str, str], bytes | Sequence[bytes | None]]
Script = Callable[[str, str, bytes], Reply]
IDS = {"x-gateway-request-id": "r-1", "content-type": "text/event-stream"}


def event(kind: str) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind}).encode())


def asked_once(serve: Callable[[Script], str], reply: Reply) -> StreamingClient:
    """Answer every request so, until the client has seen one."""
    client = StreamingClient(serve(lambda _method, _path, _body: reply), "m", "key")
    deadline = time.monotonic() + 60
    with client:
        while not client.seen.whole and not client.seen.broken:
            assert time.monotonic() < deadline, "the client saw nothing"
            time.sleep(0.005)
    return client


def test_stream_with_its_terminal_event_is_whole_and_known_by_its_id(
    serve: Callable[[Script], str],
) -> None:
    begun_s = time.monotonic()
    seen = asked_once(serve, (200, IDS, [event("message_start"), event("message_stop")])).seen
    assert (set(seen.whole), seen.broken) == ({"r-1"}, ())
    assert min(seen.begun_s) >= begun_s


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((200, IDS, [event("message_start")]), "no message_stop"),
        ((200, IDS, [event("message_start"), None]), ""),  # cut by the server
        ((503, IDS, b"{}"), "answered with 503"),
    ],
)
def test_stream_that_does_not_end_as_it_should_is_broken(
    serve: Callable[[Script], str], reply: Reply, said: str
) -> None:
    seen = asked_once(serve, reply).seen
    assert seen.whole == ()
    assert said in seen.broken[0]


def test_port_nobody_listens_on_is_a_broken_stream(closed_port: int) -> None:
    client = StreamingClient(f"http://127.0.0.1:{closed_port}", "m", "key")
    deadline = time.monotonic() + 60
    with client:
        while not client.seen.broken:
            assert time.monotonic() < deadline, "the client saw nothing"
            time.sleep(0.005)
    assert client.seen.whole == ()
