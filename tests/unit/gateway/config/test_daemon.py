"""The two switches: today's file, the original's, and what switching the gateway off means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.config.daemon import load_daemon
from gateway.config.loading import load
from gateway.config.settings import DaemonSettings
from gateway.errors import ConfigError


def write(home: Path, daemon: str | None = None, original: str | None = None) -> Path:
    folder = home / "config"
    folder.mkdir(exist_ok=True)
    if daemon is not None:
        (folder / "daemon-config.json").write_text(daemon)
    if original is not None:
        (home / "config.toml").write_text(original)
    return folder


@pytest.mark.parametrize(
    ("daemon", "original", "expected", "warnings"),
    [
        (None, None, (True, False), []),
        ("{}", "port = 0\nlog_level = 'info'\n", (True, False), []),
        ('{"gatewayEnabled": true, "proxyEnabled": true}', None, (True, True), []),
        ('{"proxy_enabled": true}', None, (True, True), ["proxy_enabled: read as"]),
        ('{"gatewayEnabled": false}', None, (False, False), []),
        (
            None,
            "gateway_enabled = false\nproxyEnabled = true\n",
            (False, True),
            [
                "config.toml: gateway_enabled: read from here; move it to ",
                "config.toml: proxy_enabled: read from here; move it to ",
            ],
        ),
        ('{"proxyEnabled": true}', "proxy_enabled = true\n", (True, True), []),
        (None, "proxy_enabled = true\nproxyEnabled = true\n", (True, True), ["read from here"]),
    ],
)
def test_switches_are_read_from_both_files(
    tmp_path: Path,
    daemon: str | None,
    original: str | None,
    expected: tuple[bool, bool],
    warnings: list[str],
) -> None:
    found, told = load_daemon(write(tmp_path, daemon, original), tmp_path)
    assert found == DaemonSettings(*expected)
    assert len(told) == len(warnings)
    for warning, words in zip(told, warnings, strict=True):
        assert words in warning


@pytest.mark.parametrize(
    ("daemon", "share", "is_canary", "warned"),
    [
        ('{"proxyEnabled": true, "gatewayShare": 25}', 25, True, False),
        ('{"proxyEnabled": true, "gatewayShare": 0}', 0, True, False),
        ('{"proxyEnabled": true, "gatewayShare": 100}', 100, False, False),
        ('{"proxyEnabled": true}', 100, False, False),
        ('{"gatewayShare": 25}', 25, False, True),
        ('{"gatewayEnabled": false, "proxyEnabled": true, "gatewayShare": 25}', 25, False, True),
    ],
)
def test_share_divides_launches_while_both_are_switched_on(
    tmp_path: Path, daemon: str, share: int, is_canary: bool, warned: bool
) -> None:
    found, told = load_daemon(write(tmp_path, daemon), tmp_path)
    assert (found.gateway_share, found.is_canary) == (share, is_canary)
    assert any("gatewayShare: has no effect unless" in text for text in told) == warned


@pytest.mark.parametrize(
    ("daemon", "original", "words"),
    [
        ("{}", "gateway_enabled = 1\n", "gateway_enabled: must be true or false"),
        ("{}", "gatewayEnabled = [1]\n", "gatewayEnabled: must be true or false"),
        ("{}", "x = \n", "config.toml: not valid TOML"),
        ("{}", "gatewayEnabled = true\ngateway_enabled = false\n", "have different values"),
        ('{"gatewayEnabled": 1}', None, "gatewayEnabled: must be of type boolean"),
        ('{"gatewayShare": 101}', None, "gatewayShare: must be at most 100; write a whole number"),
        ('{"gatewayShare": -1}', None, "gatewayShare: must be at least 0"),
        ('{"gatewayShare": 2.5}', None, "gatewayShare: must be of type integer"),
        ('{"gatewayShare": true}', None, "gatewayShare: must be of type integer"),
    ],
)
def test_file_that_cannot_be_used_is_an_error(
    tmp_path: Path, daemon: str, original: str | None, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load_daemon(write(tmp_path, daemon, original), tmp_path)


def test_files_that_disagree_are_both_named(tmp_path: Path) -> None:
    folder = write(tmp_path, '{"proxyEnabled": true}', "proxy_enabled = false\n")
    with pytest.raises(ConfigError) as caught:
        load(folder, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/config.toml: proxy_enabled: false here, true in {folder}/daemon-config.json; "
        "keep it in daemon-config.json only"
    )


def test_gateway_that_is_switched_off_passes_requests_on_unchanged(tmp_path: Path) -> None:
    folder = write(tmp_path, '{"gatewayEnabled": false}')
    rules = '[overrides]\nrules = [["a", "b"]]\n[agent_rules]\nx = "y"\n'
    (folder / "model-overrides.toml").write_text(rules)
    (folder / "gateway.toml").write_text("responseAnnotations = true\n[cache]\nenabled = true\n")
    one = {"providerType": "anthropic", "baseUrl": "http://x"}
    routing = {"defaultProvider": "b", "agentRules": {"x": "a"}, "fallbackChain": ["a"]}
    section = {"llmGateway": {"providers": {"a": one, "b": one}, "routing": routing}}
    (folder / "orchestra-config.json").write_text(json.dumps(section))
    models = {"agent_model_overrides": {"a": "b"}, "enable_agent_override": True}
    (folder / "llm-router-config.json").write_text(json.dumps(models))
    off = load(folder, tmp_path)
    assert not off.daemon.gateway_enabled
    assert not (off.overrides.enabled or off.cache.enabled or off.agent_models)
    assert not off.response_annotations
    (warning,) = (text for text in off.warnings if "gatewayEnabled is false" in text)
    assert warning.startswith(f"{folder}: ")
    assert off.routing.default_provider == "b"
    assert not (off.routing.agent_rules or off.routing.fallback_chain)
    assert [provider.name for provider in off.providers] == ["a", "b"]
    (folder / "daemon-config.json").write_text('{"gatewayEnabled": true}')
    on = load(folder, tmp_path)
    assert on.overrides.enabled
    assert on.cache.enabled
    assert on.response_annotations
    assert on.agent_models
    assert on.routing.agent_rules
    assert on.fingerprint != off.fingerprint
