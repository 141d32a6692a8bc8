"""Files of a clone: nothing in them leads out, and what a cutover is about stays to the byte."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cco_migrate import config
from cco_migrate.checks.daemon_record import Switches
from cco_migrate.config import ConfigName
from cco_migrate.errors import InvalidInput
from cco_migrate.rehearsal.isolation import Upstream, isolated, on_the_old_path

HERE = Path("/etc/cco")
SWITCHES = HERE / "daemon-config.json"
UPSTREAM = Upstream("http://127.0.0.1:1", "file:/clone/key")
RULES = b'[overrides]\nenabled = true  # kept\nrules = [["a", "b"]]\n'
ORCHESTRA = {
    "llmGateway": {
        "providers": {
            "anthropic": {
                "providerType": "anthropic", "baseUrl": "https://api.anthropic.com",
                "apiKeyRef": "env:REAL_KEY", "headers": {"x-team": "secret-team"}, "maxRetries": 1,
            },
            "azure": {
                "providerType": "azure", "baseUrl": "https://real.openai.azure.com",
                "deployment": "prod", "api": "responses", "enabled": False,
            },
        },
        "routing": {"defaultProvider": "anthropic", "agentRules": {"review": "azure"}},
        "audit": {"dbPath": "/var/lib/real/ledger.db", "retentionDays": 7},
        "costTracking": {
            "pricingOverrides": {"m": {"inputPerMillion": 1.25, "outputPerMillion": 2}}
        },
    }
}  # fmt: skip
SETTINGS = b"""\
credentials = "gateway"

[server]
workers = 2

[[clients]]
name = "team"
token_sha256 = "%s"

[limits]
requests_per_minute = 1

[cache]
enabled = true
redis_url = "redis://real:6379/0"
""" % (b"0" * 64)


def clone_of(**files: bytes | None) -> dict[ConfigName, bytes | None]:
    found = dict.fromkeys(ConfigName, None) | {ConfigName[k.upper()]: v for k, v in files.items()}
    return isolated(found, HERE, UPSTREAM)


def section(data: bytes | None) -> Any:
    return json.loads(data or b"")["llmGateway"]


def test_every_provider_is_led_to_the_upstream_with_its_key() -> None:
    made = section(clone_of(orchestra=json.dumps(ORCHESTRA).encode())[ConfigName.ORCHESTRA])
    to = {"providerType": "anthropic", "baseUrl": UPSTREAM.url, "apiKeyRef": UPSTREAM.key}
    assert made["providers"] == {
        "anthropic": {"maxRetries": 1, **to}, "azure": {"enabled": False, **to}
    }  # fmt: skip
    assert made["routing"] == ORCHESTRA["llmGateway"]["routing"]
    assert made["audit"] == {"retentionDays": 7}
    assert made["costTracking"] == ORCHESTRA["llmGateway"]["costTracking"]


@pytest.mark.parametrize("data", [None, b"{}", b'{"llmGateway": {"providers": {}}}'])
def test_provider_that_nobody_configured_is_led_there_too(data: bytes | None) -> None:
    providers = section(clone_of(orchestra=data)[ConfigName.ORCHESTRA])["providers"]
    assert [row["baseUrl"] for row in providers.values()] == [UPSTREAM.url]


def test_nothing_of_a_secret_or_an_address_is_left() -> None:
    made = clone_of(orchestra=json.dumps(ORCHESTRA).encode(), gateway=SETTINGS)
    text = b"".join(data or b"" for data in made.values())
    for one in (
        b"REAL_KEY",
        b"secret-team",
        b"api.anthropic.com",
        b"azure.com",
        b"/var/",
        b"redis",
    ):
        assert one not in text


def test_settings_let_the_rehearsal_in_and_keep_the_rest() -> None:
    made = tomllib.loads((clone_of(gateway=SETTINGS)[ConfigName.GATEWAY] or b"").decode())
    assert made == {
        "credentials": "gateway", "server": {"workers": 2}, "cache": {"enabled": True}
    }  # fmt: skip


def test_files_of_a_clone_are_valid() -> None:
    made = clone_of(orchestra=json.dumps(ORCHESTRA).encode(), gateway=SETTINGS, overrides=RULES)
    for name, data in made.items():
        assert data is None or not config.check_file(name, HERE / name.filename, data).errors


def test_overrides_and_switches_stay_to_the_byte_and_absent_files_absent() -> None:
    switches = b'{"gatewayEnabled":false,  "proxyEnabled":true}'
    made = clone_of(overrides=RULES, daemon=switches)
    assert (made[ConfigName.OVERRIDES], made[ConfigName.DAEMON]) == (RULES, switches)
    assert made[ConfigName.GATEWAY] is made[ConfigName.LLM_ROUTER] is None


def test_file_of_which_nobody_knows_where_it_leads_is_refused() -> None:
    with pytest.raises(InvalidInput, match="orchestra-config"):
        clone_of(orchestra=b'{"llmGateway": {"providers": {"a": {"type": "x"}}}}')


@pytest.mark.parametrize(
    "data",
    [
        b'{"gatewayEnabled": false, "proxyEnabled": true}',
        b'{"gateway_enabled": false}',
        b'{"gatewayEnabled": false, "proxyEnabled": false}',
    ],
)
def test_switches_before_the_cutover_are_left_alone(data: bytes) -> None:
    assert on_the_old_path(data, SWITCHES) == data


@pytest.mark.parametrize(
    "data",
    [
        None,  # what an absent file means
        b"{}",
        b'{"gatewayEnabled": true, "proxyEnabled": false, "logLevel": "info"}',
        b'{"gateway_enabled": true, "proxy_enabled": true}',
    ],
)
def test_switches_after_the_cutover_are_taken_back(data: bytes | None) -> None:
    made = on_the_old_path(data, SWITCHES)
    checked = config.check_file(ConfigName.DAEMON, SWITCHES, made or b"")
    assert not checked.errors
    assert Switches.of(checked.document) == Switches(gateway=False, proxy=True)
    assert (b"logLevel" in (made or b"")) is (b"logLevel" in (data or b""))
