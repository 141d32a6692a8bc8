"""The listening socket: what is refused, and with which words."""

from __future__ import annotations

import os
import socket

import pytest

from gateway.errors import ListenError
from gateway.serve.listener import address_of, open_listener, passed_descriptor, url_host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.9.9.9"])
def test_loopback_is_listened_on(host: str) -> None:
    with (
        open_listener(host, 0, {}) as listener,
        socket.create_connection(address_of(listener), timeout=5) as client,
    ):
        assert client.getpeername() == address_of(listener)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("0.0.0.0", "is not loopback"),
        ("::", "is not loopback"),
        ("10.0.0.1", "is not loopback"),
        ("example.test", "is not an IP address"),
    ],
)
def test_other_hosts_are_refused(host: str, words: str) -> None:
    with pytest.raises(ListenError, match=words):
        open_listener(host, 0, {})


def test_any_address_is_listened_on_when_clients_show_tokens() -> None:
    with open_listener("0.0.0.0", 0, {}, any_address=True) as listener:
        assert address_of(listener)[0] == "0.0.0.0"
    with pytest.raises(ListenError, match="is not an IP address"):
        open_listener("example.test", 0, {}, any_address=True)


def test_taken_port_is_named() -> None:
    with open_listener("127.0.0.1", 0, {}) as first:
        port = address_of(first)[1]
        with pytest.raises(ListenError, match=f"port {port} on 127.0.0.1 is already in use"):
            open_listener("127.0.0.1", port, {})


def test_descriptors_passed_to_another_process_are_not_taken() -> None:
    environ = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1"}
    with open_listener("127.0.0.1", 0, environ) as listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)  # opened here
        assert address_of(listener)[0] == "127.0.0.1"


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_host_in_a_url_is_bracketed_when_it_must_be(host: str, expected: str) -> None:
    assert url_host(host) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"LISTEN_FDS": "0"}, None),
        ({"LISTEN_FDS": "1"}, 3),
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "cco-gateway.socket"}, 3),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "metrics:gateway"}, 4),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, None),
    ],
)
def test_passed_socket_is_found_by_number_or_name(
    environ: dict[str, str], expected: int | None
) -> None:
    assert passed_descriptor({"LISTEN_PID": str(os.getpid()), **environ}) == expected


@pytest.mark.parametrize("names", ["", "a:b", "gateway:gateway"])
def test_several_passed_sockets_without_one_name_are_refused(names: str) -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": names}
    with pytest.raises(ListenError, match="FileDescriptorName=gateway"):
        passed_descriptor(environ)
