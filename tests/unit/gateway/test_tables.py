"""Overrides, redaction and provider headers: the pure tables of the data plane."""

from __future__ import annotations

import re

import pytest

from gateway.overrides.rules import Overrides
from gateway.providers import PROVIDERS
from gateway.redact import MAX_CHARS, redact
from gateway.wire.http import Header


@pytest.mark.parametrize(
    ("rules", "model", "target"),
    [
        ([], "a", None),
        ([("a", "b")], "a", "b"),
        ([("a", "b"), ("a", "c")], "a", "b"),
        ([("a", "b"), ("b", "c")], "a", "b"),
        ([("a", "b"), ("b", "a")], "b", "a"),
        ([("a", "a")], "a", None),
        ([("A", "b")], "a", None),
        ([("a", "b")], "a ", None),
        ([("a", "b")], "aa", None),
    ],
)
def test_override_is_exact_first_and_single(
    rules: list[tuple[str, str]], model: str, target: str | None
) -> None:
    assert Overrides(rules).target(model) == target


def test_ten_thousand_rules_are_one_lookup() -> None:
    class Counted(str):
        """A model name that counts how often it is compared."""

        compared = 0

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    overrides = Overrides((f"model-{n}", f"target-{n}") for n in range(10_000))
    assert overrides.target(Counted("model-9999")) == "target-9999"
    assert Counted.compared <= 3


SECRETS = [
    ("key sk-ant-api03-abcDEF_123 was refused", "key ***\x00 was refused"),
    ("Authorization: Bearer abcdef1234567", "Authorization: Bearer ***\x00"),
    ('{"x-api-key":"0123456789abcdef"}', '{"x-api-key":"***\x00"}'),
    ("api_key = 'aGVsbG8gd29ybGQ='", "api_key = '***\x00'"),
    ("password=hunter2hunter2&x=1", "password=***\x00&x=1"),
    ("cannot reach https://me:secret@host/x", "cannot reach https://***\x00@host/x"),
    ("ghp_0123456789abcdefghij0123 and AKIA0123456789ABCDEF", "***\x00 and ***\x00"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "***\x00"),
]


@pytest.mark.parametrize(("text", "pattern"), SECRETS)
def test_secret_becomes_a_mark(text: str, pattern: str) -> None:
    expected = re.escape(pattern).replace(re.escape("\x00"), "[0-9a-f]{4}")
    assert re.fullmatch(expected, redact(text))
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text", ["max_tokens: 99999 is too large", "model: claude-sonnet-4-5", "HTTP 529: Overloaded"]
)
def test_plain_text_stays(text: str) -> None:
    assert redact(text) == text


def test_text_becomes_one_short_line() -> None:
    assert redact("a\r\nb\x1b[31m\u2028c") == "a b [31m c"
    assert len(redact("x " * MAX_CHARS)) == MAX_CHARS


CLIENT: tuple[Header, ...] = (
    (b"host", b"h"),
    (b"authorization", b"Bearer client"),
    (b"accept-encoding", b"gzip"),
    (b"anthropic-beta", b"one, two"),
    (b"x-agent-type", b"q"),
    (b"te", b"trailers"),
    (b"anthropic-beta", b"three"),
)
IDENTITY = (b"accept-encoding", b"identity")
BETAS = ((b"anthropic-beta", b"one, two"), (b"anthropic-beta", b"three"))


@pytest.mark.parametrize(
    ("headers", "key", "extra", "sent"),
    [
        (CLIENT, None, (), ((b"authorization", b"Bearer client"), *BETAS, IDENTITY)),
        (CLIENT, "sk-ant-api", (), (*BETAS, (b"x-api-key", b"sk-ant-api"), IDENTITY)),
        (
            CLIENT,
            "sk-ant-oat01",
            (),
            (
                (b"anthropic-beta", b"one, two,oauth-2025-04-20"),
                (b"anthropic-beta", b"three"),
                (b"authorization", b"Bearer sk-ant-oat01"),
                IDENTITY,
            ),
        ),
        (
            ((b"anthropic-beta", b"x, oauth-2025-04-20"), (b"x-api-key", b"c")),
            "sk-ant-oat01",
            (),
            (
                (b"anthropic-beta", b"x, oauth-2025-04-20"),
                (b"authorization", b"Bearer sk-ant-oat01"),
                IDENTITY,
            ),
        ),
        (
            (),
            "sk-ant-oat01",
            (),
            (
                (b"anthropic-beta", b"oauth-2025-04-20"),
                (b"authorization", b"Bearer sk-ant-oat01"),
                IDENTITY,
            ),
        ),
        (CLIENT[1:2], None, ((b"authorization", b"x"),), ((b"authorization", b"x"), IDENTITY)),
    ],
)
def test_anthropic_headers(
    headers: tuple[Header, ...],
    key: str | None,
    extra: tuple[Header, ...],
    sent: tuple[Header, ...],
) -> None:
    assert PROVIDERS["anthropic"].request_headers(headers, key, extra) == sent


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_every_dialect_asks_for_identity_and_hides_the_clients_key(name: str) -> None:
    sent = PROVIDERS[name].request_headers(CLIENT, "own-key", ())
    assert IDENTITY in sent
    assert b"Bearer client" not in [value for _, value in sent]
