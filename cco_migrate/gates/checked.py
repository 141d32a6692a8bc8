"""Files that an operator names for a gate or a soak: read, and checked against their schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cco_migrate import resources
from cco_migrate.editing.documents import Format, index, parse
from cco_migrate.errors import InvalidInput
from cco_migrate.validate import Source, validate
from cco_migrate.verdict import Severity
from cco_migrate.world import Files


def read_typed(option: str, path: str, files: Files) -> bytes | None:
    """Return the file an option names; None when it names none.

    Raises:
        InvalidInput: It cannot be read.
    """
    if not path:
        return None
    try:
        return files.read(Path(path).expanduser())
    except OSError as error:
        raise InvalidInput(f"{option} {path}: {error.strerror}") from error


def checked(data: bytes, path: Path, schema: str) -> Any:  # Any: JSON, of the schema's shape
    """Return the document; raises InvalidInput with its faults' line, key and what to write."""
    document: Any = parse(data, Format.JSON, path)  # Any: see above
    source = Source(path, data, index(data, Format.JSON))
    findings = validate(document, resources.schema(schema), source)
    errors = tuple(one for one in findings if one.severity is Severity.ERROR)
    if errors:
        raise InvalidInput(str(errors[0]), findings=errors)
    return document
