"""What a step or check is given besides its own data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cco_migrate.backup import BackupStore
from cco_migrate.client import GatewayClient
from cco_migrate.config import ConfigName
from cco_migrate.errors import InvalidInput
from cco_migrate.model import Instance, JsonObject
from cco_migrate.world import World

Waiting = Callable[[str, float], None]
"""Says what is awaited, and for how many seconds at most; "" when the wait is over."""


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of one step.

    Attributes:
        run: Run id.
        run_dir: Where the run keeps its files.
        evidence: What earlier steps returned, by step id.
        waiting: Tells the person what is awaited.
        render: Returns the report's files by name, as text.
    """

    world: World
    instance: Instance
    run: str
    run_dir: Path
    evidence: Mapping[str, JsonObject]
    waiting: Waiting
    render: Callable[[], Mapping[str, str]]

    @property
    def gateway(self) -> GatewayClient:
        """The instance's operator API."""
        return GatewayClient(self.instance.url, self.world.http)

    @property
    def backups(self) -> BackupStore:
        """The state root's backups."""
        return BackupStore(self.instance.migrate_dir / "backups", self.world)

    def config_files(self) -> dict[ConfigName, bytes | None]:
        """Read the instance's configuration files; None for one that is absent.

        Raises:
            InvalidInput: One is there and cannot be read.
        """
        found: dict[ConfigName, bytes | None] = {}
        for name in ConfigName:
            path = self.instance.config_dir / name.filename
            if name is ConfigName.OVERRIDES:
                path = self.instance.config
            try:
                found[name] = self.world.files.read_if_there(path)
            except OSError as error:
                raise InvalidInput(f"{path}: {error.strerror}") from error
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What applying a step did.

    Attributes:
        summary: One sentence with the figures.
        facts: The figures by name; JSON values only.
    """

    summary: str
    facts: JsonObject
