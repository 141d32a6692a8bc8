"""The table of what models accept: its rows, how a model is found, and an operator's own rows."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from gateway import resources
from gateway.config.loading import load
from gateway.errors import ConfigError
from gateway.overrides.adaptation import EFFORTS
from gateway.overrides.capabilities import Capabilities, Capability
from gateway.overrides.thinking import Thinking

DOCUMENT = resources.capabilities()
TABLE = Capabilities.parse(DOCUMENT)
NOT_KNOWN: frozenset[str] = frozenset()
"""Priced models of Claude of which nothing is known; a new one is put here, or into the table."""


def test_table_fits_its_schema_and_is_dated() -> None:
    schema = resources.schema("capabilities")
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(DOCUMENT)
    assert DOCUMENT["as_of"] >= "2026-11-21"


def test_every_priced_claude_is_known_or_deliberately_not() -> None:
    priced = (model for model in resources.prices()["models"] if model.startswith("claude-"))
    assert {model for model in priced if TABLE.of(model) is None} == NOT_KNOWN


@pytest.mark.parametrize("model", sorted(DOCUMENT["models"]))
def test_row_is_sourced_and_agrees_with_itself(model: str) -> None:
    row = DOCUMENT["models"][model]
    assert set(row["sources"]) <= set(DOCUMENT["sources"])
    found = TABLE.of(model)
    assert found is not None
    assert found.context_tokens is not None
    assert found.max_output_tokens is not None
    assert found.max_output_tokens <= found.context_tokens
    efforts = found.effort or ()
    assert list(efforts) == sorted(efforts, key=EFFORTS.index)
    assert set(found.effort_without_thinking or ()) <= set(efforts)
    # Both go by the same message: one that may not stand there cannot set an effort.
    assert found.system_messages is not False or found.message_effort is False
    # What thinks by itself does so by an effort.
    assert Thinking.ADAPTIVE not in (found.thinking or ()) or efforts


def test_every_source_is_used() -> None:
    used = {source for row in DOCUMENT["models"].values() for source in row["sources"]}
    assert used == set(DOCUMENT["sources"])


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("claude-haiku-4-5", True),
        ("claude-haiku-4-5-20251001", True),
        ("claude-opus-4-20250514", True),
        ("gpt-5-2025-08-07", True),
        ("claude-opus-4", False),
        ("claude-haiku-4-5-2025", False),
        ("claude-haiku-4-5-20251001-v1", False),
        ("CLAUDE-HAIKU-4-5", False),
        ("claude-haiku", False),
        ("", False),
    ],
)
def test_model_is_found_by_its_id_or_without_its_date_only(model: str, *, known: bool) -> None:
    assert (TABLE.of(model) is not None) is known


def test_known_facts_are_as_published() -> None:
    haiku, opus = TABLE.of("claude-haiku-4-5-20251001"), TABLE.of("claude-opus-5-5")
    assert haiku is not None
    assert opus is not None
    assert (haiku.context_tokens, haiku.max_output_tokens) == (200_000, 64_000)
    assert (haiku.effort, haiku.thinking) == ((), ("enabled", "disabled"))
    assert "context-1m-2025-08-07" in haiku.unsupported_betas
    assert (opus.context_tokens, opus.thinking) == (1_000_000, ("adaptive",))
    assert opus.unsupported_betas == ()


def write(folder: Path, text: str) -> Path:
    (folder / "gateway.toml").write_text(text)
    return folder


def test_own_rows_replace_single_facts(tmp_path: Path) -> None:
    text = """
        [capabilities."claude-haiku-4-5"]
        max_output_tokens = 8000
        unsupported_betas = ["x"]
        [capabilities."claude-opus-4-5-20251101"]
        effort = ["low"]
        [capabilities.qwen]
        context_tokens = 32768
        """
    own = load(write(tmp_path, text), tmp_path).capabilities
    table = Capabilities.parse(DOCUMENT, own)
    haiku, before = table.of("claude-haiku-4-5"), TABLE.of("claude-haiku-4-5")
    assert haiku is not None
    assert before is not None
    assert (haiku.max_output_tokens, haiku.unsupported_betas) == (8000, ("x",))
    assert (haiku.context_tokens, haiku.thinking) == (before.context_tokens, before.thinking)
    dated, other = table.of("claude-opus-4-5-20251101"), table.of("claude-opus-4-5")
    assert dated is not None
    assert other == TABLE.of("claude-opus-4-5")
    assert (dated.effort, dated.max_output_tokens) == (("low",), 64_000)
    assert table.of("qwen") == Capability(context_tokens=32768)
    assert table.of("claude-opus-5-5") == TABLE.of("claude-opus-5-5")


def test_every_fact_can_be_told_by_an_operator() -> None:
    properties = resources.schema("gateway")["properties"]["capabilities"]
    own = properties["additionalProperties"]["properties"]
    table = resources.schema("capabilities")["properties"]["models"]["additionalProperties"]
    names = {field.name for field in fields(Capability)}
    assert set(own) == names
    assert set(table["properties"]) == names | {"sources"}
    for name in names:
        told = {key: value for key, value in own[name].items() if key != "description"}
        known = {key: value for key, value in table["properties"][name].items() if key in told}
        assert told == known


@pytest.mark.parametrize(
    ("text", "key", "fix"),
    [
        ('[capabilities.m]\nefort = ["low"]', "capabilities.m.efort", 'write "effort"'),
        ('[capabilities.m]\neffort = ["turbo"]', "capabilities.m.effort.0", None),
        ("[capabilities.m]\ncontext_tokens = 0", "capabilities.m.context_tokens", None),
        ('[capabilities.m]\nthinking = "adaptive"', "capabilities.m.thinking", None),
        ("[capabilities]\nsampling = true", "capabilities.sampling", None),
    ],
)
def test_unusable_row_is_refused(tmp_path: Path, text: str, key: str, fix: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), tmp_path)
    assert caught.value.key == key
    assert fix is None or caught.value.fix == fix
