"""Turn the checked section `[cache]` into settings. Pure, but for a look for a package."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from gateway.config.documents import Document
from gateway.config.settings import CacheSettings
from gateway.errors import ConfigError

URL_KEY = "cache.redis_url"

_SCHEMES = ("redis", "rediss", "unix")
_REFERENCE = 'put the URL into an environment variable and write "env:NAME", or "file:PATH"'


def parse_cache(path: Path, table: Document, home: Path) -> CacheSettings:
    """Return the settings. Raises ConfigError for a URL that cannot be used.

    Args:
        path: The file, for messages.
        home: What a relative path is relative to.
    """
    url: str | None = table.get("redis_url")
    if url is not None:
        _check(path, url)
        if find_spec("redis") is None:
            fix = "install it with: pip install 'cco-migrate[redis]'"
            raise ConfigError(path, "needs the package redis", key=URL_KEY, fix=fix)
        if url.startswith("file:"):
            url = f"file:{home / Path(url.removeprefix('file:')).expanduser()}"
    return CacheSettings(**{**table, "redis_url": url})


def cache_warnings(table: Document) -> Iterator[str]:
    """Return one sentence for each key that changes nothing beside the others."""
    if "redis_url" in table and "max_bytes" in table:
        yield "cache.max_bytes: has no effect with redis_url, Redis has a limit of its own"


def _check(path: Path, url: str) -> None:
    """Refuse a secret in the file; what a reference leads to is not known yet."""
    if url.startswith(("env:", "file:")):
        return
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _SCHEMES and parts.port != 0
    except ValueError as error:
        raise ConfigError(path, "is not a URL", key=URL_KEY, fix=_REFERENCE) from error
    if not usable:
        fix = "write redis://HOST[:PORT][/DB], rediss://… or unix://PATH"
        raise ConfigError(path, "is not a URL of Redis", key=URL_KEY, fix=fix)
    if parts.password or "password" in parse_qs(parts.query):
        raise ConfigError(path, "holds a password", key=URL_KEY, fix=_REFERENCE)
