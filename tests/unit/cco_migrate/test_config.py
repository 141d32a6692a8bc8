"""Configuration files: what is accepted, and what people are told when it is not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cco_migrate import resources, validate
from cco_migrate.config import (
    Checked,
    ConfigName,
    Overrides,
    Rule,
    check_file,
    fingerprint,
    overrides_of,
)
from cco_migrate.errors import InvalidInput
from cco_migrate.verdict import Severity

SCHEMAS = sorted(
    path.name.removesuffix(".schema.json") for path in resources.schema_dir().glob("*.schema.json")
)
VECTORS = resources.schema_dir() / "fingerprint-vectors.json"


def check(name: ConfigName, text: str | bytes) -> Checked:
    data = text.encode() if isinstance(text, str) else text
    return check_file(name, Path(name.filename), data)


GOOD: Mapping[ConfigName, str] = {
    ConfigName.OVERRIDES: """
[overrides]
enabled = true
rules = [["a", "b"]]
[analytics]
report_format = "json"
[per_model_rules]
[agent_rules]
tester = "claude-haiku-4-5"
[override_statistics]
requests_rewritten = 3
""",
    ConfigName.DAEMON: '{"gatewayEnabled": true, "proxyEnabled": false}',
    ConfigName.ORCHESTRA: json.dumps({
        "architect": {"model": "opus"},
        "llmGateway": {
            "providers": {
                "anthropic": {
                    "providerType": "anthropic", "baseUrl": "https://api.example",
                    "apiKeyRef": "env:KEY", "timeoutSecs": 300, "headers": {"x-team": "a"},
                }
            },
            "routing": {"defaultProvider": "anthropic", "modelPatterns": [["gpt-.*", "anthropic"]]},
            "costTracking": {
                "pricingOverrides": {"m": {"inputPerMillion": 3, "outputPerMillion": 15}}
            },
            "audit": {"retentionDays": 30},
        },
    }),
    ConfigName.LLM_ROUTER: '{"agent_model_overrides": {"qa": "m"}, "enable_agent_override": true}',
    ConfigName.GATEWAY: '[server]\nhost = "127.0.0.1"\nport = 0\nworkers = 2\ndrain_s = 1.5\n',
}  # fmt: skip


@pytest.mark.parametrize("name", list(ConfigName))
def test_check_good_file_says_nothing(name: ConfigName) -> None:
    checked = check(name, GOOD[name])
    assert (checked.findings, checked.errors) == ((), ())
    assert checked.document


RULES, DAEMON, ORCHESTRA, ROUTER, GATEWAY = ConfigName

# file, text, and the whole message without the file's name
BAD: list[tuple[ConfigName, str | bytes, str]] = [
    (RULES, "[overrides]\nenable = true", ':2: overrides.enable: unknown key; write "enabled"'),
    (RULES, '[overrides]\nenabled = "true"',
     ":2: overrides.enabled: is a text, must be true or false; write true without quotes"),
    (RULES, '[overrides.rules]\n"a" = "b"',
     ':1: overrides.rules: is a table, must be a list; write rules = [["from", "to"]], '
     "a list of pairs"),
    (RULES, '[overrides]\nrules = [\n["a", "b"],\n["a", "b", "c"]]',
     ':4: overrides.rules[1]: has 3 elements, must have 2; write ["from", "to"]'),
    (RULES, '[overrides]\nrules = [["a"]]',
     ':2: overrides.rules[0]: has 1 elements, must have 2; write ["from", "to"]'),
    (RULES, '[overrides]\nrules = [["a", ""]]',
     ":2: overrides.rules[0][1]: must not be empty; write a full model id in quotes"),
    (RULES, '\n[model_overrides]\n"a" = "b"',
     ':2: model_overrides: has no effect; write [overrides] with rules = [["from", "to"]]'),
    (RULES, "overrides = true", ":1: overrides: is a boolean, must be a table; "
     "write a table: [overrides]"),
    (RULES, '[analytics]\nreport_format = "jsn"',
     ':2: analytics.report_format: must be one of "json", "text", "silent"; write "json"'),
    (RULES, "[agent_rules]\nqa = 1979-05-27",
     ":2: agent_rules.qa: is a date or time, must be a text in quotes"),
    (RULES, b"\xef\xbb\xbf[overrides]",
     ":1: begins with a byte-order mark (UTF-8); save it as UTF-8 without BOM"),
    (RULES, b"\xff\xfe[\x00", ":1: begins with a byte-order mark (UTF-16); "
     "save it as UTF-8 without BOM"),
    (RULES, b"a = 1\n# \xe4\n", ":2: byte 0xe4 is not UTF-8; save it as UTF-8"),
    (RULES, "[overrides]\nenabled = True", ":2: syntax error in column 11: Invalid value; "
     'write true, false, a number or a text in "quotes"'),
    (RULES, "a = [1\n", ":1: syntax error: Unclosed array (at end of document); "
     "close the bracket or quote that is still open"),
    (RULES, "a = 1\na = 2\n", ":2: syntax error in column 6: Cannot overwrite a value; "
     "keep one of the two"),
    (DAEMON, "", ":1: is empty; write {}, or remove the file"),
    (DAEMON, "[]", ": is a list, must be a table"),
    (DAEMON, '{"a": NaN}', ": syntax error: NaN is not JSON; correct this line"),
    (DAEMON, '{\n"gatewayEnabled": 1,\n"gatewayEnabled": 2}',
     ":3: gatewayEnabled: the key is named twice; keep one of the two"),
    (DAEMON, "{gatewayEnabled: true}",
     ":1: syntax error in column 2: Expecting property name enclosed in double quotes; "
     "put keys in double quotes and no comma after the last"),
    (DAEMON, '{"gatewayEnabled": true,\n"gateway_enabled": false}',
     ':2: gateway_enabled: differs from "gatewayEnabled", which means the same; '
     'keep "gatewayEnabled" only'),
    (DAEMON, '{"GatewayEnabled": true}', ':1: GatewayEnabled: unknown key; write "gatewayEnabled"'),
    (ORCHESTRA, '{"llm_gateway": {}}', ':1: llm_gateway: unknown key; write "llmGateway"'),
    (ORCHESTRA, '{"llmGateway": {"providers": {"a": {"providerType": "azure"}}}}',
     ":1: llmGateway.providers.a.baseUrl: is missing"),
    (ORCHESTRA, '{"llmGateway": {"providers": {"a": {"providerType": "azure", "baseUrl": "x.y"}}}}',
     ":1: llmGateway.providers.a.baseUrl: has the wrong form; "
     "write a URL that begins with http:// or https://"),
    (ORCHESTRA, '{"llmGateway": {"audit": {"retentionDays": 0}}}',
     ":1: llmGateway.audit.retentionDays: must be at least 1"),
    (ROUTER, '{"agent_model_overrides": {"qa": ""}}',
     ":1: agent_model_overrides.qa: must not be empty"),
    (GATEWAY, '[server]\nport = "80"',
     ":2: server.port: is a text, must be an integer; write 80 without quotes"),
    (GATEWAY, "[server]\nport = 65536", ":2: server.port: must be at most 65535"),
    (GATEWAY, "[server]\nprot = 80", ':2: server.prot: unknown key; write "port"'),
    (GATEWAY, "[cache]\nx = 1",
     ":2: cache.x: unknown key; known keys: enabled, ttl_s, max_bytes, max_answer_bytes,"
     " redis_url, redis_wait_s, any_temperature"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), BAD)
def test_check_bad_file_says_where_what_and_what_to_write(
    name: ConfigName, text: str | bytes, message: str
) -> None:
    checked = check(name, text)
    assert [str(finding) for finding in checked.errors] == [name.filename + message]
    assert checked.findings == checked.errors


@pytest.mark.parametrize(
    ("name", "text", "rule", "document"),
    [
        (RULES, "[notes]\nx = 1", "config-ignored-key", {"notes": {"x": 1}}),
        (RULES, "[per_model_rules]\nm = 1", "config-ignored-key", {"per_model_rules": {"m": 1}}),
        (DAEMON, '{"logLevel": "info"}', "config-ignored-key", {"logLevel": "info"}),
        (DAEMON, '{"gateway_enabled": false}', "config-deprecated-key", {"gatewayEnabled": False}),
        (DAEMON, '{"proxy_enabled": true, "proxyEnabled": true}', "config-deprecated-key",
         {"proxyEnabled": True}),
    ],
)  # fmt: skip
def test_check_odd_file_warns_and_keeps_it(
    name: ConfigName, text: str, rule: str, document: Mapping[str, object]
) -> None:
    checked = check(name, text)
    assert [(one.rule, one.severity) for one in checked.findings] == [(rule, Severity.WARNING)]
    assert (checked.errors, checked.document) == ((), document)


def test_check_reports_all_faults_in_the_order_of_the_file() -> None:
    text = '[overrides]\nrules = ["a"]\nenable = 1\n[analytics]\nlog_overrides = 2\n'
    assert [finding.line for finding in check(RULES, text).findings] == [2, 3, 5]


def test_findings_never_show_a_key() -> None:
    provider = {"type": "x", "apiKeyRef": "sk-ant-secret1", "headers": {"a": ["sk-ant-secret2"]}}
    text = json.dumps({"llmGateway": {"providers": {"p": provider}, "extra": {"k": "sk-secret3"}}})
    findings = check(ORCHESTRA, text).findings
    assert "llmGateway.providers.p.apiKeyRef" in {finding.key for finding in findings}
    assert "secret" not in repr(findings)


def test_every_config_rule_is_produced_by_some_case() -> None:
    texts = [(name, text) for name, text, _ in BAD] + [
        (RULES, "x = 1"),
        (DAEMON, '{"proxy_enabled": true}'),
    ]
    produced = {
        one.rule: one.severity for name, text in texts for one in check(name, text).findings
    }
    assert {rule: row[0] for rule, row in validate.RULES.items()} == {
        rule: severity for rule, severity in produced.items() if rule.startswith("config-")
    }


# --- overrides and fingerprint ---------------------------------------------------------------


def test_overrides_of_reads_rules_in_order() -> None:
    text = '[overrides]\nenabled = false\nrules = [["a", "b"], ["c", "d"]]\n'
    text += '[analytics]\nlog_overrides = false\ntrack_statistics = false\nreport_format = "text"'
    rules = (Rule("a", "b", 0), Rule("c", "d", 1))
    expected = Overrides(False, rules, False, False, "text")
    assert overrides_of(check(RULES, text).document) == expected


@pytest.mark.parametrize(("text", "enabled"), [("", False), ("[overrides]", True)])
def test_overrides_of_absent_keys_takes_the_defaults(text: str, enabled: bool) -> None:
    assert overrides_of(check(RULES, text).document) == Overrides(enabled, (), True, True, "json")


@pytest.mark.parametrize("document", [{"overrides": 1}, {"overrides": {"rules": [["a"]]}}])
def test_overrides_of_unchecked_document_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="check it first"):
        overrides_of(document)


def test_fingerprint_depends_on_every_byte_and_on_which_file_it_is_in() -> None:
    variants: list[dict[ConfigName, bytes | None]] = [
        {}, {RULES: b""}, {DAEMON: b""}, {RULES: b"a"}, {RULES: b"a\n"}, {RULES: b"a", DAEMON: b""},
        {GATEWAY: b"a"},
    ]  # fmt: skip
    prints = [fingerprint(files) for files in variants]
    assert len(set(prints)) == len(prints)
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in prints)
    assert fingerprint({RULES: None, GATEWAY: None}) == fingerprint({})


@pytest.mark.parametrize(
    ("files", "expected"), [({}, "8609299f2098f730"), ({RULES: b"a"}, "61435bd29164ab09")]
)
def test_fingerprint_is_what_sha256sum_says(
    files: Mapping[ConfigName, bytes | None], expected: str
) -> None:
    assert fingerprint(files) == expected


def test_fingerprint_equals_the_golden_vectors() -> None:
    vectors = json.loads(VECTORS.read_bytes())["vectors"]
    assert vectors
    for vector in vectors:
        files = {
            ConfigName(name): None if text is None else text.encode()
            for name, text in vector["files"].items()
        }
        assert fingerprint(files) == vector["fingerprint"], vector


# --- schemas ---------------------------------------------------------------------------------


def _properties(schema: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in ("properties", "$defs"):
                yield from ((f"{place}.{name}", one) for name, one in value.items())
            yield from _properties(value, f"{place}.{key}")
    elif isinstance(schema, list):
        for number, one in enumerate(schema):
            yield from _properties(one, f"{place}[{number}]")


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_valid_and_every_property_is_described(name: str) -> None:
    schema = resources.schema(name)
    Draft202012Validator.check_schema(schema)
    undescribed = [
        place
        for place, one in _properties(schema, name)
        if "description" not in one and "$ref" not in one
    ]
    assert undescribed == []


@pytest.mark.parametrize("name", [Path(name.filename).stem for name in ConfigName])
def test_schema_names_each_default_in_the_description(name: str) -> None:
    schema = resources.schema(name)
    silent = [
        place
        for place, one in _properties(schema, name)
        if "default" in one and "default" not in one["description"].lower()
    ]
    assert silent == []


def test_every_config_file_has_a_schema_and_the_price_table_fits_its_own() -> None:
    assert {Path(name.filename).stem for name in ConfigName} <= set(SCHEMAS)
    Draft202012Validator(resources.schema("prices")).validate(resources.data("prices"))


def test_templates_and_schemas_are_found_in_one_root() -> None:
    assert resources.template_dir().parent == resources.schema_dir().parent
    with pytest.raises(FileNotFoundError):
        resources.schema("no-such-schema")


def test_importing_config_does_not_import_jsonschema() -> None:
    modules = "sys, cco_migrate.lint, cco_migrate.editing.edits"
    code = f"import {modules}; print('jsonschema' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
