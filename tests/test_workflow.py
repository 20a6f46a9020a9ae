"""The workflow file: against its schema, and its last steps run as GitHub runs them, against the loopback Hub."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from digitcore.hub import SHIPPED_FOLDER, load_pretrained
from tests.fakehub_routes import ID_TOKEN, OIDC_REQUEST_TOKEN
from train.space_files import find_space_files

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "hub.yml"


@pytest.fixture(scope="module")
def workflow() -> dict:
    return yaml.safe_load(WORKFLOW.read_text())


def _check_schema(path: Path) -> subprocess.CompletedProcess:
    # SchemaStore's github-workflow.json, as the package brings it along.
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_workflow_fits_its_schema():
    pytest.importorskip("check_jsonschema", reason="needs check-jsonschema")
    result = _check_schema(WORKFLOW)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("runs-on: ubuntu-latest", "run-on: ubuntu-latest"),
        ("id-token: write", "id-token: always"),
        ("needs: test", "needs: {test: yes}"),
    ],
)
def test_the_schema_finds_what_is_wrong(tmp_path, old, new):
    pytest.importorskip("check_jsonschema", reason="needs check-jsonschema")
    path = tmp_path / "hub.yml"
    text = WORKFLOW.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert _check_schema(path).returncode != 0


def test_no_token_is_stored_and_only_who_pushes_has_an_identity(workflow):
    assert "secrets." not in WORKFLOW.read_text()
    assert workflow["permissions"] == {"contents": "read"}
    with_identity = {name for name, job in workflow["jobs"].items() if "id-token" in job.get("permissions", {})}
    assert with_identity == {"deploy", "publish"}
    for name in with_identity:
        assert workflow["jobs"][name]["needs"] == "test" and "HF_OIDC_RESOURCE" in workflow["jobs"][name]["env"]


def test_what_comes_from_outside_is_no_part_of_a_command(workflow):
    """A variable spliced into a script is code; in the environment it is text."""
    for job in workflow["jobs"].values():
        assert not [step for step in job["steps"] if "${{" in step.get("run", "")]


def _run_step(workflow: dict, job: str, variables: dict[str, str], hub, home: Path) -> subprocess.CompletedProcess:
    """A job's last step, in its environment, as the runner of a job that may have an identity."""
    described = workflow["jobs"][job]
    environment = {
        name: re.sub(r"\$\{\{ vars\.(\w+) \}\}", lambda match: variables[match[1]], value)
        for name, value in described["env"].items()
    }
    environment |= {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{hub.url}/oidc",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": OIDC_REQUEST_TOKEN,
        "HF_TOKEN": "",
        "HF_HOME": str(home),
        "DIGITCORE_DATA": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    command = ["bash", "-e", "-o", "pipefail", "-c", described["steps"][-1]["run"]]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=120)


def test_publish_pushes_with_the_workflows_identity(hub, workflow, tmp_path):
    hub.add("ada/digits", {"README.md": b"made by hand, with its trusted publisher"})
    result = _run_step(workflow, "publish", {"HF_MODEL": "ada/digits"}, hub, tmp_path)
    assert result.returncode == 0, result.stderr
    (exchange,) = hub.exchanges
    assert (exchange["subject_token"], exchange["resource"]) == (ID_TOKEN, "ada/digits")
    assert load_pretrained("ada/digits").digest == load_pretrained("digitnet").digest
    assert hub.files("ada/digits")["metrics.json"] == (SHIPPED_FOLDER / "digitnet" / "metrics.json").read_bytes()


def test_deploy_syncs_the_space_with_the_workflows_identity(hub, workflow, tmp_path):
    hub.add("ada/space", {"README.md": b"hello", "old.py": b""}, kind="spaces")
    result = _run_step(workflow, "deploy", {"HF_SPACE": "ada/space"}, hub, tmp_path)
    assert result.returncode == 0, result.stderr
    assert hub.exchanges[0]["resource"] == "spaces/ada/space"
    assert set(hub.files("ada/space", kind="spaces")) == {"README.md", *find_space_files(ROOT)}


def test_an_identity_of_another_repo_pushes_nothing(hub, workflow, tmp_path):
    hub.add("ada/digits", {"README.md": b"hello"})
    workflow = yaml.safe_load(WORKFLOW.read_text())
    workflow["jobs"]["publish"]["env"]["HF_OIDC_RESOURCE"] = "ada/other"
    result = _run_step(workflow, "publish", {"HF_MODEL": "ada/digits"}, hub, tmp_path)
    assert result.returncode == 1 and "may not write to ada/digits" in result.stderr
    assert hub.files("ada/digits") == {"README.md": b"hello"}


def test_a_job_without_an_identity_says_so(hub, workflow, tmp_path, monkeypatch):
    hub.add("ada/digits", {"README.md": b"hello"})
    monkeypatch.setattr("tests.test_workflow.OIDC_REQUEST_TOKEN", "")
    result = _run_step(workflow, "publish", {"HF_MODEL": "ada/digits"}, hub, tmp_path)
    assert result.returncode == 1 and "the identity that a Trusted Publisher needs" in result.stderr
