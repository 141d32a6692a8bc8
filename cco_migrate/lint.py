"""Judges override rules: those that can never fire, break requests or hide what they cost. Pure.

A rule fires only for exactly its source id, so nothing here matches loosely; what looks like
another id is said, and `twins` offers the exact rule beside it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cco_migrate.config import Overrides, Rule
from cco_migrate.editing.documents import Format, index, line_of
from cco_migrate.editing.spans import Entry, KeyPath, dotted
from cco_migrate.pricing.model_ids import undated
from cco_migrate.verdict import Finding, Severity

# The gravest severity each rule reports, and what it means.
RULES: Mapping[str, tuple[Severity, str]] = {
    "override-empty": (Severity.ERROR, "an id is empty or blank"),
    "override-padded": (Severity.ERROR, "an id has spaces around it, so it names no model"),
    "override-self-map": (Severity.WARNING, "a model is replaced by itself"),
    "override-duplicate-source": (Severity.WARNING, "an earlier rule has the same source and wins"),
    "override-chain": (Severity.WARNING, "a target is the source of another rule; one pass only"),
    "override-cycle": (Severity.WARNING, "rules lead back to their start; one pass swaps them"),
    "override-alias": (Severity.ERROR, "a bare tier name instead of a model id"),
    "override-case": (Severity.ERROR, "an id differs from a known one in case only"),
    "override-dotted-id": (Severity.ERROR, "a version is written with a dot; ids have a dash"),
    "override-unknown-source": (Severity.WARNING, "the source is no known model id"),
    "override-unknown-target": (Severity.WARNING, "the target is no known model id"),
    "override-unpriced-target": (Severity.WARNING, "no price is known for the target"),
    "override-matches-nothing": (Severity.ERROR, "no observed request asks for the source"),
}

_ALIASES = frozenset({"haiku", "sonnet", "opus"})
_VERSION_DOT = re.compile(r"(?<=\d)\.(?=\d)")
_ROOT: KeyPath = ("overrides", "rules")


@dataclass(frozen=True, slots=True)
class Twin:
    """A rule to add: the dashed form of a dotted source, right behind rule `after_index`."""

    source: str
    target: str
    after_index: int


def lint_overrides(
    overrides: Overrides,
    path: Path,
    data: bytes,
    known_models: Collection[str],
    observed: Mapping[str, int] | None,
    *,
    priced: Collection[str] | None = None,
) -> tuple[Finding, ...]:
    """Return what is doubtful about the rules, in file order; empty when nothing is.

    The rules are judged as if enabled, because that is what a migration is about to do.

    Args:
        overrides: The rules of `data`.
        path: Named in the findings.
        data: The TOML file the rules were read from, for line numbers.
        known_models: Full model ids.
        observed: Requests by requested model id; None or empty when no traffic was seen, and then
            nothing is concluded from it.
        priced: Ids with a price; None means exactly the known ones have one.
    """
    known, seen = frozenset(known_models), dict(observed or {})
    prices = known if priced is None else frozenset(priced)
    faults = [
        *_id_faults(overrides.rules, known, frozenset(seen), prices),
        *_order_faults(overrides.rules),
        *_traffic_faults(overrides, known, seen),
    ]
    entries = index(data, Format.TOML)
    found = [_finding(fault, path, data, entries) for fault in faults]
    return tuple(sorted(found, key=lambda finding: finding.line or 0))


def twins(overrides: Overrides, known_models: Collection[str]) -> tuple[Twin, ...]:
    """Return the rules `--fix` adds: known dashed ids of dotted sources that no rule has yet."""
    known = frozenset(known_models)
    taken = {rule.source for rule in overrides.rules}
    found: list[Twin] = []
    for rule in overrides.rules:
        dashed = _dashed(rule.source, known)
        if dashed is not None and dashed not in taken and dashed != rule.target:
            taken.add(dashed)
            found.append(Twin(dashed, rule.target, rule.index))
    return tuple(found)


class _Fault(NamedTuple):
    """A finding before it has a place; `severity` None means the table's."""

    rule: str
    key: KeyPath
    found: str
    message: str
    fix: str = ""
    severity: Severity | None = None


def _id_faults(
    rules: tuple[Rule, ...], known: frozenset[str], seen: frozenset[str], priced: frozenset[str]
) -> Iterator[_Fault]:
    sources = frozenset(rule.source for rule in rules)
    for rule in rules:
        source, target = (*_ROOT, rule.index, 0), (*_ROOT, rule.index, 1)
        # An id that traffic carries is real, whatever the table says.
        if rule.source not in seen and not _has(rule.source, known):
            yield _id_fault(rule.source, source, known, sources)
        fault = None
        if not _has(rule.target, known):
            fault = _id_fault(rule.target, target, known, frozenset())
            yield fault
        if (fault is None or fault.rule == "override-unknown-target") and not _has(
            rule.target, priced
        ):
            message = "has no price: its requests would cost an unknown amount"
            yield _Fault("override-unpriced-target", target, rule.target, message)


