"""The admin token: made once, readable by its owner alone, asked for in one way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.errors import ConfigError, RequestError
from gateway.operator.admin import FILE, admin_token, require_admin
from gateway.wire.http import Head, Header, Request


def test_token_is_made_once_for_all_workers(tmp_path: Path) -> None:
    home = tmp_path / "new"
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(admin_token, [home] * 8))
    assert len(tokens) == 1
    assert (home / FILE).read_text() == f"{tokens.pop()}\n"
    assert (home / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        ("x" * 40, 0o644, "can be read by others"),
        ("x" * 40, 0o640, "chmod 600"),
        ("", 0o600, "holds no token"),
        ("short\n", 0o600, "holds no token"),
        ("\u00e9" * 40, 0o600, "cannot be used"),
    ],
)
def test_unusable_token_is_a_config_error(
    tmp_path: Path, content: str, mode: int, words: str
) -> None:
    (tmp_path / FILE).write_text(content, "utf-8")
    (tmp_path / FILE).chmod(mode)
    with pytest.raises(ConfigError, match=words):
        admin_token(tmp_path)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        (((b"authorization", b"Bearer secret"),), True),
        (((b"authorization", b"bearer  secret "),), True),
        ((), False),
        (((b"authorization", b"Bearer secre"),), False),
        (((b"authorization", b"Bearer \xff"),), False),
        (((b"authorization", b"Basic secret"),), False),
        (((b"x-api-key", b"secret"),), False),
    ],
)
def test_bearer_token_is_asked_for(headers: tuple[Header, ...], allowed: bool) -> None:
    request = Request(Head(b"POST", b"/", headers), b"", 0.0)
    if allowed:
        require_admin(request, "secret")
        return
    with pytest.raises(RequestError) as caught:
        require_admin(request, "secret")
    assert caught.value.status == 401
    assert "secret" not in str(caught.value)
