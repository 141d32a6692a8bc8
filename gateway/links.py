"""The providers as one worker uses them: connection pool, resolved key, dialect; opens sockets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.access.clients import presented
from gateway.config.settings import Credentials, ProviderSettings
from gateway.errors import RequestError
from gateway.overrides.capabilities import Capabilities
from gateway.providers import CREDENTIALS, PROVIDERS, Dialect
from gateway.providers.anthropic import KEY_PREFIX
from gateway.redact import redact
from gateway.routing import ModelNames
from gateway.translate import usage_chunk
from gateway.upstream.origin import Origin
from gateway.wire.body import Body
from gateway.wire.form import Form
from gateway.wire.formats import Wire
from gateway.wire.http import Header

_MESSAGES, _CHAT = Wire.MESSAGES, Wire.CHAT  # bound once, see `candidates`
_ANTHROPIC = "anthropic"
_WIRE_VENDOR = {_CHAT: "openai", Wire.RESPONSES: "openai"}
_ELSEWHERE = (
    "clients' keys are sent only to their vendor's own hosts, to the default provider and within "
    "the own network"
)
_NO_KEY = "it has no key of the gateway's, and another vendor's key is not sent to it"
_COMMON = frozenset({b"user-agent", b"accept"})  # what is sent on in another wire format

NOTHING_KNOWN = Capabilities({})
"""Of no model anything is known."""


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One provider, ready to be asked. Compared by identity: there is one of each in a worker.

    Attributes:
        key: The gateway's own key; None forwards the client's credential where it fits.
        forwards: Whether a client's credential may be forwarded at all.
        problem: Why the provider cannot be used; None when it can.
        names: What it calls the models.
        wire: The format it speaks.
        capabilities: What is known of models, by what this provider calls them.
        name: The provider's name in the configuration.
        takes_all: Whether a request can be sent here whatever key its client shows.
    """

    settings: ProviderSettings
    origin: Origin
    dialect: Dialect
    key: str | None = field(repr=False)
    forwards: bool
    problem: str | None
    extra: tuple[Header, ...] = field(repr=False)
    names: ModelNames = field(repr=False)
    wire: Wire
    capabilities: Capabilities = field(repr=False)
    name: str = field(init=False)
    takes_all: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        keyed = self.key is not None or self.settings.has_key or not self.dialect.needs_key
        takes_all = self.problem is None and keyed
        object.__setattr__(self, "name", self.settings.name)
        object.__setattr__(self, "takes_all", takes_all)

    def refusal(self, vendor: str | None) -> str | None:
        """Return why a request cannot be sent here; None when it can.

        Args:
            vendor: Whose key the client shows, see `key_vendor`.
        """
        if self.takes_all or (self.problem is None and self.dialect.key_vendor == vendor):
            return None
        return self.problem or _NO_KEY

    def ready(self, vendor: str | None) -> None:
        """Raise RequestError (503) when a request cannot be sent here."""
        problem = self.refusal(vendor)
        if problem is not None:
            raise RequestError(503, "api_error", f"provider {self.name}: {problem}")

    def headers(
        self, headers: tuple[Header, ...], client: Wire, vendor: str | None
    ) -> tuple[Header, ...]:
        """Return the headers to send; a key of the client's goes only to its own vendor.

        Args:
            client: The format the client speaks.
            vendor: Whose key the client shows.
        """
        fits = vendor is not None and self.dialect.key_vendor == vendor
        keeps = self.forwards and self.key is None and fits
        key = self.key
        if client is not self.wire:
            # In another format than the client's, its key may belong into another header.
            given = next(presented(headers), None) if keeps else None
            key = key if given is None else given.decode("latin-1")
            kept = tuple(header for header in headers if header[0] in _COMMON)
            headers = (*kept, (b"content-type", b"application/json"), *self.dialect.own_headers)
        elif not keeps:
            headers = tuple(header for header in headers if header[0] not in CREDENTIALS)
        return self.dialect.request_headers(headers, key, self.extra)

    def adds_usage(self, client: Wire, body: Body) -> bool:
        """Return whether the gateway asks for a stream's usage although the client did not.

        The answer then carries a chunk that is not meant for the client.
        """
        if client is not _CHAT or self.wire is not _CHAT:
            return False
        told = self.settings.stream_usage
        takes = self.dialect.takes_stream_options(self.settings) if told is None else told
        return takes is True and usage_chunk.can_be_added(body)

    def form(self, model: str) -> Form:
        """Return how a request for a model is written that was in another format.

        Its stream is asked for its usage unless that is known to be refused: the client's format
        has a place for it in every answer.
        """
        asks = self.settings.stream_usage
        if asks is None:
            asks = self.dialect.takes_stream_options(self.settings) is not False
        form, known = self.dialect.form(self.settings, model), self.capabilities.of(model)
        efforts = form.efforts if known is None or known.effort is None else known.effort
        return replace(form, stream_options=asks, efforts=efforts)


def key_vendor(headers: tuple[Header, ...], client: Wire, *, authenticated: bool) -> str | None:
    """Return whose key a client shows: by its prefix, else by the format the client speaks.

    A client without any credential counts as one of its format's vendor, who will refuse it.

    Args:
        authenticated: Whether the credential is a token of the gateway's: no vendor's then.
    """
    if authenticated:
        return None
    if client is _MESSAGES:
        return _ANTHROPIC
    prefix = KEY_PREFIX.encode()
    shown = any(token.startswith(prefix) for token in presented(headers))
    return _ANTHROPIC if shown else _WIRE_VENDOR.get(client)


def open_links(
    providers: Iterable[ProviderSettings],
    environ: Mapping[str, str],
    *,
    tokens: bool = False,
    credentials: Credentials = Credentials.CLIENT,
    capabilities: Capabilities = NOTHING_KNOWN,
) -> Mapping[str, Link]:
    """Return a link for every enabled provider, by name. No connection is made yet.

    Args:
        tokens: Whether clients show tokens of the gateway's, which no provider would take.
    """
    needed_for = None
    if credentials is Credentials.GATEWAY:
        needed_for = 'credentials = "gateway" forwards no key of a client\'s'
    elif tokens:
        needed_for = "clients show tokens and not keys"
    return {
        entry.name: _open(entry, environ, needed_for, capabilities)
        for entry in providers
        if entry.enabled
    }


def _open(
    settings: ProviderSettings,
    environ: Mapping[str, str],
    needed_for: str | None,
    capabilities: Capabilities,
) -> Link:
    """Return the link of one provider.

    Args:
        needed_for: Why it cannot do without a key of the gateway's; None when it can.
    """
    key, problem = None, None
    dialect = PROVIDERS[settings.type]
    if needed_for is None and not settings.client_keys:
        needed_for = _ELSEWHERE
    try:
        key = settings.resolve_key(environ)
    except LookupError as error:
        problem = redact(f"its key cannot be resolved: {error.args[0]}")
    lacks_key = dialect.needs_key and not settings.has_key
    if needed_for is not None and lacks_key and problem is None:
        problem = f"it needs apiKeyRef, because {needed_for}"
    extra = tuple((name.lower().encode(), value.encode()) for name, value in settings.headers)
    return Link(
        settings=settings,
        origin=Origin(settings.base_url),
        dialect=dialect,
        key=key,
        forwards=needed_for is None and settings.client_keys,
        problem=problem,
        extra=extra,
        names=ModelNames(settings, dialect.vendor, deploys=dialect.deploys),
        wire=dialect.apis.get(settings.api, dialect.wire),
        capabilities=capabilities,
    )
