"""What `migrate.toml` says of rehearsals. Reads that one file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from cco_migrate.durations import parse_duration
from cco_migrate.settings_file import MIGRATE, read_settings
from cco_migrate.world import World

MAX_AGE = "7d"


def max_age(config_dir: Path, world: World) -> timedelta:
    """Return how old a rehearsal may be that still counts.

    Args:
        config_dir: The folder `config` of the state root.

    Raises:
        InvalidInput: The file cannot be read or is wrong; its findings name line, key and fix.
    """
    found = read_settings(config_dir / MIGRATE, "migrate", world)
    table = found.document.get("rehearsal", {}) if found else {}
    return timedelta(seconds=parse_duration(table.get("max_age", MAX_AGE), "rehearsal.max_age"))
