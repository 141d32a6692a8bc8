"""The inputs that fuzzing found worth keeping, given to each target again, without the fuzzer."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from fuzz import corpus
from fuzz.mutation import Mutator
from fuzz.targets import TARGETS

MAX_CORPUS_BYTES = 1_000_000


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_of_the_corpus_keeps_the_laws(name: str) -> None:
    inputs = corpus.read(name)
    assert inputs, f"{name} has no corpus"
    for data in inputs:
        try:
            TARGETS[name](data)
        except Exception as error:
            error.add_note(f"input: {data!r}")
            raise


def test_corpora_belong_to_targets_and_stay_small() -> None:
    names = {f"{name}.jsonl" for name in TARGETS}
    files, finds = list(corpus.FOLDER.iterdir()), list(corpus.FINDS.iterdir())
    assert {path.name for path in files} == names
    assert {path.name for path in finds} <= names
    assert sum(path.stat().st_size for path in (*files, *finds)) <= MAX_CORPUS_BYTES


def test_corpus_is_read_as_it_was_written_after_the_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "FOLDER", tmp_path / "corpus")
    monkeypatch.setattr(corpus, "FINDS", tmp_path)
    assert corpus.read("http.request") == ()
    inputs = (b"", b"\n", b"\xff\x00", bytes(range(256)))
    corpus.write("http.request", [*reversed(inputs), b"\n"])
    (tmp_path / "http.request.jsonl").write_text('"\\u00fe"\n')
    assert corpus.read("http.request") == (b"\xfe", *inputs)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":[1,{"b":null}]}',
        b"[]",
        b"3",
        b'data: {"a":1}\n\ndata: [DONE]\n\n',
        b'{"a":1}\n{"b":2}\n',
    ],
)
def test_structured_change_repeats_with_its_seed_and_changes_something(data: bytes) -> None:
    mutator = Mutator([b'{"c":[2]}', b"data: 5\n\n"])
    found = {mutator.changed(data, Random(seed)) for seed in range(50)}  # repeats
    again = {mutator.changed(data, Random(seed)) for seed in range(50)}  # repeats
    assert found == again
    assert len(found - {data, None}) > 5


def test_input_without_structure_is_left_to_the_fuzzer() -> None:
    assert Mutator([]).changed(b"GET / HTTP/1.1\r\n\r\n", Random(1)) is None
