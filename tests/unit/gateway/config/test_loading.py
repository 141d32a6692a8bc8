"""What a configuration folder becomes, and every way it can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway import resources
from gateway.config.documents import KINDS, ConfigName, fingerprint
from gateway.config.loading import load
from gateway.config.providers import KEY_DOMAINS, SUPPORTED_TYPES
from gateway.config.settings import OnTargetDown, ProviderSettings
from gateway.errors import ConfigError
from gateway.providers import PROVIDERS

VECTORS = json.loads((resources.schema_dir() / "fingerprint-vectors.json").read_bytes())["vectors"]


def write(folder: Path, **files: str | bytes) -> Path:
    for name, data in files.items():
        path = folder / KINDS[ConfigName[name.upper()]].file
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def provider(**entry: object) -> str:
    base = {"providerType": "anthropic", "baseUrl": "http://127.0.0.1:9"}
    return json.dumps({"llmGateway": {"providers": {"anthropic": base | entry}}})


def routing(**table: object) -> dict[str, Any]:  # Any: JSON values
    document: dict[str, Any] = json.loads(provider())
    document["llmGateway"]["routing"] = table
    return document


CLIENT = f'[[clients]]\nname = "one"\ntoken_sha256 = "{"a" * 64}"\n'


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["case"] for vector in VECTORS])
def test_fingerprint_equals_the_golden_vectors(vector: dict[str, Any]) -> None:  # Any: JSON
    files = {
        ConfigName(name): None if text is None else text.encode()
        for name, text in vector["files"].items()
    }
    assert fingerprint(files) == vector["fingerprint"]


def test_absent_files_mean_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path / "nothing", tmp_path)
    assert settings.fingerprint == VECTORS[0]["fingerprint"]
    assert (settings.overrides.enabled, settings.overrides.rules) == (False, ())
    assert settings.providers == (ProviderSettings(),)
    assert settings.routing.default_provider == "anthropic"
    assert settings.audit.db_path == tmp_path / "ledger.db"
    assert (settings.server.host, settings.server.port, settings.warnings) == (
        "127.0.0.1",
        None,
        (),
    )


def test_every_key_that_has_an_effect_is_read(tmp_path: Path) -> None:
    entry = {"apiKeyRef": "file:keys/a", "timeoutSecs": 7, "headers": {"X-A": "b"}}
    document = json.loads(provider(**entry))
    document["llmGateway"]["audit"] = {"enabled": False, "dbPath": "data/x.db"}
    text = '[overrides]\nenabled = false\nrules = [["a", "b"]]\n[analytics]\n'
    write(
        tmp_path,
        overrides=text + "log_overrides = false\ntrack_statistics = false\n",
        orchestra=json.dumps(document),
        gateway="[server]\nport = 0\nworkers = 2\ndrain_s = 1.5\n",
    )
    settings = load(tmp_path, tmp_path)
    assert settings.warnings == ()
    assert settings.overrides.rules == (("a", "b"),)
    assert not settings.overrides.enabled
    assert not settings.overrides.log_overrides
    assert not settings.overrides.track_statistics
    (anthropic,) = settings.providers
    assert anthropic.api_key_ref == f"file:{tmp_path}/keys/a"
    assert (anthropic.timeout_s, anthropic.headers) == (7, (("X-A", "b"),))
    assert (settings.audit.enabled, settings.audit.db_path) == (False, tmp_path / "data/x.db")
    assert (settings.server.port, settings.server.workers, settings.server.drain_s) == (0, 2, 1.5)


@pytest.mark.parametrize(("written", "workers"), [('"auto"', 0), ("3", 3)])
def test_workers_auto_is_one_for_each_cpu(tmp_path: Path, written: str, workers: int) -> None:
    write(tmp_path, gateway=f"[server]\nworkers = {written}\n")
    assert load(tmp_path, tmp_path).server.workers == workers


@pytest.mark.parametrize("written", ['"all"', "0", "257"])
def test_workers_of_no_number_are_refused(tmp_path: Path, written: str) -> None:
    write(tmp_path, gateway=f"[server]\nworkers = {written}\n")
    with pytest.raises(ConfigError, match=r"gateway\.toml:2: server\.workers: "):
        load(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "line", "words"),
    [
        ("overrides", b"\xef\xbb\xbf[overrides]\n", 1, "byte order mark"),
        ("overrides", b"[overrides]\n# \xff\n", 2, "not UTF-8"),
        ("overrides", "[overrides]\nenabled = \n", 2, "not valid TOML"),
        ("overrides", "[overrides]\nenabled = true\nrules = [\n", 4, "not valid TOML"),
        (
            "overrides",
            "[overrides]\nenable = true\n",
            2,
            'overrides.enable: unknown key; write "en',
        ),
        (
            "overrides",
            '[overrides]\nenabled = "true"\n',
            2,
            "overrides.enabled: must be of type bo",
        ),
        ("overrides", '[overrides]\n\nrules = [["a"]]\n', 3, "overrides.rules.0"),
        ("overrides", '[overrides]\nrules = [["a", "b", "c"]]\n', 2, "overrides.rules.0"),
        ("overrides", '[overrides]\nrules = [["a", ""]]\n', 2, "overrides.rules.0.1"),
        ("overrides", "[overrides.rules]\na = 'b'\n", 1, "must be of type array"),
        ("overrides", '[model_overrides]\n"a" = "b"\n', 1, "write [overrides]"),
        ("overrides", "[override]\n", 1, 'write "overrides"'),
        ("daemon", '{"gatewayEnabled": true', 1, "not valid JSON"),
        ("daemon", "[]", 1, "not a JSON object"),
        ("daemon", '{"gatewayEnabled": NaN}', None, "NaN"),
        ("daemon", '{"gatewayEnabled": true,\n "gatewayEnabled": false}', None, "stands twice"),
        ("daemon", '{"gatewayEnabled": true,\n "gateway_enabled": false}', 2, "different values"),
        ("daemon", '{\n"gatewayEnable": true}', 2, 'write "gatewayEnabled"'),
        ("daemon", '{"a":' * 100_000, None, "nested too deeply"),
        ("orchestra", '{"llmgateway": {}}', 1, 'write "llmGateway"'),
        ("orchestra", provider(baseUrl="ftp://x"), 1, "http://"),
        ("orchestra", provider(baseUrl="http://u:secret@x"), None, "plain base URL"),
        ("orchestra", provider(baseUrl="http://x:99999"), None, "is not a URL"),
        ("orchestra", provider(apiKeyRef="sk-ant-api03-secret"), 1, "env:NAME"),
        ("orchestra", provider(timeoutSec=3), 1, 'write "timeoutSecs"'),
        ("orchestra", provider(providerType="anthropics"), 1, "providerType"),
        ("orchestra", provider(headers={"x": "a\nb"}), None, "is not a header"),
        ("orchestra", provider(enabled=False), None, "which is disabled"),
        ("orchestra", json.dumps(routing(defaultProvider="x")), None, "which is not configured"),
        ("orchestra", json.dumps(routing(agentRules={"a": "x"})), None, "agentRules.a: names"),
        ("orchestra", json.dumps(routing(modelTierRules={"opus": "x"})), None, "Rules.opus: names"),
        ("orchestra", json.dumps(routing(fallbackChain=["x"])), None, "fallbackChain.0: names"),
        ("orchestra", json.dumps(routing(modelPatterns=[["a", "x"]])), None, "Patterns.0: names"),
        (
            "orchestra",
            json.dumps(routing(modelPatterns=[["(", "anthropic"]])),
            None,
            "modelPatterns.0: '(' is not a regular expression",
        ),
        (
            "orchestra",
            json.dumps(routing(modelPatterns=[["a" * 201, "anthropic"]])),
            None,
            "modelPatterns.0: is longer than 200",
        ),
        ("gateway", "[[clients]]\nname = 'a'\n", 1, "token_sha256"),
        ("gateway", f'[[clients]]\nname = "a"\ntoken_sha256 = "{"A" * 64}"\n', 3, "sha256sum"),
        ("gateway", CLIENT + CLIENT, None, "two clients have the same name"),
        ("gateway", CLIENT + CLIENT.replace("one", "two"), None, "the same token_sha256"),
        ("gateway", '[overrides_rollout]\non_target_down = "no"\n', 2, "on_target_down"),
        ("gateway", "[server]\nprot = 1\n", 2, 'write "port"'),
        ("gateway", "[server]\ncolour = 1\n", 2, "known here"),
        ("gateway", "[server]\nport = 70000\n", 2, "server.port"),
        ("gateway", "[server]\nport = true\n", 2, "server.port: must be of type integer"),
    ],
)
def test_bad_file_is_named_with_line_and_fix(
    tmp_path: Path, name: str, data: str | bytes, line: int | None, words: str
) -> None:
    write(tmp_path, **{name: data})
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, tmp_path)
    assert words in str(caught.value)
    assert caught.value.line == line
    assert caught.value.path.parent == tmp_path
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "warnings"),
    [
        ("overrides", "[something]\nx = 1\n", ["something: unknown key, ignored"]),
        ("overrides", "[override_statistics]\nx = 1\n", []),
        ("overrides", '[agent_rules]\nx = "y"\n', ["agent_rules: has no effect without a table"]),
        ("overrides", '[overrides]\n[agent_rules]\nx = "y"\n', []),
        ("overrides", "[agent_rules]\n[per_model_rules]\n", []),
        ("overrides", '[analytics]\nreport_format = "text"\n', []),
        (
            "overrides",
            '[per_model_rules]\nm = "x"\n',
            ["per_model_rules.m: has no effect; write a rule into overrides.rules"],
        ),
        ("daemon", '{"gatewayEnabled": true, "proxyEnabled": false}', []),
        ("daemon", '{"proxyEnabled": true}', []),
        ("daemon", '{"proxy_enabled": false}', ['proxy_enabled: read as "proxyEnabled"']),
        (
            "daemon",
            '{"proxy_enabled": false, "proxyEnabled": false}',
            ['proxy_enabled: read as "proxyEnabled"'],
        ),
        ("orchestra", '{"other": {"enabledd": 1}}', []),
        ("orchestra", provider(maxRetries=2, modelAliases={"a": "b"}, defaultModel="c"), []),
        ("router", '{"agent_model_overrides": {"a": "b"}}', ["agent_model_overrides: has no ef"]),
        ("router", '{"agent_model_overrides": {}}', []),
        (
            "router",
            '{"agent_model_overrides": {"a": "b"}, "enable_agent_override": true}',
            [],
        ),
    ],
)
def test_key_without_effect_is_warned_about(
    tmp_path: Path, name: str, data: str, warnings: list[str]
) -> None:
    settings = load(write(tmp_path, **{name: data}), tmp_path)
    assert len(settings.warnings) == len(warnings)
    for found, expected in zip(settings.warnings, warnings, strict=True):
        assert expected in found


def test_settings_of_agents_clients_and_rollout_are_read(tmp_path: Path) -> None:
    agents = '[agents]\ndirectories = ["agents", "/abs"]\n[fallback]\nsubscriptions = true\n'
    rollout = '[overrides_rollout]\non_target_down = "fail"\n'
    write(
        tmp_path,
        gateway=agents + rollout + CLIENT,
        overrides='[overrides]\n[agent_rules]\nx = "y"\n',
        router='{"agent_model_overrides": {"a": "b"}, "enable_agent_override": true}',
        orchestra=json.dumps(routing(modelPatterns=[["^gpt", "anthropic"]])),
    )
    settings = load(tmp_path, tmp_path)
    assert settings.agent_folders == (tmp_path / "agents", Path("/abs"))
    assert settings.overrides.agent_rules == (("x", "y"),)
    assert settings.agent_models == (("a", "b"),)
    assert settings.overrides.on_target_down is OnTargetDown.FAIL
    assert settings.routing.patterns == (("^gpt", "anthropic"),)
    assert settings.routing.subscription_fallback
    (client,) = settings.clients
    assert (client.name, client.token_sha256) == ("one", "a" * 64)


def test_supported_types_are_the_dialects() -> None:
    assert set(PROVIDERS) == SUPPORTED_TYPES


def test_domains_are_those_of_the_vendors_whose_keys_clients_show() -> None:
    takes = {kind: dialect.key_vendor for kind, dialect in PROVIDERS.items() if dialect.key_vendor}
    assert {kind: domain.removesuffix(".com") for kind, domain in KEY_DOMAINS.items()} == takes


NEAR = (
    ("anthropic", "https://api.anthropic.com"),
    ("anthropic", "https://EU.api.Anthropic.com./v1"),
    ("openai", "https://eu.api.openai.com/v1"),
    ("anthropic", "http://localhost:4000"),
    ("anthropic", "http://127.0.0.1:4000"),
    ("openai", "http://[::1]:4000"),
    ("anthropic", "http://10.1.2.3"),
    ("anthropic", "http://llm-proxy:8080"),
    ("openai", "http://proxy.tools.svc.cluster.local"),
    ("anthropic", "https://llm.corp.internal"),
    ("anthropic", "http://litellm.ai.svc:4000"),
    ("anthropic", "http://gateway.lan"),
    # These are never sent one: there is nothing to warn of.
    ("azure", "https://x.openai.azure.com"),
    ("vllm", "https://models.example.com"),
)
ELSEWHERE = (
    ("anthropic", "https://api.z.ai/api/anthropic"),
    ("anthropic", "https://api.openai.com"),
    ("anthropic", "https://anthropic.com.example.net"),
    ("anthropic", "https://api-anthropic.com"),
    ("anthropic", "http://litellm.ai:4000"),
    ("openai", "https://api.groq.com/openai/v1"),
    ("openai", "https://api.anthropic.com"),
    ("anthropic", "http://8.8.8.8"),
)


@pytest.mark.parametrize(
    ("kind", "url", "sent"),
    [(*near, True) for near in NEAR] + [(*elsewhere, False) for elsewhere in ELSEWHERE],
)
def test_clients_key_is_not_for_a_second_vendor(
    tmp_path: Path, kind: str, url: str, *, sent: bool
) -> None:
    other: dict[str, Any] = {"providerType": kind, "baseUrl": url}
    found = {}
    for name, entry, own, first in (
        ("second", other, "", "anthropic"),
        ("default", other, "", "other"),
        ("keyed", other | {"apiKeyRef": "env:KEY"}, "", "anthropic"),
        ("keyed-by-header", other | {"headers": {"X-Api-Key": "k"}}, "", "anthropic"),
        ("off", other | {"enabled": False}, "", "anthropic"),
        ("tokens", other, CLIENT, "anthropic"),
        ("gateways", other, 'credentials = "gateway"\n', "anthropic"),
    ):
        document = routing(defaultProvider=first, fallbackChain=["anthropic", "other"])
        document["llmGateway"]["providers"]["other"] = entry
        (tmp_path / name).mkdir()
        folder = write(tmp_path / name, orchestra=json.dumps(document), gateway=own)
        settings = load(folder, tmp_path)
        assert settings.providers[1].client_keys is (sent or name == "default")
        found[name] = [text for text in settings.warnings if "client's key" in text]
    warnings = found.pop("second")
    assert len(warnings) == (not sent)
    assert not any(found.values())
    for warning in warnings:
        assert "llmGateway.providers.other: is sent no client's key" in warning
        assert warning.endswith("; write apiKeyRef")


def test_provider_that_gets_no_requests_is_warned_about(tmp_path: Path) -> None:
    document = json.loads(provider())
    other = {"providerType": "azure", "baseUrl": "http://x"}
    off = other | {"enabled": False}
    document["llmGateway"]["providers"] |= {"b": other, "c": off, "d": other}
    document["llmGateway"]["routing"] = {
        "agentRules": {"x": "c", "y": "d"},
        "fallbackChain": ["c", "d", "d"],
    }
    settings = load(write(tmp_path, orchestra=json.dumps(document)), tmp_path)
    assert len(settings.providers) == 4
    assert [warning.rpartition("llmGateway.")[2] for warning in settings.warnings] == [
        'routing.agentRules.x: has no effect, provider "c" is disabled',
        'routing.fallbackChain.0: has no effect, provider "c" is disabled',
        "providers.b: gets no requests, no rule leads to it",
    ]
    assert settings.routing.agent_rules == (("y", "d"),)
    assert settings.routing.fallback_chain == ("d",)


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, tmp_path)


def test_only_provider_is_the_default(tmp_path: Path) -> None:
    text = provider().replace('"anthropic": {', '"proxy": {')
    assert load(write(tmp_path, orchestra=text), tmp_path).routing.default_provider == "proxy"


@pytest.mark.parametrize(
    ("ref", "key"),
    [("env:A", "k1"), ("$A", "k1"), ("A", "k1"), (None, None), ("file:{}/good", "k2")],
)
def test_key_is_resolved(tmp_path: Path, ref: str | None, key: str | None) -> None:
    (tmp_path / "good").write_text(" k2\n")
    settings = ProviderSettings(api_key_ref=ref.format(tmp_path) if ref else None)
    assert settings.resolve_key({"A": "k1\n"}) == key


@pytest.mark.parametrize("ref", ["env:B", "C", "D", "file:/nowhere/at/all", "file:{}/binary"])
def test_key_that_leads_nowhere_is_an_error(tmp_path: Path, ref: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    settings = ProviderSettings(api_key_ref=ref.format(tmp_path))
    with pytest.raises(LookupError):
        settings.resolve_key({"C": " ", "D": "a\nb"})
