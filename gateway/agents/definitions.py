"""Read agent definition files; reads each configured folder once, changes nothing."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.agents.identity import Definition, parse_definition

log = logging.getLogger(__name__)

MAX_FILES = 2000
MAX_FILE_BYTES = 256 * 1024


def read_definitions(folders: Iterable[Path]) -> tuple[Definition, ...]:
    """Return the definitions in `*.md` files of the folders and of those inside them.

    What cannot be read is logged and left out: an agent without a name costs a rule, not a start.
    """
    return tuple(found for folder in folders for found in _read_folder(folder))


def _read_folder(folder: Path) -> Iterator[Definition]:
    if not folder.is_dir():
        log.warning("agent definitions: %s is not a folder", folder)
        return
    paths = sorted(itertools.islice(folder.rglob("*.md"), MAX_FILES + 1))
    if len(paths) > MAX_FILES:
        log.warning("agent definitions: %s holds more than %d files", folder, MAX_FILES)
    for path in paths[:MAX_FILES]:
        try:
            found = parse_definition(path.stem, _text(path))
        except (OSError, ValueError) as error:
            log.warning("agent definitions: %s cannot be read: %s", path, error)
        else:
            if found is not None:
                yield found


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"longer than {MAX_FILE_BYTES} bytes")
    return data.decode()
