"""Lint of override rules: what is said about which rule, and which rules `--fix` adds."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from cco_migrate import resources
from cco_migrate.config import Overrides, overrides_of
from cco_migrate.editing.edits import Format, append_items
from cco_migrate.lint import RULES, Twin, lint_overrides, twins
from cco_migrate.pricing.prices import PriceTable
from cco_migrate.verdict import Finding, Severity

SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
OPUS, DOTTED = "claude-opus-4-5-20251101", "claude-sonnet-4.5-20250929"
KNOWN = frozenset(
    {SONNET, HAIKU, OPUS, "claude-sonnet-4-5", "claude-haiku-4-5", "gpt-4.1", "gpt-5.1", "gpt-5-1"}
)

E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE

DEMO = b"""[overrides]
enabled = false

rules = [
    ["claude-sonnet-4.5-20250929", "claude-haiku-4-5-20251001"],
    ["claude-sonnet-4", "claude-haiku-4-5-20251001"],
    ["claude-sonnet-3.5", "claude-haiku-4-5-20251001"],
]
"""


def file_of(*rules: tuple[str, str]) -> bytes:
    lines = [f'  ["{source}", "{target}"],' for source, target in rules]
    return "\n".join(["[overrides]", "rules = [", *lines, "]", ""]).encode()


def read(data: bytes) -> Overrides:
    return overrides_of(tomllib.loads(data.decode()))


def lint(data: bytes, observed: Mapping[str, int] | None = None) -> tuple[Finding, ...]:
    return lint_overrides(read(data), Path("o.toml"), data, KNOWN, observed)


Row = tuple[str, Severity, str, int]  # rule, severity, key behind "overrides.rules", line
CASES: list[tuple[tuple[tuple[str, str], ...], list[Row]]] = [
    (((SONNET, HAIKU), ("gpt-4.1", HAIKU)), []),
    ((("claude-sonnet-4-5-20991231", HAIKU),), []),  # known without its date
    (((SONNET, "gpt-5.1-2025-11-13"), ("gpt-5.1", HAIKU)), []),  # a dot can be right
    (((" ", HAIKU),), [("override-empty", E, "[0][0]", 3)]),
    (((SONNET, ""),), [("override-empty", E, "[0][1]", 3)]),
    (((f"{SONNET} ", HAIKU),), [("override-padded", E, "[0][0]", 3)]),
    (((SONNET, f" {HAIKU}"),), [("override-padded", E, "[0][1]", 3)]),
    (((SONNET, SONNET),), [("override-self-map", W, "[0]", 3)]),
    (((SONNET, HAIKU), (SONNET, OPUS)), [("override-duplicate-source", W, "[1][0]", 4)]),
    (((OPUS, SONNET), (SONNET, HAIKU)), [("override-chain", W, "[0][1]", 3)]),
    (((OPUS, SONNET), (SONNET, OPUS)), [("override-cycle", W, "[0]", 3)]),
    (((HAIKU, OPUS), (OPUS, SONNET), (SONNET, OPUS)),
     [("override-chain", W, "[0][1]", 3), ("override-cycle", W, "[1]", 4)]),
    (((DOTTED, HAIKU),), [("override-dotted-id", W, "[0][0]", 3)]),
    (((DOTTED, HAIKU), (SONNET, HAIKU)), [("override-dotted-id", N, "[0][0]", 3)]),
    ((("claude-sonnet-3.5", HAIKU),), [("override-dotted-id", W, "[0][0]", 3)]),
    (((OPUS, DOTTED),), [("override-dotted-id", E, "[0][1]", 3)]),
    ((("claude-sonnet-4", HAIKU),), [("override-unknown-source", W, "[0][0]", 3)]),
    (((SONNET, "m-1"),), [("override-unknown-target", W, "[0][1]", 3),
                          ("override-unpriced-target", W, "[0][1]", 3)]),
    ((("sonnet", HAIKU),), [("override-alias", W, "[0][0]", 3)]),
    (((SONNET, "Haiku"),), [("override-alias", E, "[0][1]", 3)]),
    (((SONNET.upper(), HAIKU),), [("override-case", W, "[0][0]", 3)]),
    (((SONNET, HAIKU.upper()),), [("override-case", E, "[0][1]", 3)]),
]  # fmt: skip


def rows(findings: tuple[Finding, ...]) -> list[Row]:
    assert {finding.path for finding in findings} <= {Path("o.toml")}
    return [
        (one.rule, one.severity, one.key.removeprefix("overrides.rules"), one.line or 0)
        for one in findings
    ]


@pytest.mark.parametrize(("rules", "expected"), CASES)
def test_lint_without_traffic_finds(
    rules: tuple[tuple[str, str], ...], expected: list[Row]
) -> None:
    assert rows(lint(file_of(*rules))) == expected


def test_lint_known_but_unpriced_target_warns() -> None:
    data = file_of((SONNET, HAIKU))
    found = lint_overrides(read(data), Path("o.toml"), data, KNOWN, None, priced={SONNET})
    assert rows(found) == [("override-unpriced-target", W, "[0][1]", 3)]


@pytest.mark.parametrize(
    ("rules", "observed", "expected"),
    [
        (((SONNET, HAIKU),), None, []),
        (((SONNET, HAIKU),), {}, []),
        (((SONNET, HAIKU),), {SONNET: 0}, []),
        (((SONNET, HAIKU),), {SONNET: 3}, []),
        (((SONNET, HAIKU),), {OPUS: 3}, [("override-matches-nothing", E, "", 2)]),
        ((), {OPUS: 3}, [("override-matches-nothing", E, "", 2)]),
        (((SONNET, HAIKU), (OPUS, HAIKU)), {OPUS: 1},
         [("override-matches-nothing", W, "[0][0]", 3)]),
        # real traffic beats the table: a dotted or unknown id that clients send is an id
        ((("claude-sonnet-4", HAIKU), (DOTTED, HAIKU)), {"claude-sonnet-4": 1, DOTTED: 1}, []),
    ],
)  # fmt: skip
def test_lint_with_traffic_finds(
    rules: tuple[tuple[str, str], ...], observed: Mapping[str, int] | None, expected: list[Row]
) -> None:
    assert rows(lint(file_of(*rules), observed)) == expected


def test_lint_no_match_names_the_traffic_and_the_fix() -> None:
    (error,) = [one for one in lint(DEMO, {SONNET: 20, OPUS: 4}) if one.severity is E]
    assert error.message == "no rule matches any of 24 observed requests"
    assert error.fix == f'traffic asks for "{SONNET}" (20), "{OPUS}" (4); --fix adds "{SONNET}"'


def test_lint_dotted_id_says_did_you_mean() -> None:
    first = lint(DEMO)[0]
    assert str(first) == (
        f'o.toml:5: overrides.rules[0][0]: "{DOTTED}" is no known id; ids are written with dashes; '
        f'did you mean "{SONNET}"? --fix adds that rule'
    )


def test_lint_judges_10_000_rules_with_one_long_chain() -> None:
    data = file_of(*((f"m{number}", f"m{number + 1}") for number in range(10_000)))
    chains = [one for one in lint(data) if one.rule == "override-chain"]
    assert len(chains) == 9_999


def test_every_rule_is_produced_by_some_case_at_its_gravest() -> None:
    findings = [one for rules, _ in CASES for one in lint(file_of(*rules))]
    findings += lint(file_of((SONNET, HAIKU)), {OPUS: 3})
    gravest: dict[str, Severity] = {}
    order = [Severity.NOTE, Severity.WARNING, Severity.ERROR]
    for one in findings:
        gravest[one.rule] = max(gravest.get(one.rule, N), one.severity, key=order.index)
    assert gravest == {rule: severity for rule, (severity, _) in RULES.items()}


def test_every_rule_says_what_it_means_in_one_line() -> None:
    assert all(meaning and "\n" not in meaning for _, meaning in RULES.values())


# --- twins -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (((DOTTED, HAIKU),), (Twin(SONNET, HAIKU, 0),)),
        (((OPUS, HAIKU), ("claude-opus-4.5", HAIKU)), ()),  # the dashed form is not known
        (((DOTTED, HAIKU), (SONNET, OPUS)), ()),  # there already
        (((DOTTED, HAIKU), (DOTTED, OPUS)), (Twin(SONNET, HAIKU, 0),)),  # once
        (((DOTTED, SONNET),), ()),  # would replace a model by itself
        ((("claude-sonnet-4.5-20990101", HAIKU),), (Twin("claude-sonnet-4-5-20990101", HAIKU, 0),)),
        ((("claude-sonnet-3.5", HAIKU), ("gpt-4.1", HAIKU), ("a.b", HAIKU)), ()),
        ((("gpt-5.1", HAIKU), ("gpt-5.1-2025-11-13", HAIKU)), ()),
    ],
)
def test_twins_are_known_dashed_ids_not_there_yet(
    rules: tuple[tuple[str, str], ...], expected: tuple[Twin, ...]
) -> None:
    assert twins(read(file_of(*rules)), KNOWN) == expected


@pytest.mark.parametrize(
    "model", ["claude-", "claude-sonnet-4.5-20250929", "claude-opus-5.1", "Opus", "Claude-Opus-5"]
)
def test_only_ids_of_claude_are_proposed_for_one_of_claude(model: str) -> None:
    data = file_of((model, HAIKU))
    known = PriceTable(resources.data("prices")).ids
    found = lint_overrides(read(data), Path("o.toml"), data, known, None)
    assert found
    proposed = " ".join(f"{one.message} {one.fix}" for one in found)
    assert not re.search(r"gpt|\bo\d|chat-|codex", proposed)


def test_fix_on_the_documented_file_adds_one_line_and_then_nothing() -> None:
    models = resources.data("prices")["models"]
    assert isinstance(models, dict)
    added = twins(read(DEMO), models)
    items = [(twin.source, twin.target) for twin in added]
    after = [twin.after_index for twin in added]
    fixed = append_items(DEMO, ("overrides", "rules"), items, after, Format.TOML)
    line = b'    ["claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"],'
    assert fixed.splitlines() == [*DEMO.splitlines()[:5], line, *DEMO.splitlines()[5:]]
    assert twins(read(fixed), models) == ()
    observed = lint_overrides(read(fixed), Path("o.toml"), fixed, models, {SONNET: 1})
    assert [one for one in observed if one.severity is E] == []
