"""What clients send: one connection's bytes become requests and at most one refusal. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from fuzz.targets.case import pieces
from gateway.serve.head_memory import HeadMemory
from gateway.serve.limits import Limits
from gateway.serve.request_parser import Inbound, Phase, Refusal, RequestParser
from gateway.wire.hops import HOP_BY_HOP
from gateway.wire.http import Header, Request

LIMITS = Limits(head_bytes=512, target_bytes=128, body_bytes=256)
"""Small, so that short inputs reach the bounds."""


def request(data: bytes) -> None:
    """Parse a client's bytes: bounded, the same at any split, and written anew the same request.

    The last law keeps two parties from seeing different requests in the same bytes. What is read is
    the same, too, when the heads are known from before.
    """
    heads = HeadMemory()
    whole = _received([data], LIMITS, heads)
    _compare(whole, _received(pieces(data), LIMITS))
    for parts in ([data], pieces(data)):
        _compare(whole, _received(parts, LIMITS, heads))
    assert all(isinstance(one, Inbound) for one in whole[:-1])
    for asked in (one for one in whole if isinstance(one, Inbound)):
        _check_request(asked)
        (again,) = _received([_written(asked)], Limits())
        assert isinstance(again, Inbound), again
        assert again.target == asked.target
        assert again.body == asked.body
        assert _named(again.headers) == _named(asked.headers)


def _compare(whole: list[Inbound | Refusal], again: list[Inbound | Refusal]) -> None:
    for one, other in zip(whole, again, strict=False):
        assert _said(one) == _said(other) or _bounded(one) or _bounded(other)
    if len(whole) != len(again):
        fewer, more = sorted((whole, again), key=len)
        assert any(map(_bounded, (*fewer[-1:], more[len(fewer)])))


def _received(
    parts: Iterable[bytes], limits: Limits, heads: HeadMemory | None = None
) -> list[Inbound | Refusal]:
    parser = RequestParser(limits, heads=heads)
    for part in parts:
        parser.feed(part, 0.0)
    found = list(parser.ready)
    if found and isinstance(found[-1], Refusal):
        assert parser.phase is Phase.DEAD
    return found


def _said(one: Inbound | Refusal) -> object:
    """Return what was read: of a refusal, how much had arrived is no matter."""
    if isinstance(one, Refusal):
        return one.status, one.message
    said = one.method, one.target, one.headers, one.body
    return said, one.keep_alive, one.http_1_0


def _bounded(one: Inbound | Refusal) -> bool:
    """Return whether a bound was reached: how soon that is noticed depends on the split."""
    return isinstance(one, Refusal) and (one.status in (413, 414, 431) or "large" in one.message)


def _check_request(one: Request) -> None:
    names = [name for name, _ in one.headers]
    assert one.target.startswith(b"/")
    assert len(one.target) <= LIMITS.target_bytes
    assert len(one.body) <= LIMITS.body_bytes
    assert not HOP_BY_HOP & set(names)
    assert names.count(b"host") <= 1
    assert b"content-length" not in names
    for name, value in one.headers:
        assert name
        assert name == name.lower()
        assert value == value.strip(b" \t")
        assert not {0, 10, 13} & {*name, *value}
    assert not {0, 10, 13, 32} & {*one.target}


def _written(one: Request) -> bytes:
    """Return the request as it would be sent on."""
    headers = [*_named(one.headers), (b"content-length", b"%d" % len(one.body))]
    if one.header(b"host") in (None, b""):
        headers.append((b"host", b""))  # HTTP/1.0 may leave it out
    lines = [one.method + b" " + one.target + b" HTTP/1.1"]
    lines += (b"%b: %b" % header for header in headers)
    return b"\r\n".join([*lines, b"", b""]) + one.body


def _named(headers: tuple[Header, ...]) -> list[Header]:
    """Return the headers that say something."""
    return [one for one in headers if one != (b"host", b"")]
