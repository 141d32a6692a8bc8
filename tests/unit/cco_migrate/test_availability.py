"""The availability probe: what a fresh connection would have seen while something was swapped."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping

from cco_migrate.availability import Availability, AvailabilityProbe
from cco_migrate.world import Clock

Reply = tuple[int, Mapping[str, str], bytes]
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]


def wait_for(done: Callable[[], bool]) -> None:
    assert Clock().wait_until(done, 60, every_s=0.002)


def test_any_http_answer_counts_as_available(serve: Serve) -> None:
    asked = []

    def script(method: str, target: str, _body: bytes) -> Reply:
        asked.append((method, target))
        return 503, {}, b"draining"

    with AvailabilityProbe(serve(script), every_s=0.001) as probe:
        wait_for(lambda: probe.result.probes >= 5)
    seen = probe.result
    assert (seen.failed, seen.longest_gap_s) == (0, 0.0)
    assert seen.probes >= 5
    assert set(asked) == {("GET", "/ready")}


def test_at_least_one_probe_is_made(serve: Serve) -> None:
    with AvailabilityProbe(serve(lambda *_: (200, {}, b""))) as probe:
        pass
    assert probe.result.probes >= 1


def test_port_that_nobody_serves_fails_every_probe(closed_port: int) -> None:
    with AvailabilityProbe(f"http://127.0.0.1:{closed_port}", every_s=0.001) as probe:
        wait_for(lambda: probe.result.probes >= 3)
    seen = probe.result
    assert seen.failed == seen.probes
    assert seen.longest_gap_s == 0.0


def test_answer_that_is_no_http_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def answer() -> None:
            while not stop.is_set():
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"SSH-2.0-nonsense\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with AvailabilityProbe(url, every_s=0.001) as probe:
            wait_for(lambda: probe.result.probes >= 3)
        stop.set()
        socket.create_connection(server.getsockname()).close()
        thread.join()
    assert probe.result.failed == probe.result.probes


def test_gap_spans_the_time_nobody_answered(closed_port: int) -> None:
    """A server that goes away and comes back on its port: the gap is at least that long."""
    address = ("127.0.0.1", closed_port)
    serving = socket.create_server(address)
    with AvailabilityProbe(f"http://127.0.0.1:{address[1]}", every_s=0.001) as probe:
        _answer_some(serving, probe, 3)
        serving.close()
        gone_at = time.monotonic()
        wait_for(lambda: probe.result.failed >= 5)
        down_s = time.monotonic() - gone_at
        with socket.create_server(address) as back:
            _answer_some(back, probe, probe.result.probes + 2)
    seen = probe.result
    assert seen.failed >= 5
    assert seen.probes > seen.failed
    assert down_s <= seen.longest_gap_s < down_s + 10


def _answer_some(server: socket.socket, probe: AvailabilityProbe, count: int) -> None:
    """Answer until so many probes were made."""
    server.settimeout(0.2)
    while probe.result.probes < count:
        try:
            connection, _ = server.accept()
        except TimeoutError:
            continue
        with connection:
            connection.settimeout(5)
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


def test_result_is_a_frozen_row() -> None:
    assert Availability(3, 1, 0.5) == Availability(3, 1, 0.5)
