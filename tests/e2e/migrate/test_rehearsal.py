"""Rehearsals on real processes: every way back, one that does not restore, one that is killed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cco_migrate.commands.rehearsing import concluded
from cco_migrate.context import Context
from cco_migrate.model import DriverSpec, Instance
from cco_migrate.progress import Output
from cco_migrate.recovery.record import Origin, read_record, summed
from cco_migrate.recovery.ways import Taken, Way
from cco_migrate.rehearsal import rounds
from cco_migrate.rehearsal.clone import cloned, end_abandoned, folder_of
from cco_migrate.rehearsal.rounds import Stage, prepared, rehearse
from cco_migrate.rehearsal.streams import StreamingClient
from cco_migrate.runs.store import Run
from cco_migrate.session import Session
from cco_migrate.target import Target
from cco_migrate.world import World

# Several processes start and are replaced a few times in each: slow on a busy machine.
pytestmark = pytest.mark.timeout(300)

DATA = Path(__file__).parents[2] / "data" / "removal"
ORIGIN = Origin(datetime(2026, 11, 2, tzinfo=UTC), "0.1.0", "0" * 16, "1" * 16)
STREAMS = 66
LONG_S = 180.0


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Context]:
    """A deployment on the old path that does not run: a rehearsal only reads its files."""
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    switches = b'{\n  "gatewayEnabled": false,\n  "proxyEnabled": true\n}\n'
    (home / "config" / "daemon-config.json").write_bytes(switches)
    world = World.real()
    instance = Instance(
        "real", "http://127.0.0.1:1", home / "config" / "model-overrides.toml", home,
        DriverSpec("process"),
    )  # fmt: skip
    yield Context(world, instance, "none", home, {}, lambda _what, _timeout_s: None, dict)
    world.http.close()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository that still holds the old proxy."""
    root = tmp_path / "sample"
    shutil.copytree(DATA / "repository", root, ignore=shutil.ignore_patterns("__pycache__"))
    author = ("-c", "user.name=Op", "-c", "user.email=op@example.org")
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "both ways")):
        subprocess.run(["git", *author, *words], cwd=root, check=True)
    return root


def git(repository: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=repository, check=True, capture_output=True, text=True
    ).stdout


def test_every_way_back_is_taken_on_a_clone_and_nothing_real_is_touched(
    folder: Any, repository: Path
) -> None:
    manifest = ("--manifest", str(DATA / "removal.toml"), "--repository", str(repository))
    done = folder.run("rollback.rehearse", "--times", "1", *manifest, "--json", timeout_s=LONG_S)
    assert done.code == 4, done.err
    row = done.document
    assert (row["verdict"], row["rounds"], row["faults"]) == ("INCONCLUSIVE", 1, [])
    assert [(one["way"], len(one["seconds"])) for one in row["ways"]] == [
        ("flag", 1), ("backup", 1), ("git", 1), ("bundle", 1)
    ]  # fmt: skip
    assert row["recovery_point"]["requests_lost"] == row["recovery_point"]["files_different"] == 0
    assert row["recovery_point"]["requests"] > 0
    assert row["streams"]["whole"] > 0
    assert row["streams"]["broken"] == 0
    migrate = folder.home / "migrate"
    assert read_record(migrate, World.real().files) is None  # one round does not count
    assert not (folder_of(migrate) / "clone").exists()
    assert not (migrate / "runs").exists()
    assert json.loads((folder.config.parent / "daemon-config.json").read_bytes()) == {
        "gatewayEnabled": False, "proxyEnabled": True
    }  # fmt: skip
    assert git(repository, "branch", "--format=%(refname)", "--all") == "refs/heads/main\n"
    assert git(repository, "status", "--porcelain") == git(repository, "tag") == ""


def somebody_edits(stage: Stage, _run: Run) -> None:
    path = stage.clone.context.instance.config_dir / "daemon-config.json"
    row = json.loads(path.read_bytes())
    path.write_text(json.dumps({**row, "logLevel": "debug"}))


def backup_rots(stage: Stage, run: Run) -> None:
    evidence = run.state.steps["backup"].evidence or {}
    objects = stage.clone.context.backups.root / "objects"
    for file in evidence["files"]:
        (objects / file["sha256"]).write_bytes(b"rotten")


@pytest.mark.parametrize(
    ("way", "spoil", "said"),
    [
        (Way.FLAG, somebody_edits, "daemon-config.json is not as before"),
        (Way.BACKUP, backup_rots, "the way back stopped"),
    ],
)
def test_way_back_that_does_not_restore_is_no_go_and_on_record(
    source: Context, way: Way, spoil: Callable[[Stage, Run], None], said: str
) -> None:
    def spoiled(name: str) -> Taken:
        url = stage.clone.context.instance.url
        with StreamingClient(url, rounds.MODEL, "any") as client:
            run = rounds.cut_over(stage, name)
            spoil(stage, run)
            return rounds.way_back(stage, run, way, client, name)

    told: list[int] = []
    with cloned(source, source.config_files()) as clone:
        stage = prepared(clone, STREAMS, replace_workers=True)
        found = rehearse({way: spoiled}, 3, lambda number, _taken: told.append(number))
    assert told == [1]  # nothing is rehearsed on what did not come back
    assert found.rounds == 0
    assert f"round 1, back by {way}: " in found.faults[0]
    assert said in found.faults[0]
    with Output(quiet=True) as out:
        session = Session(Target(home=str(source.instance.home)), out, source.world)
        record = summed(ORIGIN, found.rounds, found.taken, found.faults)
        result = concluded(session, record, source.instance)
    assert (result.code, said in result.text) == (3, True)
    assert read_record(source.instance.migrate_dir, source.world.files) == record


def test_rehearsal_that_was_killed_leaves_nothing_behind_the_next_sweep(
    tmp_path: Path, source: Context
) -> None:
    migrate, world = source.instance.migrate_dir, source.world
    home = folder_of(migrate) / "clone"
    program = str(Path(sys.executable).parent / "cco-migrate")
    running = subprocess.Popen(
        [program, "rollback.rehearse", "--home", str(source.instance.home), "--times", "1000"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + LONG_S
    while not (home / "daemon.pid").exists():
        assert time.monotonic() < deadline, "the clone never served"
        assert running.poll() is None, "the rehearsal ended by itself"
        time.sleep(0.02)
    assert end_abandoned(migrate, world) == 0  # one that is under way is let alone
    assert home.exists()
    running.kill()
    running.wait()
    assert end_abandoned(migrate, world) >= 2  # its gateway and its upstream
    assert world.processes.carrying({"CCO_MIGRATE_HOME": str(home)}) == ()
    assert not home.exists()
