""".github/: its files are what GitHub takes, and what they run exists and runs here."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.deploy.dockerfile import arguments, stages

FORMS = sorted(Path(".github/ISSUE_TEMPLATE").glob("*.yml"))
WORKFLOWS = sorted(Path(".github/workflows").glob("*.yml"))
BASE = Path("deploy/container/base.sh").absolute()
DOCKERFILE = Path("deploy/container/Dockerfile")
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
DIGESTS = [f"sha256:{digit * 64}" for digit in "0a"]
_LIMIT_S = 300


def name_of(base: str) -> str:
    """Return what `FROM` names, without a digest."""
    return re.split("[@ ]", base)[0]


BASES = sorted({name_of(arguments(stage, "FROM")[0]) for stage in stages(DOCKERFILE)})

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def schema(name: str) -> Draft7Validator:
    """Return a schema that check-jsonschema brings."""
    text = (files("check_jsonschema.builtin_schemas.vendor") / f"{name}.json").read_text()
    return Draft7Validator(json.loads(text))


def jobs_of(path: Path) -> dict[str, dict[str, Any]]:
    jobs: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["jobs"]
    return jobs


def scripts_of(path: Path) -> list[tuple[str, str]]:
    """Return what the steps of a workflow run, with their names."""
    return [
        (step.get("name", step["run"]), step["run"])
        for job in jobs_of(path).values()
        for step in job.get("steps", [])
        if "run" in step
    ]


def script(workflow: str, name: str) -> str:
    [found] = [
        text for step, text in scripts_of(Path(f".github/workflows/{workflow}.yml")) if step == name
    ]
    return found


def run(script: str, directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script as GitHub does, where `python` is on the PATH."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=directory,
        env=os.environ | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The linter of workflows; skips where it can't be built."""
    if not shutil.which("go"):
        pytest.skip("go is not installed")
    directory = tmp_path_factory.mktemp("actionlint")
    done = subprocess.run(
        ["go", "install", ACTIONLINT],
        env=os.environ | {"GOBIN": str(directory), "GOTOOLCHAIN": "local", "GOFLAGS": ""},
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"actionlint can't be built here: {done.stderr.strip()[:200]}")
    return directory / "actionlint"


@pytest.mark.parametrize("path", FORMS, ids=str)
def test_the_forms_for_issues_are_forms(path: Path) -> None:
    kind = "github-issue-config" if path.stem == "config" else "github-issue-forms"

    schema(kind).validate(yaml.safe_load(path.read_text()))


def test_there_are_forms_and_workflows() -> None:
    assert {path.stem for path in FORMS} == {"bug", "config", "vendor"}
    assert {path.stem for path in WORKFLOWS} == {"tests", "release", "update"}


def test_the_linter_finds_nothing(actionlint: Path) -> None:
    done = subprocess.run(
        [actionlint, *WORKFLOWS], capture_output=True, text=True, check=False, timeout=_LIMIT_S
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_updates_are_what_dependabot_takes() -> None:
    config = yaml.safe_load(Path(".github/dependabot.yml").read_text())

    schema("dependabot").validate(config)
    places = [
        place
        for update in config["updates"]
        for place in update.get("directories", [update.get("directory")])
    ]
    assert all(Path(place.removeprefix("/") or ".").is_dir() for place in places)


@every_workflow
def test_a_job_may_do_little_and_ends(path: Path) -> None:
    assert "permissions" in yaml.safe_load(path.read_text())
    for name, job in jobs_of(path).items():
        assert "uses" in job or job["timeout-minutes"] <= 60, name
    assert not re.search(r"pull_request_target|\$\{\{ *github\.event\.", path.read_text())


@every_workflow
def test_what_it_runs_is_a_script_and_exists(path: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z0-9-]+):", Path("Makefile").read_text()))

    for _, text in scripts_of(path):
        assert "${{" not in text  # text of others would become a part of the script
        subprocess.run(["bash", "-n", "-c", text], check=True)
        assert set(re.findall(r"(?m)^make ([a-z0-9-]+)", text)) <= targets
        for place in re.findall(r"\b(?:tests|deploy)/[\w./-]+", text):
            assert Path(place).exists(), place


