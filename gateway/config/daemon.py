"""Read whether clients go through the gateway, the legacy proxy, or a share; reads files once."""

from __future__ import annotations

import tomllib
from pathlib import Path

from gateway.config.documents import KINDS, ConfigName, Document, check
from gateway.config.settings import DaemonSettings
from gateway.errors import ConfigError

ORIGINAL = "config.toml"
"""Name, in the state root, of the original gateway's configuration file."""

_FILE = KINDS[ConfigName.DAEMON].file
_KEYS = {"gatewayEnabled": "gateway_enabled", "proxyEnabled": "proxy_enabled"}
_SHARE = "gatewayShare"


def load_daemon(config_dir: Path, home: Path) -> tuple[DaemonSettings, tuple[str, ...]]:
    """Return the switches and the warnings. Absent files mean the defaults.

    Raises ConfigError when a file cannot be read, parsed or used.
    """
    path = config_dir / _FILE
    data = read(path)
    document, warnings = ({}, ()) if data is None else check(ConfigName.DAEMON, path, data)
    settings, more = parse_daemon(config_dir, document, home)
    return settings, (*warnings, *more)


def parse_daemon(
    config_dir: Path, document: Document, home: Path
) -> tuple[DaemonSettings, tuple[str, ...]]:
    """Return the switches of a checked document, and of the original's file where it has any.

    Raises ConfigError when that file cannot be used, or when the two disagree.
    """
    path, original = config_dir / _FILE, home / ORIGINAL
    found: dict[str, bool] = {}
    warnings: list[str] = []
    for key, value in _original_switches(original).items():
        if document.get(key, value) != value:
            problem = f"{str(value).lower()} here, {str(not value).lower()} in {path}"
            raise ConfigError(original, problem, key=_KEYS[key], fix=f"keep it in {path.name} only")
        found[key] = value
        if key not in document:
            warnings.append(f"{original}: {_KEYS[key]}: read from here; move it to {path}")
    found |= {key: document[key] for key in _KEYS if key in document}
    settings = DaemonSettings(
        found.get("gatewayEnabled", True),
        found.get("proxyEnabled", False),
        document.get(_SHARE, 100),
    )
    if _SHARE in document and not (settings.gateway_enabled and settings.proxy_enabled):
        effect = "has no effect unless gatewayEnabled and proxyEnabled are both true"
        warnings.append(f"{path}: {_SHARE}: {effect}")
    return settings, tuple(warnings)


def read(path: Path) -> bytes | None:
    """Return a file's content; None when it is absent. Raises ConfigError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(path, f"cannot be read: {error.strerror}") from error


def _original_switches(path: Path) -> dict[str, bool]:
    """Return what the original's file says about the two switches, under today's names."""
    data = read(path)
    if data is None:
        return {}
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except ValueError as error:
        raise ConfigError(path, f"not valid TOML: {error}") from error
    found: dict[str, bool] = {}
    for key, old in _KEYS.items():
        for name in (key, old):
            value = document.get(name, found.get(key))
            if value is not None and not isinstance(value, bool):
                raise ConfigError(path, "must be true or false", key=name)
            if value is not None and found.setdefault(key, value) is not value:
                raise ConfigError(path, f"and {key} have different values", key=old, fix="keep one")
    return found
