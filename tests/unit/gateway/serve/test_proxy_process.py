"""The legacy proxy as its supervisor holds it, with real processes."""

from __future__ import annotations

import logging
import re
import selectors
import socket
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from gateway.serve.proxy_process import LegacyProxy

DEADLINE_S = 30.0


class Held:
    """A proxy and the selector that a supervisor would have."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.proxy = LegacyProxy(self.selector, drain_s=5)

    def until(self, condition: Callable[[], bool]) -> None:
        """Supervise until the condition is true."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "the condition never came true"
            if self.selector.get_map() and self.selector.select(0.01):
                self.proxy.hear()
            self.proxy.tick(time.monotonic())

    def told(self) -> tuple[int | None, bool]:
        """Return the port, and whether no process is left."""
        return self.proxy.port, self.proxy.ended

    def serving(self) -> int:
        """Return the port once it serves."""
        self.until(lambda: self.proxy.port is not None)
        assert self.proxy.port is not None
        return self.proxy.port


def proxies() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [one for one in children if "gateway.serve.forward_proxy" in one.cmdline()]


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.proxy.stop()
    made.proxy.kill()
    made.until(lambda: made.proxy.ended)
    made.selector.close()


def test_port_is_told_only_while_it_serves(held: Held) -> None:
    assert held.told() == (None, True)
    held.proxy.start(None)
    assert held.told() == (None, True)
    port = held.serving()
    socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S).close()
    held.proxy.start(None)  # it runs already
    assert held.proxy.port == port
    held.proxy.stop()
    assert held.told() == (None, False)
    held.until(lambda: held.proxy.ended)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
    held.proxy.start(port)
    assert held.serving() == port


def test_start_waits_for_the_port_of_a_process_that_still_listens(held: Held) -> None:
    """Its clients know no other port, so a free one is no way out."""
    held.proxy.start(None)
    port = held.serving()
    (process,) = proxies()
    now = time.monotonic()  # stands still, so that nobody is late
    process.suspend()
    try:
        held.proxy.stop()
        held.proxy.start(port)
        for _ in range(3):
            held.proxy.tick(now)
        assert held.told() == (None, False)
        assert not held.proxy.settled
        assert proxies() == [process]
    finally:
        process.resume()
    assert held.serving() == port


def test_port_of_the_last_run_gives_way_when_taken(
    held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        held.proxy.start(port)
        assert held.serving() != port
    assert f"proxy: port {port} on 127.0.0.1 is already in use" in caplog.text


def test_start_that_fails_is_tried_again_and_raises_nothing(
    held: Held, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.ERROR)
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", "/no/such/python")
        held.proxy.start(None)
        for _ in range(3):
            held.proxy.tick(float("inf"))
    assert re.findall(r"restart_in_s=([\d.]+)", caplog.text) == ["0", "0.5", "1"]
    held.proxy.tick(float("inf"))
    assert held.serving() > 0
