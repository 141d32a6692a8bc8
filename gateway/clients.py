"""Tell clients apart by their tokens; only digests are kept. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator

from gateway.errors import RequestError
from gateway.settings import ClientSettings
from gateway.wire.http import Header

_BEARER = b"bearer "


class Clients:
    """Who may use the gateway. Without any client everybody may."""

    __slots__ = ("_digests",)

    def __init__(self, clients: Iterable[ClientSettings]) -> None:
        self._digests = tuple((bytes.fromhex(entry.token_sha256), entry.name) for entry in clients)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def authenticate(self, headers: tuple[Header, ...]) -> str | None:
        """Return the client's name; None when no tokens are configured.

        Raises RequestError (401) for a missing or unknown token. Every digest is compared whole,
        whichever fits, so that the time taken says nothing.
        """
        if not self._digests:
            return None
        found: str | None = None
        for token in presented(headers):
            digest = hashlib.sha256(token).digest()
            for known, name in self._digests:
                if hmac.compare_digest(digest, known):
                    found = name
        if found is None:
            text = "a client token of this gateway is needed, in x-api-key or Authorization"
            raise RequestError(401, "authentication_error", text)
        return found


def presented(headers: Iterable[Header]) -> Iterator[bytes]:
    """Yield the keys and tokens a request carries."""
    for name, value in headers:
        if name == b"x-api-key" and value:
            yield value
        elif name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            yield value[len(_BEARER) :].strip()
