"""Tell the requests that web pages make, by what browsers say of them. Pure.

A browser on this machine reaches loopback for whatever page it shows. A page of any site may send
what a form could send, without being asked first; and one whose own name it makes resolve to
loopback (DNS rebinding) is of the gateway's own site to the browser: it may read the answers, too.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from gateway.config.settings import NETWORK_NAMES, ServerSettings
from gateway.errors import RequestError
from gateway.wire.http import Head

_LED = (b"cross-site", b"same-site")
_UNNAMED = "this host name is not the gateway's; if it should be, add it to [server] names"


def own_names(server: ServerSettings) -> frozenset[str]:
    """Return the gateway's own host names, in lower case."""
    return frozenset(name.lower() for name in (server.host, *server.names))


def require_local(head: Head, names: Collection[str]) -> None:
    """Refuse a browser that was led to the operator API. Raises RequestError (403).

    A web page can make a name of its own resolve to loopback; then Host names that page's site. An
    address cannot be made to lead elsewhere. A page that calls us openly says so in Origin, which
    must be the dashboard's own: other pages are served from loopback, too.

    Args:
        names: The gateway's own host names, in lower case.
    """
    if head.first.get(b"host") and not _names_us(head, names):
        raise _refusal("this host name is not the gateway's")
    if _is_foreign(head) or _is_led(head):
        raise _refusal("other sites may not call this API")


def refuse_pages(head: Head, names: Collection[str], *, shows_key: bool) -> None:
    """Refuse the web pages of other sites at the client API. Raises RequestError (403).

    For a gateway without client tokens: whoever reaches it spends the gateway's key. Clients reach
    it by any name, from containers and through proxies, so Host alone says nothing against one. But
    a browser tells with each POST where its page is from, and then:

    * Host must name the gateway: else a page may have made its own name lead here.
    * A page of another site must show a key, which it cannot add by itself: the browser asks us
      first, and is never told that it may. Who shows one has been let past that by the browser's
      owner, as extensions and desktop applications are.

    Args:
        names: The gateway's own host names, in lower case.
        shows_key: Whether the request carries a key or token.
    """
    if b"origin" in head.first and not _names_us(head, names):
        raise _refusal(_UNNAMED)
    if not shows_key and (_is_foreign(head) or _is_led(head)):
        raise _refusal("web pages of other sites may not use this gateway")


def refuse_rebound(head: Head, names: Collection[str]) -> None:
    """Refuse a GET by a name that may be another site's. Raises RequestError (403).

    For what is read with the gateway's key: with a GET to its own site a page says nothing of
    itself. A name that is certainly no site's passes: of a container, of the local network, or
    without any dot.

    Args:
        names: The gateway's own host names, in lower case.
    """
    name = _name(head)
    if not name or _names_us(head, names) or "." not in name:
        return
    if not name.endswith(NETWORK_NAMES):
        raise _refusal(_UNNAMED)


def _is_foreign(head: Head) -> bool:
    """Return whether a page says that it is of another site than this Host's."""
    if b"origin" not in head.first:
        return False
    host, origin = _text(head, b"host").lower(), _text(head, b"origin").lower()
    return not host or origin not in (f"http://{host}", f"https://{host}")


def _is_led(head: Head) -> bool:
    """Return whether a page of another site embeds or fetches this, without saying so in Origin.

    A link is fine; a form that is sent is none, though the browser calls both the same.
    """
    link = head.method != b"POST" and head.first.get(b"sec-fetch-mode") == b"navigate"
    return head.first.get(b"sec-fetch-site") in _LED and not link


def _names_us(head: Head, names: Collection[str]) -> bool:
    """Return whether Host is an address, which no site can be made to have, or one of the names."""
    name = _name(head)
    if not name:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name in names
    return True


def _name(head: Head) -> str | None:
    """Return the name or address in Host, in lower case; None when it has none, or too much."""
    host = _text(head, b"host")
    try:
        return None if "@" in host else urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _text(head: Head, name: bytes) -> str:
    return head.first.get(name, b"").decode("latin-1")


def _refusal(message: str) -> RequestError:
    return RequestError(403, "permission_error", message)
