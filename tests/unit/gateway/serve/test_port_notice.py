"""What the world is told of a supervisor's ports: PID file, memory, log lines."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from gateway.serve import last_ports, pidfile
from gateway.serve.last_ports import LastPorts
from gateway.serve.port_notice import PortNotice


def notice(home: Path, host: str = "127.0.0.1") -> PortNotice:
    return PortNotice(home, host, 4000, "1.2", "run-1")


def ports(home: Path) -> tuple[int | None, int | None, int | None]:
    record = pidfile.read(pidfile.path_in(home))
    assert record is not None
    assert (record.pid, record.version, record.run) == (os.getpid(), "1.2", "run-1")
    return record.port, record.gateway_port, record.proxy_port


def test_ports_are_told_as_they_come_and_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told = notice(tmp_path)
    for enabled, proxy, expected, lines in (
        (True, None, (4000, 4000, None), [
            "LLM Gateway initialized successfully",
            "LLM Gateway started on port 4000",
            "PID file updated with gateway port: 4000",
        ]),
        (True, 4001, (4000, 4000, 4001), [
            "Proxy server started on port 4001", "PID file updated with proxy port: 4001",
        ]),
        (True, 4001, (4000, 4000, 4001), []),
        (False, 4001, (4000, None, 4001), [
            "LLM Gateway switched off by gatewayEnabled: port 4000 passes on what still comes",
        ]),
        (True, None, (4000, 4000, None), [
            "LLM Gateway initialized successfully",
            "LLM Gateway started on port 4000",
            "PID file updated with gateway port: 4000",
        ]),
    ):  # fmt: skip
        caplog.clear()
        told.tell(gateway_enabled=enabled, proxy_port=proxy)
        assert ports(tmp_path) == expected
        assert caplog.messages == lines
    assert last_ports.recall(tmp_path) == LastPorts(4000, 4001)  # the next proxy wants it back


def test_unchanged_ports_are_not_written_again(tmp_path: Path) -> None:
    told, path = notice(tmp_path), pidfile.path_in(tmp_path)
    told.tell(gateway_enabled=True, proxy_port=None)
    before = path.stat()
    told.tell(gateway_enabled=True, proxy_port=None)
    assert path.stat() == before


def test_lost_or_replaced_file_is_written_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told, path = notice(tmp_path), pidfile.path_in(tmp_path)
    told.tell(gateway_enabled=True, proxy_port=None)
    written = path.read_bytes()
    for spoil in (path.unlink, lambda: path.write_text('{"pid": 1, "port": 4}'), path.unlink):
        spoil()
        told.tell(gateway_enabled=True, proxy_port=None)
        assert path.read_bytes() == written
    assert caplog.messages == ["the PID file was removed or replaced; written again"] * 3


def test_file_that_cannot_be_written_again_is_no_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    told = notice(home)
    told.tell(gateway_enabled=True, proxy_port=None)
    home.rename(tmp_path / "moved")
    for _ in range(2):
        told.tell(gateway_enabled=True, proxy_port=None)
    home.mkdir()
    told.tell(gateway_enabled=True, proxy_port=None)
    assert ports(home) == (4000, 4000, None)
    assert sum("cannot be written, the gateway goes on" in one for one in caplog.messages) == 1


@pytest.mark.parametrize(
    ("host", "reached_at"),
    [("127.0.0.1", None), ("0.0.0.0", None), ("127.9.9.9", "127.9.9.9"), ("::", "::1")],
)
def test_host_is_one_that_is_reached_from_here(
    tmp_path: Path, host: str, reached_at: str | None
) -> None:
    notice(tmp_path, host).tell(gateway_enabled=True, proxy_port=None)
    assert json.loads(pidfile.path_in(tmp_path).read_text()).get("host") == reached_at
