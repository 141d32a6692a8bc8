"""The operator's token: a file that only this user can read proves who may change things."""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from pathlib import Path

from gateway.errors import ConfigError, RequestError
from gateway.wire.http import Request

FILE = "admin-token"


def admin_token(home: Path) -> str:
    """Return the token of a state root, creating it when absent.

    Raises:
        ConfigError: The file cannot be used; what others can read is no proof.
    """
    path = home / FILE
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            _create(path)
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            token = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, f"cannot be used: {error}") from error
    if mode & 0o077:
        raise ConfigError(path, "can be read by others", fix=f"chmod 600 {path}")
    if len(token) < 32:
        raise ConfigError(path, "holds no token", fix="delete it; the next start makes a new one")
    return token


def require_admin(request: Request, token: str) -> None:
    """Raise RequestError (401) unless the request carries `authorization: Bearer TOKEN`."""
    scheme, _, given = (request.header(b"authorization") or b"").partition(b" ")
    if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), token.encode()):
        text = f"this needs the admin token: authorization: Bearer, then what {FILE} holds"
        raise RequestError(401, "authentication_error", text)


def _create(path: Path) -> None:
    """Write a new token under another name, and link it: nobody ever sees half a token."""
    token = secrets.token_urlsafe(32)
    draft = path.with_name(f"{FILE}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        try:
            file.write(f"{token}\n")
            file.flush()
            os.fsync(file.fileno())
            path.hardlink_to(draft)
        finally:
            draft.unlink()
