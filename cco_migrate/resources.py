"""Finds the schemas, tables and templates that ship with the toolkit. Reads files, writes none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def schema(name: str) -> Mapping[str, object]:
    """Return the JSON Schema `name`, e.g. "model-overrides".

    Raises:
        FileNotFoundError: when there is no such schema.
    """
    return _load(schema_dir() / f"{name}.schema.json")


def data(name: str) -> Mapping[str, object]:
    """Return the dated table `name`, e.g. "prices".

    Raises:
        FileNotFoundError: when there is no such table.
    """
    return _load(schema_dir() / "data" / f"{name}.json")


def schema_dir() -> Path:
    """Return the folder of the schemas: inside an installed wheel, else in the checkout."""
    return _shipped("schemas")


def template_dir() -> Path:
    """Return the folder of the templates: inside an installed wheel, else in the checkout."""
    return _shipped("templates")


@cache  # as _load
def _shipped(folder: str) -> Path:
    installed = ROOT / "cco_shared" / folder
    return installed if installed.is_dir() else ROOT / folder


@cache  # what ships with the toolkit does not change while it runs
def _load(path: Path) -> Mapping[str, object]:
    loaded = json.loads(path.read_bytes())
    if not isinstance(loaded, dict):
        raise TypeError(f"{path}: expected a JSON object, found {type(loaded).__name__}")
    return loaded
