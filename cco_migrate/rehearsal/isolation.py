"""Configuration files as a clone may use them: nothing in them leads out of this machine. Pure.

Only what would reach something real is changed: providers, whose keys and addresses become those
of the clone's own upstream; stores and caches elsewhere; who may ask, and how often. The overrides
and the switches, which a cutover is about, stay as they are, to the byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cco_migrate import config
from cco_migrate.checks.daemon_record import Switches
from cco_migrate.config import ConfigName
from cco_migrate.editing.changes import apply_edits
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations.gateway_cutover import switch_edits
from cco_migrate.steps.creation import EMPTY

OLD_PATH = Switches(gateway=False, proxy=True)
"""How clients go before the cutover."""

_STORES_ELSEWHERE = frozenset({"dbPath"})
# clients we hold no token of, their limits, folders that are relative to the real state root
_LEFT_OUT = ("clients", "limits", "agents")


@dataclass(frozen=True, slots=True)
class Upstream:
    """What answers in place of every provider.

    Attributes:
        url: Its base URL, on loopback.
        key: Reference to the key that is sent there.
    """

    url: str
    key: str


def isolated(
    files: Mapping[ConfigName, bytes | None], directory: Path, upstream: Upstream
) -> dict[ConfigName, bytes | None]:
    """Return the files of a clone.

    Args:
        files: Those of the deployment; None for one that is absent.
        directory: Where they are; for messages.

    Raises:
        InvalidInput: A file is wrong, so that it is unknown where it leads.
    """
    documents = {name: _document(name, directory, data) for name, data in files.items()}
    made = dict(files)
    made[ConfigName.ORCHESTRA] = _providers(documents[ConfigName.ORCHESTRA], upstream)
    if files[ConfigName.GATEWAY] is not None:
        made[ConfigName.GATEWAY] = _settings(files[ConfigName.GATEWAY] or b"")
    return made


def on_the_old_path(data: bytes | None, path: Path) -> bytes | None:
    """Return the switches of a deployment before its cutover; as they are when it has yet to come.

    Raises:
        EditRefused: They cannot be set without changing anything else.
    """
    checked = config.check_file(ConfigName.DAEMON, path, data or EMPTY)
    if not Switches.of(checked.document).gateway:
        return data
    return apply_edits(data or EMPTY, path, switch_edits(data, path, OLD_PATH))


def _document(name: ConfigName, directory: Path, data: bytes | None) -> Mapping[str, Any]:
    if data is None:
        return {}
    checked = config.check_file(name, directory / name.filename, data)
    if checked.errors:
        raise InvalidInput(str(checked.errors[0]), findings=checked.errors)
    return checked.document


def _providers(document: Mapping[str, Any], upstream: Upstream) -> bytes:
    """Return the file with every provider led to the upstream; without one, with a single one."""
    section: Mapping[str, Any] = document.get("llmGateway", {})
    known: Mapping[str, Any] = section.get("providers") or {"anthropic": {}}
    led = {
        "providerType": "anthropic",  # what the upstream speaks
        "baseUrl": upstream.url,
        "apiKeyRef": upstream.key,
    }
    kept = ("enabled", "modelAliases", "defaultModel", "timeoutSecs", "maxRetries")
    providers = {
        name: {**{key: row[key] for key in kept if key in row}, **led}
        for name, row in known.items()
    }
    audit = {k: v for k, v in section.get("audit", {}).items() if k not in _STORES_ELSEWHERE}
    made = {**document, "llmGateway": {**section, "providers": providers, "audit": audit}}
    return (json.dumps(made, indent=2, default=float) + "\n").encode()  # numbers may be decimals


def _settings(data: bytes) -> bytes:
    """Return gateway.toml open to the rehearsal's own requests, and without a cache elsewhere."""
    import tomlkit  # noqa: PLC0415  # 40 ms that only a rehearsal needs

    document: Any = tomlkit.parse(data.decode())  # Any: its schema says what is inside
    for name in _LEFT_OUT:
        document.pop(name, None)
    if "cache" in document:
        document["cache"].pop("redis_url", None)
    return tomlkit.dumps(document).encode()
