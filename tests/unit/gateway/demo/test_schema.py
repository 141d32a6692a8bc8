"""The demo upstream makes up documents by a JSON Schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.schema import sample

Json = dict[str, Any]  # decoded JSON of our own making


def schemas(depth: int = 2) -> st.SearchStrategy[Json]:
    leaf: st.SearchStrategy[Json] = st.one_of(
        st.just({"type": "boolean"}),
        st.just({"type": "null"}),
        st.just({}),
        st.just({"type": ["string", "null"]}),
        st.just({"const": [1]}),
        st.lists(st.integers(), min_size=1, max_size=3).map(lambda values: {"enum": values}),
        st.tuples(st.integers(-9, 9), st.integers(0, 9)).map(
            lambda pair: {"type": "integer", "minimum": pair[0], "maximum": sum(pair)}
        ),
        st.tuples(st.integers(0, 9), st.integers(0, 9)).map(
            lambda pair: {"type": "string", "minLength": pair[0], "maxLength": sum(pair)}
        ),
    )
    if depth == 0:
        return leaf
    inner = schemas(depth - 1)
    return st.one_of(
        leaf,
        st.tuples(inner, st.integers(0, 3)).map(
            lambda pair: {"type": "array", "items": pair[0], "minItems": pair[1]}
        ),
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(
            lambda known: {"type": "object", "properties": known, "required": list(known)}
        ),
        inner.map(lambda one: {"anyOf": [one, {"type": "string"}]}),
        inner.map(lambda one: {"$ref": "#/$defs/it", "$defs": {"it": one}}),
    )


@given(st.dictionaries(st.sampled_from("abc"), schemas(), max_size=3))
def test_sample_satisfies_its_schema(known: Json) -> None:
    defs: Json = {}
    for name, schema in known.items():
        # References are resolved from the root, so definitions found below move there.
        defs |= {f"{name}{index}": d for index, d in enumerate(_hoist(schema, name))}
    schema = {"type": "object", "properties": known, "required": list(known), "$defs": defs}
    jsonschema.validate(sample(schema), schema)


def _hoist(schema: Json, name: str) -> list[Json]:
    """Take every nested `$defs` out and point its reference at the root's."""
    found: list[Json] = []
    pending = [schema]
    while pending:
        one = pending.pop()
        if "$defs" in one:
            inner = one.pop("$defs")["it"]
            one["$ref"] = f"#/$defs/{name}{len(found)}"
            found.append(inner)
            pending.append(inner)
        pending += [inner for inner in one.get("anyOf", []) if isinstance(inner, dict)]
        pending += list(one.get("properties", {}).values())
        pending += [one["items"]] if "items" in one else []
    return found


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**12},
        {"type": "string", "minLength": 10**12},
        {"$ref": "#"},
        {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}},
        {"$ref": "#/nowhere/0"},
    ],
)
def test_sample_of_a_hostile_schema_is_small(schema: Json) -> None:
    assert len(json.dumps(sample(schema))) < 2000
