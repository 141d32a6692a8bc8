"""The providers as one worker uses them: connection pool, resolved key, dialect; opens sockets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.config import ProviderSettings
from gateway.errors import RequestError
from gateway.providers import PROVIDERS, Dialect
from gateway.redact import redact
from gateway.upstream import Origin
from gateway.wire.http import Header


@dataclass(frozen=True, slots=True)
class Link:
    """One provider, ready to be asked.

    Attributes:
        dialect: None when this version does not speak the provider's type.
        key: The gateway's own key; None forwards the client's credential.
        problem: Why the provider cannot be used; None when it can.
    """

    settings: ProviderSettings
    origin: Origin
    dialect: Dialect | None
    key: str | None = field(repr=False)
    problem: str | None
    extra: tuple[Header, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """The provider's name in the configuration."""
        return self.settings.name

    def ready(self) -> Dialect:
        """Return the dialect to speak. Raises RequestError (503) when there is a problem."""
        if self.dialect is None or self.problem is not None:
            raise RequestError(503, "api_error", f"provider {self.name}: {self.problem}")
        return self.dialect


def open_links(
    providers: Iterable[ProviderSettings], environ: Mapping[str, str]
) -> Mapping[str, Link]:
    """Return a link for every enabled provider, by name. No connection is made yet."""
    return {entry.name: _open(entry, environ) for entry in providers if entry.enabled}


def _open(settings: ProviderSettings, environ: Mapping[str, str]) -> Link:
    key, problem = None, None
    try:
        key = settings.resolve_key(environ)
    except LookupError as error:
        problem = redact(f"its key cannot be resolved: {error.args[0]}")
    dialect = PROVIDERS.get(settings.type)
    if dialect is None:
        problem = f'its type "{settings.type}" is not supported by this version'
    extra = tuple((name.lower().encode(), value.encode()) for name, value in settings.headers)
    return Link(settings, Origin(settings.base_url), dialect, key, problem, extra)