def test_the_pythons_tested_are_those_that_may_be_used() -> None:
    matrix = jobs_of(Path(".github/workflows/tests.yml"))["pythons"]["strategy"]["matrix"]
    declared = set(
        re.findall(
            r"Programming Language :: Python :: (3\.\d+)", Path("pyproject.toml").read_text()
        )
    )

    assert declared <= set(matrix["python"])


@pytest.mark.parametrize(
    ("tag", "code"), [("v1.2.3", 0), ("v1.2.30", 1), ("1.2.3", 1), ("v1.2", 1), ("", 1)]
)
def test_only_the_version_is_released(tag: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1.2.3"\n')

    done = run(script("release", "the tag is the version"), tmp_path, GITHUB_REF_NAME=tag)

    assert done.returncode == code, done.stderr
    assert not code or "1.2.3" in done.stderr


def test_each_base_of_the_image_is_pinned_by_its_digest_again_and_again(tmp_path: Path) -> None:
    copy = tmp_path / "Dockerfile"
    shutil.copy(DOCKERFILE, copy)
    place = {"DOCKERFILE": str(copy)}
    before = [arguments(stage, "FROM")[0] for stage in stages(copy)]

    names = run(f"sh '{BASE}' names", tmp_path, **place).stdout.split()
    for digests in (DIGESTS, DIGESTS[::-1]):
        pinned = dict(zip(names, digests, strict=True))
        for name, digest in pinned.items():
            assert run(f"sh '{BASE}' pin {name} {digest}", tmp_path, **place).returncode == 0
        bases = [arguments(stage, "FROM")[0] for stage in stages(copy)]
        assert [base.partition(" ")[0] for base in bases] == [
            f"{name_of(base)}@{pinned[name_of(base)]}" for base in before
        ]
        assert [base.partition(" ")[2] for base in bases] == [
            base.partition(" ")[2] for base in before
        ]

    assert run(f"sh '{BASE}' names", tmp_path, **place).stdout.split() == names


@pytest.mark.parametrize(
    ("words", "said"),
    [
        *(
            (f"{BASES[0]} {digest}", "is no digest")
            for digest in ("", "sha256:12", "latest", "a" * 64)
        ),
        (f"{BASES[0]} 'sha256:0 x'", "is no digest"),
        (f"python {DIGESTS[0]}", "is no base"),
        (f"'' {DIGESTS[0]}", "is no base"),
        (DIGESTS[0], "is no base"),
    ],
)
def test_what_is_no_digest_or_no_base_pins_nothing(words: str, said: str, tmp_path: Path) -> None:
    copy = tmp_path / "Dockerfile"
    shutil.copy(DOCKERFILE, copy)

    done = run(f"sh '{BASE}' pin {words}", tmp_path, DOCKERFILE=str(copy))

    assert done.returncode == 1
    assert said in done.stderr
    assert copy.read_bytes() == DOCKERFILE.read_bytes()


@pytest.mark.parametrize("is_changed", [True, False])
def test_a_pull_request_is_opened_if_something_changed(is_changed: bool, tmp_path: Path) -> None:  # noqa: FBT001  a case
    repository, hub, programs = tmp_path / "repository", tmp_path / "hub.git", tmp_path / "bin"
    programs.mkdir()
    (programs / "gh").write_text(f'#!/bin/sh\necho "$@" >>"{tmp_path}/gh.log"\n')
    (programs / "gh").chmod(0o755)
    made = f"""
        git init --quiet --bare '{hub}'
        git init --quiet '{repository}'
        cd '{repository}'
        echo one >a.lock
        git add . && git -c user.name=x -c user.email=x@example.com commit --quiet --message one
        git remote add origin '{hub}'
        {"echo two >a.lock" if is_changed else ":"}
    """
    assert run(made, tmp_path).returncode == 0

    path = f"{programs}:{os.environ['PATH']}"
    done = run(script("update", "open a pull request"), repository, PATH=path, GITHUB_RUN_ID="7")

    branches = run(f"git -C '{hub}' branch", tmp_path).stdout
    assert done.returncode == 0, done.stderr
    assert ("update-" in branches) == is_changed
    assert (tmp_path / "gh.log").exists() == is_changed
