"""What the section `[cache]` becomes, and which addresses of Redis are refused, and when."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from gateway.cache.answers import open_answer_cache
from gateway.config.loading import load
from gateway.config.settings import CacheSettings, Settings
from gateway.errors import ConfigError
from gateway.metrics.counters import Counters
from gateway.metrics.meters import Known, Metrics


def cache(folder: Path, text: str) -> Settings:
    (folder / "gateway.toml").write_text(f"[cache]\n{text}\n")
    return load(folder, folder)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", CacheSettings()),
        (
            "enabled = true\nttl_s = 5\nmax_bytes = 4096\nmax_answer_bytes = 2048",
            CacheSettings(True, 5, 4096, 2048),
        ),
        ('redis_url = "redis://h:1/2"', CacheSettings(redis_url="redis://h:1/2")),
        (
            'redis_url = "redis://h"\nredis_wait_s = 0.2',
            CacheSettings(redis_url="redis://h", redis_wait_s=0.2),
        ),
        ('redis_url = "rediss://user@h"', CacheSettings(redis_url="rediss://user@h")),
        ('redis_url = "unix:///run/r.sock?db=1"', CacheSettings(redis_url="unix:///run/r.sock?db=1")),
        ('redis_url = "env:REDIS"', CacheSettings(redis_url="env:REDIS")),
    ],
)  # fmt: skip
def test_section_becomes_settings(tmp_path: Path, text: str, expected: CacheSettings) -> None:
    settings = cache(tmp_path, text)
    assert (settings.cache, settings.warnings) == (expected, ())


def test_file_of_the_url_is_relative_to_the_state_root(tmp_path: Path) -> None:
    settings = cache(tmp_path, 'redis_url = "file:secrets/redis"').cache
    assert settings.redis_url == f"file:{tmp_path}/secrets/redis"
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "redis").write_text("redis://:pass@h\n")
    assert settings.resolve_redis_url({}) == "redis://:pass@h"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://:pass-word@h", "holds a password"),
        ("redis://user:pass-word@h", "holds a password"),
        ("unix:///r.sock?password=pass-word", "holds a password"),
        ("redis://h:0", "is not a URL of Redis"),
        ("redis://h:pass-word", "is not a URL"),
        ("redis://[h", "is not a URL"),
        ("http://h", "redis_url"),
        ("env:", "redis_url"),
        ("pass-word", "redis_url"),
    ],
)
def test_address_that_cannot_be_used_is_refused(tmp_path: Path, url: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as found:
        cache(tmp_path, f'redis_url = "{url}"')
    assert found.value.key == "cache.redis_url"
    assert "env:NAME" in str(found.value) or "redis://HOST" in str(found.value)
    assert "holds a password" not in problem or "pass-word" not in str(found.value)


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r"cco-migrate\[redis\]"):
        cache(tmp_path, 'redis_url = "redis://h"')
    cache(tmp_path, "enabled = true")  # nobody else needs it


def test_limit_without_effect_is_reported(tmp_path: Path) -> None:
    (warning,) = cache(tmp_path, 'redis_url = "redis://h"\nmax_bytes = 4096').warnings
    assert "cache.max_bytes: has no effect with redis_url" in warning


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({}, "env:REDIS is empty or not set"),
        ({"REDIS": "redis://:pass\nword@h"}, "env:REDIS holds characters"),
        ({"REDIS": "http://:pass-word@h"}, "env:REDIS is not a URL of Redis"),
        ({"REDIS": "redis://:pass-word@h?color=blue"}, "env:REDIS is not a URL of Redis"),
    ],
)
def test_reference_that_leads_nowhere_is_refused_without_telling_a_secret(
    tmp_path: Path, environ: dict[str, str], problem: str
) -> None:
    metrics = Metrics(Counters(tmp_path, "one", "boot"), Known((), (), ()))

    async def main() -> None:
        with pytest.raises(LookupError, match=problem) as found:
            open_answer_cache(CacheSettings(True, redis_url="env:REDIS"), metrics, environ)
        assert "pass" not in str(found.value)

    asyncio.run(main())
    metrics.close()


def test_memory_is_the_default_and_what_is_off_is_not_resolved(tmp_path: Path) -> None:
    metrics = Metrics(Counters(tmp_path, "one", "boot"), Known((), (), ()))
    for settings in (CacheSettings(True), CacheSettings(False, redis_url="env:REDIS")):
        assert open_answer_cache(settings, metrics, {}).health is None
    metrics.close()
