"""Every error the gateway raises on purpose. Pure.

GatewayError
├── ConfigError      a configuration file is missing, malformed or contradicts itself
├── ListenError      the address cannot be listened on
├── AlreadyRunning   another daemon holds this state root
├── RequestError     the client's request cannot be served as it is (has an HTTP status)
│   └── NoRoom       the worker has no memory left for what the request needs
└── UpstreamError    the provider could not be reached or broke the protocol
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path


class GatewayError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(GatewayError):
    """A configuration file cannot be used.

    Attributes:
        path: The file.
        line: 1-based line, or None when the fault is the file itself.
        key: Dotted key path, or None for a syntax error.
        fix: What to write instead, or None when there is no single answer.
    """

    def __init__(
        self,
        path: Path,
        problem: str,
        *,
        line: int | None = None,
        key: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.path, self.problem, self.line, self.key, self.fix = path, problem, line, key, fix
        where = f"{path}:{line}" if line is not None else str(path)
        super().__init__(
            f"{where}: " + (f"{key}: " if key else "") + problem + (f"; {fix}" if fix else "")
        )


class ListenError(GatewayError):
    """The address cannot be listened on: taken, not ours, or not loopback."""


class AlreadyRunning(GatewayError):
    """Another daemon holds this state root; the message names its pid and port."""


class RequestError(GatewayError):
    """The client's request cannot be served as it is.

    Attributes:
        status: HTTP status of the answer, 4xx or 5xx.
        kind: Anthropic error type, e.g. "invalid_request_error".
        headers: Sent with the answer, e.g. `retry-after`; names in lower case.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self.status, self.kind, self.headers = status, kind, headers
        super().__init__(message)


class NoRoom(RequestError):
    """The worker has no memory left for what a request needs: 503 with `retry-after`."""

    def __init__(self, message: str) -> None:
        super().__init__(503, "overloaded_error", message, headers=((b"retry-after", b"5"),))


class UpstreamFault(StrEnum):
    """What went wrong between the gateway and a provider."""

    CONNECT = "connect"  # refused, unreachable, DNS, TLS
    TIMEOUT = "timeout"  # no head, or no byte, within the limit
    PROTOCOL = "protocol"  # not HTTP/1.1, surplus bytes, an unexpected 101
    CUT = "cut"  # the connection ended before the message did


class UpstreamError(GatewayError):
    """The provider could not be reached or broke the protocol.

    Attributes:
        fault: What went wrong.
    """

    def __init__(self, fault: UpstreamFault, message: str) -> None:
        self.fault = fault
        super().__init__(message)

    def refusal(self, provider: str) -> RequestError:
        """Return what a client is told when the named provider's answer never began."""
        status = 504 if self.fault is UpstreamFault.TIMEOUT else 502
        text = f"provider {provider} failed ({self.fault}): {self}"
        return RequestError(status, "api_error", text)
