"""Find and read the schemas and data tables of the package; reads files, keeps nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def schema_dir() -> Path:
    """Return the folder of the JSON Schemas: the wheel's copy, else the checkout's."""
    root = Path(__file__).resolve().parent.parent
    packaged = root / "cco_shared" / "schemas"
    return packaged if packaged.is_dir() else root / "schemas"


def schema(name: str) -> Mapping[str, Any]:  # Any: a JSON document
    """Return the JSON Schema `name`.schema.json. Raises OSError when it is not installed."""
    return _document(schema_dir() / f"{name}.schema.json")


def prices() -> Mapping[str, Any]:  # Any: a JSON document
    """Return the dated price table. Raises OSError when it is not installed."""
    return _document(schema_dir() / "data" / "prices.json")


def capabilities() -> Mapping[str, Any]:  # Any: a JSON document
    """Return the dated table of what models accept. Raises OSError when it is not installed."""
    return _document(schema_dir() / "data" / "capabilities.json")


def _document(path: Path) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(path.read_bytes())
    return document
