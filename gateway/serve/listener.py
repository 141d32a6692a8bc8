"""Open the listening socket, or take it from the service manager."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Mapping

from gateway.errors import ListenError

_BACKLOG = 4096
_FIRST_PASSED_FD = 3  # systemd's convention, sd_listen_fds(3)
_NAME = "gateway"


def open_listener(
    host: str, port: int, environ: Mapping[str, str], *, any_address: bool = False
) -> socket.socket:
    """Return a listening TCP socket.

    A socket passed by the service manager (see `passed_descriptor`) is used as it is.

    Args:
        port: 0 takes any free port.
        any_address: Whether others than loopback may be listened on: clients must show tokens then.

    Raises ListenError when the address is not loopback, taken, or not ours.
    """
    passed = passed_descriptor(environ)
    if passed is not None:
        return _passed(passed, any_address=any_address)
    address = _address(host, any_address=any_address)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ListenError(f"port {port} on {host} is already in use") from error
        raise ListenError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


def address_of(listener: socket.socket) -> tuple[str, int]:
    """Return host and port the socket listens on."""
    host, port = listener.getsockname()[:2]
    return str(host), int(port)


def url_host(host: str) -> str:
    """Return the host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def passed_descriptor(environ: Mapping[str, str]) -> int | None:
    """Return the descriptor of the socket that the service manager opened; None without one.

    LISTEN_PID says for whom it is, LISTEN_FDS how many there are; of several, LISTEN_FDNAMES has to
    name one `gateway`: one that is left open and never accepted from would hang its clients.

    Raises ListenError when it is not clear which one is meant.
    """
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid()) or count in ("", "0"):
        return None
    if count == "1":
        return _FIRST_PASSED_FD
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    if names.count(_NAME) != 1:
        raise ListenError(
            f"{count} sockets were passed, and not just one is named {_NAME!r}; write "
            f"FileDescriptorName={_NAME} into the socket unit that is meant"
        )
    return _FIRST_PASSED_FD + names.index(_NAME)


def _passed(descriptor: int, *, any_address: bool) -> socket.socket:
    listener = socket.socket(fileno=descriptor)
    try:
        host, _ = address_of(listener)
        _address(host, any_address=any_address)
    except ValueError as error:
        raise ListenError("the socket passed by LISTEN_FDS is not a TCP socket") from error
    listener.listen(_BACKLOG)
    return listener


def _address(host: str, *, any_address: bool) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as error:
        raise ListenError(f"host {host!r} is not an IP address; write 127.0.0.1") from error
    if not (any_address or address.is_loopback):
        raise ListenError(
            f"host {host} is not loopback: without client tokens anybody who reaches it could "
            "spend the provider's key; write 127.0.0.1, or add [[clients]] to gateway.toml"
        )
    return address
