"""Editing a file that may be absent: what it writes, and what its undo leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cco_migrate.context import Context
from cco_migrate.errors import StalePlan
from cco_migrate.model import Step
from cco_migrate.steps import ACTIONS

EDITS = [
    {"op": "set", "key": ["gatewayEnabled"], "value": True},
    {"op": "set", "key": ["proxyEnabled"], "value": False},
]
WRITTEN = b'{"gatewayEnabled": true, "proxyEnabled": false}\n'
ACTION = ACTIONS["files.edit-or-create"]


@pytest.fixture
def context(context_at: Callable[[str], Context]) -> Context:
    return context_at("http://127.0.0.1:1")


@pytest.fixture
def path(context: Context) -> Path:
    return context.instance.config_dir / "daemon-config.json"


def step(path: Path) -> Step:
    return Step(4, "switch", "switch", "files.edit-or-create", {"path": str(path), "edits": EDITS})


@pytest.mark.parametrize("before", [None, b'{"proxyEnabled": true}', b'{"a": 1}\n'])
def test_undo_restores_every_byte_or_removes_what_was_created(
    context: Context, path: Path, before: bytes | None
) -> None:
    if before is not None:
        path.write_bytes(before)
    receipt = ACTION.prepare(step(path), context)
    for _ in range(2):  # again after a crash in the middle
        ACTION.apply(step(path), receipt, context)
    assert b'"gatewayEnabled": true' in path.read_bytes()
    for _ in range(2):
        ACTION.undo(step(path), receipt, context)
    assert (path.read_bytes() if path.exists() else None) == before


def test_undo_keeps_what_others_wrote_into_a_created_file(context: Context, path: Path) -> None:
    receipt = ACTION.prepare(step(path), context)
    ACTION.apply(step(path), receipt, context)
    assert path.read_bytes() == WRITTEN
    path.write_bytes(b'{"gatewayEnabled": true, "proxyEnabled": false, "theirs": 1}\n')
    said = ACTION.undo(step(path), receipt, context)
    assert path.read_bytes() == b'{"theirs": 1}\n'
    assert "edits made since then were kept" in said


def test_file_that_somebody_else_created_is_left_alone(context: Context, path: Path) -> None:
    receipt = ACTION.prepare(step(path), context)
    path.write_bytes(b'{"theirs": 1}\n')
    with pytest.raises(StalePlan, match="created by somebody else"):
        ACTION.apply(step(path), receipt, context)
    assert path.read_bytes() == b'{"theirs": 1}\n'