def _id_fault(model: str, key: KeyPath, known: frozenset[str], sources: frozenset[str]) -> _Fault:
    """Return the first reason why `model` is no id, most certain first.

    A bad target breaks every request its rule touches; a bad source only never fires.
    """
    target = key[-1] == 1
    gentle = None if target else Severity.WARNING
    if not model.strip():
        return _Fault("override-empty", key, model, "is empty", "write a full model id")
    if model != model.strip():
        fix = f'write "{model.strip()}"'
        return _Fault("override-padded", key, model, "has spaces around it", fix)
    if model.lower() in _ALIASES:
        ids = _like(f"claude-{model.lower()}", known)
        message = "is an alias; requests carry full ids"
        return _Fault("override-alias", key, model, message, ids, gentle)
    lower = model.lower()
    if lower != model and _has(lower, known):
        message = "differs in case only from a known id; the match is exact"
        return _Fault("override-case", key, model, message, f'write "{lower}"', gentle)
    dashed = _dashed(model, known)
    if dashed is not None and dashed in sources:
        message = f'matches nothing, but "{dashed}" has its own rule'
        return _Fault("override-dotted-id", key, model, message, severity=Severity.NOTE)
    if dashed is not None:
        fix = f'did you mean "{dashed}"?' + ("" if target else " --fix adds that rule")
        message = "is no known id; ids are written with dashes"
        return _Fault("override-dotted-id", key, model, message, fix, gentle)
    if _VERSION_DOT.search(model) and model.startswith("claude-"):
        message = "is no known id, and neither is its form with dashes"
        return _Fault("override-dotted-id", key, model, message, "", Severity.WARNING)
    rule = "override-unknown-target" if target else "override-unknown-source"
    return _Fault(rule, key, model, "is no known model id", _like(model, known))


def _order_faults(rules: tuple[Rule, ...]) -> Iterator[_Fault]:
    first = _first(rules)
    for rule in rules:
        winner = first[rule.source]
        place = (*_ROOT, rule.index)
        if winner is not rule:
            message = f"never fires: rule {winner.index + 1} has the same source and wins"
            yield _Fault(
                "override-duplicate-source", (*place, 0), rule.source, message, "remove it"
            )
        elif rule.source == rule.target:
            message = "replaces a model by itself"
            yield _Fault("override-self-map", place, rule.source, message, "remove it")
    following = {rule.source: rule.target for rule in first.values() if rule.source != rule.target}
    cyclic: set[str] = set()
    for cycle in _cycles(following):
        cyclic.update(cycle)
        start = min((first[source] for source in cycle), key=lambda rule: rule.index)
        around = " → ".join([*_from(cycle, start.source), start.source])
        message = f"rules lead in a circle ({around}); each request takes one step of it"
        yield _Fault("override-cycle", (*_ROOT, start.index), start.source, message)
    for source, target in following.items():
        if target in following and source not in cyclic:
            message = f'requests end at "{target}", not at "{following[target]}": one pass only'
            fix = f'write "{following[target]}" if that is meant'
            yield _Fault("override-chain", (*_ROOT, first[source].index, 1), target, message, fix)


def _first(rules: tuple[Rule, ...]) -> dict[str, Rule]:
    """Return the rule that wins for each source."""
    first: dict[str, Rule] = {}
    for rule in rules:
        first.setdefault(rule.source, rule)
    return first


def _cycles(following: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield each circle once, in walking order; every id has at most one successor."""
    done: set[str] = set()
    for start in following:
        walked: dict[str, None] = {}
        at: str | None = start
        while at is not None and at not in done and at not in walked:
            walked[at] = None
            at = following.get(at)
        if at in walked:
            order = list(walked)
            yield order[order.index(at) :]
        done.update(walked)


def _from(cycle: list[str], start: str) -> list[str]:
    at = cycle.index(start)
    return cycle[at:] + cycle[:at]


def _traffic_faults(
    overrides: Overrides, known: frozenset[str], seen: Mapping[str, int]
) -> Iterator[_Fault]:
    total = sum(seen.values())
    if not total:
        return
    sources = _first(overrides.rules)
    if not any(seen.get(source) for source in sources):
        message = f"no rule matches any of {total} observed requests"
        added = [twin for twin in twins(overrides, known) if seen.get(twin.source)]
        common = sorted(seen, key=lambda model: (-seen[model], model))[:3]
        fix = "traffic asks for " + ", ".join(f'"{model}" ({seen[model]})' for model in common)
        if added:
            fix += "; --fix adds " + ", ".join(f'"{twin.source}"' for twin in added)
        yield _Fault("override-matches-nothing", _ROOT, "", message, fix)
        return
    for source, rule in sources.items():
        if not seen.get(source):
            message = f"matches 0 of {total} observed requests"
            key = (*_ROOT, rule.index, 0)
            yield _Fault("override-matches-nothing", key, source, message, "", Severity.WARNING)


def _has(model: str, ids: frozenset[str]) -> bool:
    """Whether `model` is one of `ids`, as it is or without its date."""
    return model in ids or undated(model) in ids


def _dashed(model: str, known: frozenset[str]) -> str | None:
    """Return the dashed form of a dotted id; None when there is no dot or nobody knows the form."""
    if _has(model, known):
        return None
    dashed = _VERSION_DOT.sub("-", model)
    return dashed if dashed != model and _has(dashed, known) else None


def _like(model: str, known: frozenset[str]) -> str:
    ids = sorted(one for one in known if one.startswith(model))[:3]
    return f"known: {', '.join(ids)}" if ids else ""


def _finding(fault: _Fault, path: Path, data: bytes, entries: Mapping[KeyPath, Entry]) -> Finding:
    severity = fault.severity or RULES[fault.rule][0]
    line = line_of(data, entries, fault.key)
    message = f'"{fault.found}" {fault.message}' if fault.found else fault.message
    return Finding(
        fault.rule, severity, path, message, line, dotted(fault.key), fault.found, fault.fix
    )
