"""What is copied of an answer on its way, and what decides whether two requests share one."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from gateway.answer_cache import Copy, asked, replay_headers
from gateway.cache import Kept
from gateway.wire.http import Header, ReadSide, Request

JSON: Header = (b"content-type", b"application/json")
SSE: Header = (b"content-type", b"text/event-stream; charset=utf-8")


@dataclass
class Sent:
    """A responder that notes what it was told."""

    calls: list[tuple[object, ...]] = field(default_factory=list)

    @property
    def started(self) -> bool:
        return bool(self.calls)

    def reply(
        self,
        status: int,
        body: bytes,
        content_type: bytes = b"application/json",
        headers: tuple[Header, ...] = (),
    ) -> None:
        self.calls.append(("reply", status, body, content_type, headers))

    def start(self, status: int, headers: tuple[Header, ...], first: bytes = b"") -> None:
        self.calls.append(("start", status, headers, first))

    def write(self, data: bytes) -> None:
        self.calls.append(("write", data))

    def end(self) -> None:
        self.calls.append(("end",))

    def abort(self) -> None:
        self.calls.append(("abort",))

    def throttle(self, source: ReadSide | None) -> None:
        self.calls.append(("throttle", source))


@pytest.mark.parametrize(("header", "stream"), [(JSON, False), (SSE, True)])
def test_everything_passes_and_is_copied(header: Header, stream: bool) -> None:
    sent = Sent()
    copy = Copy(sent, 100)
    copy.throttle(None)
    copy.start(200, (header, (b"request-id", b"r")), b"a")
    copy.write(b"b")
    copy.end()
    assert copy.started
    assert copy.kept == Kept((header,), b"ab", stream)
    assert [call[0] for call in sent.calls] == ["throttle", "start", "write", "end"]


def test_too_long_answer_passes_and_is_not_copied() -> None:
    sent = Sent()
    copy = Copy(sent, 3)
    copy.start(200, (JSON,), b"ab")
    copy.write(b"cd")
    copy.write(b"e")
    assert copy.kept is None
    assert sent.calls[1:] == [("write", b"cd"), ("write", b"e")]


def test_the_gateways_own_and_cut_answers_are_not_copied() -> None:
    own, cut = Copy(Sent(), 100), Copy(Sent(), 100)
    own.reply(502, b"{}", headers=(JSON,))
    cut.start(200, (JSON,), b"a")
    cut.abort()
    assert (own.kept, cut.kept) == (None, None)


def the_request(*headers: Header) -> Request:
    return Request(b"POST", b"/v1/messages", headers, b"{}", 0.0)


def test_credentials_part_answers_unless_the_gateway_pays() -> None:
    one, two = (the_request((b"x-api-key", key)) for key in (b"one", b"two"))
    bearer = the_request((b"authorization", b"one"))

    def payer(request: Request, *, shared: bool) -> bytes:
        found = asked(request, "p", "m", b"/", shared=shared)
        assert b"one" not in found.payer
        return found.payer

    assert len({payer(request, shared=False) for request in (one, two, bearer)}) == 3
    assert len({payer(request, shared=True) for request in (one, two, bearer)}) == 1


def test_replayed_stream_has_no_length() -> None:
    assert replay_headers(Kept((SSE,), b"ab", stream=True)) == (SSE, (b"x-gateway-cache", b"hit"))
    whole = replay_headers(Kept((JSON,), b"ab", stream=False))
    assert whole == (JSON, (b"x-gateway-cache", b"hit"), (b"content-length", b"2"))
