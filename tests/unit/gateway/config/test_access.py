"""What `gateway.toml` says about clients, limits, keys and memory, right and wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.loading import load
from gateway.config.settings import Credentials, LimitSettings, Settings
from gateway.errors import ConfigError


def settings_of(folder: Path, text: str) -> Settings:
    (folder / "gateway.toml").write_text(text)
    return load(folder, folder)


def client(name: str, more: str = "") -> str:
    return f'[[clients]]\nname = "{name}"\ntoken_sha256 = "{name * 64}"\n{more}\n'


def test_nothing_is_limited_and_clients_pay_by_default(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "")
    assert settings.credentials is Credentials.CLIENT
    assert (settings.limits, settings.clients) == (LimitSettings(), ())
    assert settings.limits == LimitSettings(None, None, None)
    assert settings.server.max_buffered_bytes == 256 << 20


def test_gateway_pays_when_told_so(tmp_path: Path) -> None:
    assert settings_of(tmp_path, 'credentials = "gateway"\n').credentials is Credentials.GATEWAY


@pytest.mark.parametrize(
    ("text", "on"),
    [("", False), ("responseAnnotations = false\n", False), ("responseAnnotations = true\n", True)],
)
def test_answers_are_annotated_when_told_so(tmp_path: Path, text: str, *, on: bool) -> None:
    assert settings_of(tmp_path, text).response_annotations is on


def test_limits_of_a_client_fall_back_to_those_for_everybody_one_by_one(tmp_path: Path) -> None:
    everybody = "[limits]\nrequests_per_minute = 60\nconcurrent_requests = 4\n"
    own = "requests_per_minute = 5\ntokens_per_minute = 1000"
    settings = settings_of(tmp_path, everybody + client("a") + client("b", own))
    assert settings.limits == LimitSettings(60, 4, None)
    assert [one.limits for one in settings.clients] == [
        LimitSettings(60, 4, None),
        LimitSettings(5, 4, 1000),
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('credentials = "company"\n', 1, "credentials: 'company' is not one of"),
        ("[server]\ncredentials = 'gateway'\n", 2, "server.credentials"),
        ('responseAnnotations = "yes"\n', 1, "responseAnnotations"),
        ("response_annotations = true\n", 1, 'write "responseAnnotations"'),
        ("[cache]\nresponseAnnotations = true\n", 2, "cache.responseAnnotations"),
        ("[limits]\nrequests_per_minute = 0\n", 2, "limits.requests_per_minute"),
        ("[limits]\nconcurrent_requests = 1.5\n", 2, "limits.concurrent_requests"),
        ("[limits]\ntokens_per_minute = 10000000000\n", 2, "limits.tokens_per_minute"),
        ("[limits]\nrequest_per_minute = 1\n", 2, 'write "requests_per_minute"'),
        (client("a", "tokens_per_minute = -1"), 4, "tokens_per_minute"),
        (client("a", "tokens_per_second = 1"), 1, "clients.0: Additional properties"),
        ("[server]\nmax_buffered_bytes = 1000\n", 2, "server.max_buffered_bytes"),
        (
            "[server]\nmax_body_bytes = 3000\nmax_buffered_bytes = 2999\n",
            None,
            "server.max_buffered_bytes: a body of 3000 bytes is accepted and could not be buffered;"
            " write at least 3000, or a smaller max_body_bytes",
        ),
        (f"[server]\nmax_body_bytes = {1 << 30}\n", None, f"write at least {1 << 30}"),
    ],
)
def test_bad_value_is_named_with_line_and_fix(
    tmp_path: Path, text: str, line: int | None, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, text)
    assert words in str(caught.value)
    assert caught.value.line == line
