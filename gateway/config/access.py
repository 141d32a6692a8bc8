"""Read from `gateway.toml` who may use the gateway, how much, and with whose keys. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from gateway.config.documents import Document
from gateway.config.settings import ClientSettings, Credentials, LimitSettings, ServerSettings
from gateway.errors import ConfigError

_LIMITS = tuple(asdict(LimitSettings()))


def parse_server(path: Path, table: Document) -> ServerSettings:
    """Return where and how the gateway listens. Raises ConfigError."""
    workers = 0 if table.get("workers") == "auto" else table.get("workers", 1)
    names = tuple(table.get("names", ()))
    server = ServerSettings(**{**table, "workers": workers, "names": names})
    if server.max_body_bytes > server.max_buffered_bytes:
        problem = f"a body of {server.max_body_bytes} bytes is accepted and could not be buffered"
        fix = f"write at least {server.max_body_bytes}, or a smaller max_body_bytes"
        raise ConfigError(path, problem, key="server.max_buffered_bytes", fix=fix)
    return server


def parse_limits(table: Document) -> LimitSettings:
    """Return the limits for everybody; for each client they are what its own leave open."""
    return LimitSettings(**table)


def parse_clients(
    path: Path, entries: Sequence[Document], default: LimitSettings
) -> tuple[ClientSettings, ...]:
    """Return who may use the gateway. Raises ConfigError for two with one name or token."""
    found = tuple(_client(entry, default) for entry in entries)
    for what in ("name", "token_sha256"):
        values = [getattr(client, what) for client in found]
        if len(set(values)) != len(values):
            raise ConfigError(path, f"two clients have the same {what}", key="clients")
    return found


def parse_credentials(document: Document) -> Credentials:
    """Return whose key pays a provider that has none of the gateway's."""
    return Credentials(document.get("credentials", "client"))


def _client(entry: Document, default: LimitSettings) -> ClientSettings:
    own = {name: entry[name] for name in _LIMITS if name in entry}
    limits = LimitSettings(**(asdict(default) | own))
    return ClientSettings(entry["name"], entry["token_sha256"], limits)
