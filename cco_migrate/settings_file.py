"""The toolkit's own TOML files beside the gateway's: read whole, and checked by their schema."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cco_migrate import resources
from cco_migrate.editing.documents import Format, index, parse
from cco_migrate.errors import InvalidInput
from cco_migrate.model import JsonObject
from cco_migrate.validate import Source, validate
from cco_migrate.verdict import Severity
from cco_migrate.world import World

MIGRATE = "migrate.toml"
"""The toolkit's own settings; several tables of it belong to different parts."""

FLEET = "fleet.toml"
"""The fleet file: what holds for all gateways that are changed together."""


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """What a file says, and where in it."""

    document: JsonObject
    source: Source


def read_settings(path: Path, schema: str, world: World) -> SettingsFile | None:
    """Return what a file says; None when there is no such file.

    Args:
        schema: Its name among the schemas, e.g. "migrate".

    Raises:
        InvalidInput: The file cannot be read or is wrong; its findings name line, key and fix.
    """
    try:
        data = world.files.read_if_there(path)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from error
    if data is None:
        return None
    document: Any = parse(data, Format.TOML, path)  # Any: its schema says what is inside
    source = Source(path, data, index(data, Format.TOML))
    found = validate(document, resources.schema(schema), source)
    errors = tuple(one for one in found if one.severity is Severity.ERROR)
    if errors:
        raise InvalidInput(str(errors[0]), findings=errors)
    return SettingsFile(document, source)
