"""The jobs for CI services: valid YAML, and commands that exist with the options they use."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml

from cco_migrate import resources
from cco_migrate.tasks import nouns

JOBS = sorted(path.name for path in (resources.template_dir() / "ci").iterdir())


def parsed(name: str) -> Any:  # Any: YAML
    text = (resources.template_dir() / "ci" / name).read_text()
    return yaml.safe_load(text)


def scripts(name: str) -> list[str]:
    """Every command of a job."""
    document = parsed(name)
    if name == "gitlab-ci.yml":
        return [str(line) for line in document["gate"]["script"]]
    return [str(step["run"]) for step in document["jobs"]["gate"]["steps"] if "run" in step]


def test_there_is_a_job_for_each_service() -> None:
    assert JOBS == ["github-actions.yml", "gitlab-ci.yml"]


@pytest.mark.parametrize("name", JOBS)
def test_job_runs_the_gate_with_options_that_exist(name: str) -> None:
    (command,) = [line for line in scripts(name) if line.startswith("cco-migrate ")]
    words = shlex.split(command)
    assert words[:2] == ["cco-migrate", "gate"]
    flags = {flag for argument in nouns.gate_run.get_arguments() for flag in argument.names}
    used = {word.removeprefix("--") for word in words if word.startswith("--")}
    assert used >= {"phase", "url", "config", "junit"}
    assert used <= flags


def test_reports_are_kept_whatever_the_verdict() -> None:
    gitlab = parsed("gitlab-ci.yml")["gate"]
    assert gitlab["artifacts"]["when"] == "always"
    assert gitlab["artifacts"]["reports"]["junit"] == "gate.xml"
    steps = parsed("github-actions.yml")["jobs"]["gate"]["steps"]
    assert [step["if"] for step in steps if "upload-artifact" in step.get("uses", "")] == [
        "always()"
    ]


@pytest.mark.parametrize("name", JOBS)
def test_no_input_of_a_person_is_pasted_into_a_shell(name: str) -> None:
    assert not any(re.search(r"\$\{\{", line) for line in scripts(name))
