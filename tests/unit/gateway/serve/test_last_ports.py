"""The memory of the last run's ports."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.serve import last_ports
from gateway.serve.last_ports import FILE, LastPorts


def test_remembered_ports_are_recalled(tmp_path: Path) -> None:
    assert last_ports.recall(tmp_path) == LastPorts(None, None)
    for ports in (LastPorts(4000, None), LastPorts(4000, 4001)):
        last_ports.remember(tmp_path, ports)
        assert last_ports.recall(tmp_path) == ports
    assert [entry.name for entry in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"port": 0}', '{"port": true, "proxy_port": "x"}', '{"port": 70000}'],
)
def test_unreadable_memory_names_no_port(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert last_ports.recall(tmp_path) == LastPorts(None, None)
