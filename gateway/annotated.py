"""Say in JSON answers what was found out about them, for clients that read no headers.

Off unless `responseAnnotations` asks for it: answers are the provider's, byte for byte, otherwise.
"""

from __future__ import annotations

import time

import msgspec

from gateway.account import Account
from gateway.cost.pricing import usd_text
from gateway.wire.content_coding import PLAIN_CODINGS
from gateway.wire.decoding import UNREADABLE, members
from gateway.wire.http import Header, Responder
from gateway.wire.passing import PassingResponder

NAMES = frozenset({"provider", "latency_ms", "cost_usd"})
"""The members that are added."""


class Annotated(PassingResponder):
    """A responder before the real one: it adds members to JSON objects that are sent in one piece.

    What is longer than the gateway buffers comes in several, and passes as it is.
    """

    __slots__ = ("_account",)

    def __init__(self, responder: Responder, account: Account) -> None:
        super().__init__(responder)
        self._account = account

    def start(
        self, status: int, headers: tuple[Header, ...], first: bytes = b"", lines: bytes = b""
    ) -> None:
        """Write the head and a first piece."""
        said = dict(headers)
        whole = said.get(b"content-length") == b"%d" % len(first)
        if status == 200 and whole and said.get(b"content-encoding") in PLAIN_CODINGS:
            first = annotated(first, self._members())
            # Of two lengths the last one counts.
            headers = (*headers, (b"content-length", b"%d" % len(first)))
        super().start(status, headers, first, lines)

    def _members(self) -> bytes:
        account = self._account
        name = None if account.candidate is None else account.candidate.link.name
        cost = b"null" if account.cost_pico is None else usd_text(account.cost_pico)
        latency_ms = (time.perf_counter() - account.begun) * 1000
        text = b'"provider":%b,"latency_ms":%d,"cost_usd":%b'
        return text % (msgspec.json.encode(name), latency_ms, cost)


def annotated(body: bytes, more: bytes) -> bytes:
    """Return a JSON object with more members, its own bytes kept; any other body as it is.

    Args:
        more: The members called `NAMES`, as JSON; an object that has one of them stays as it is.
    """
    try:
        found = members(body)
    except UNREADABLE:
        return body
    if not NAMES.isdisjoint(found):
        return body
    end = body.rindex(b"}")
    return b"%b%b%b%b" % (body[:end], b"," if found else b"", more, body[end:])
