"""Tell clients apart by their tokens; only digests are kept. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Iterator

from gateway.access.pages import refuse_pages
from gateway.config.settings import ClientSettings
from gateway.errors import RequestError
from gateway.wire.http import Head, Header, per_head

_BASIC, _BEARER = b"basic ", b"bearer "


class Clients:
    """Who may use the gateway. Without any client everybody may but the pages of other sites.

    Attributes:
        sender: Returns the client's name as `authenticate` does, or raises RequestError: 401 as
            that does, 403 as `refuse_pages`. A head that passed once is known.
    """

    __slots__ = ("_digests", "sender")

    def __init__(self, clients: Iterable[ClientSettings], names: Collection[str] = ()) -> None:
        """Take note of the clients.

        Args:
            names: The gateway's own host names, in lower case.
        """
        self._digests = tuple((bytes.fromhex(entry.token_sha256), entry.name) for entry in clients)

        def sender(head: Head) -> str | None:
            if not self._digests:  # else a page would have to know a token
                refuse_pages(head, names, shows_key=any(presented(head.headers)))
            return self.authenticate(head.headers)

        # What a head says stays the same as long as there are these clients.
        self.sender: Callable[[Head], str | None] = per_head(sender)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def authenticate(self, headers: tuple[Header, ...]) -> str | None:
        """Return the client's name; None when no tokens are configured.

        Raises RequestError (401) for a missing or unknown token.
        """
        if not self._digests:
            return None
        found: str | None = None
        for token in presented(headers):
            found = self.name_of(token) or found
        if found is None:
            text = "a client token of this gateway is needed, in x-api-key or Authorization"
            raise RequestError(401, "authentication_error", text)
        return found

    def name_of(self, token: bytes) -> str | None:
        """Return whose token it is; None when it is nobody's.

        Every digest is compared whole, whichever fits, so that the time taken says nothing.
        """
        found: str | None = None
        digest = hashlib.sha256(token).digest()
        for known, name in self._digests:
            if hmac.compare_digest(digest, known):
                found = name
        return found


def presented(headers: Iterable[Header]) -> Iterator[bytes]:
    """Yield the keys and tokens a request carries."""
    for name, value in headers:
        if name == b"x-api-key" and value:
            yield value
        elif name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            yield value[len(_BEARER) :].strip()


def basic_password(headers: Iterable[Header]) -> bytes | None:
    """Return the password a browser sends (RFC 7617); None without one. The user is not looked at.

    A password is no key: it is never taken for one by the client API.
    """
    for name, value in headers:
        if name == b"authorization" and value[: len(_BASIC)].lower() == _BASIC:
            try:
                pair = base64.b64decode(value[len(_BASIC) :].strip(), validate=True)
            except ValueError:
                return None
            return pair.partition(b":")[2] or None
    return None
