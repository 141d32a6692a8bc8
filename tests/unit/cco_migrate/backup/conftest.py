"""A store of backups, and one file to save."""

from __future__ import annotations

from pathlib import Path

import pytest

from cco_migrate.backup import (
    BackupStore,
)
from cco_migrate.world import World


@pytest.fixture
def store(tmp_path: Path, world: World) -> BackupStore:
    (tmp_path / "backups").mkdir()
    return BackupStore(tmp_path / "backups", world)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "model-overrides.toml"
    path.write_bytes(b"enabled = false\r\n\xff")
    path.chmod(0o640)
    return path
