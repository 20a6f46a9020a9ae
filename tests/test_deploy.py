"""train.deploy against the loopback Hub; and the Space's files, run as a Space runs them."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from digitcore.errors import ConfigError
from tests.conftest import PAGE_LINES, find_free_port
from tests.drawn import draw_page, encode
from tests.spacecard import SPACE_FIELDS, find_space_errors
from tests.test_live import checkpoint_files
from train import deploy
from train.space_files import find_modules, find_space_files, make_space_readme, split_header

ROOT = Path(__file__).resolve().parent.parent
# What the issue of a complete header comes to; the rest of the Hub's fields is left at its defaults.
REQUIRED = {
    "title",
    "emoji",
    "colorFrom",
    "colorTo",
    "sdk",
    "sdk_version",
    "python_version",
    "app_file",
    "license",
    "short_description",
    "startup_duration_timeout",
    "models",
    "datasets",
    "tags",
}


@pytest.fixture
def header() -> dict:
    return split_header((ROOT / "README.md").read_text(encoding="utf-8"))[0]


def test_the_header_is_complete_and_of_documented_fields_only(header):
    assert find_space_errors(header) == []
    assert REQUIRED <= set(header) <= set(SPACE_FIELDS)


def test_the_header_agrees_with_the_repository(header):
    pins = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert header["sdk_version"] == pins["gradio"]
    assert (ROOT / header["app_file"]).is_file()
    assert header["license"] == "apache-2.0" and "Apache License" in (ROOT / "LICENSE").read_text()
    version = tuple(int(part) for part in header["python_version"].split("."))
    assert version >= (3, 11), "the code needs it; ZeroGPU documents 3.12"


@pytest.mark.parametrize(
    "change",
    [
        {"short_description": "x" * 61},
        {"colorFrom": "orange"},
        {"emoji": "ok"},
        {"sdk_version": "latest"},
        {"startup_duration_timeout": "soon"},
        {"preload_from_hub": "ada/digits"},
        {"preload_from_hub": ["ada/digits model.safetensors v2"]},
        {"models": "ada/digits"},
        {"shortdescription": "typo"},
    ],
)
def test_find_space_errors_finds_them(header, change):
    assert len(find_space_errors(header | change)) == 1


@pytest.mark.parametrize(
    ("models", "preloaded"),
    [
        ({}, None),
        ({"ada/b": None, "ada/a": "0" * 40}, [("ada/a", "0" * 40), ("ada/b", None)]),
    ],
)
def test_make_space_readme(header, models, preloaded):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    made, body = split_header(make_space_readme(readme, "mine", models))
    assert find_space_errors(made) == [] and made["title"] == "mine" and made["models"] == sorted(models)
    assert body == split_header(readme)[1] and made["emoji"] == header["emoji"]
    if preloaded is None:
        assert "preload_from_hub" not in made
    else:
        entries = [entry.split(" ") for entry in made["preload_from_hub"]]
        assert [(entry[0], entry[2] if len(entry) > 2 else None) for entry in entries] == preloaded


@pytest.mark.parametrize("readme", ["", "# no header\n", "text\n---\na: 1\n---\n"])
def test_make_space_readme_without_a_header(readme):
    with pytest.raises(ConfigError, match="no YAML header"):
        make_space_readme(readme, None, {})


def test_find_space_files_leaves_out_what_only_learns_or_tests():
    paths = set(find_space_files(ROOT))
    assert {"app.py", "requirements.txt", "LICENSE", "digitcore/ui/pad.js", "digitcore/ui/webhook.py"} <= paths
    assert not [
        path for path in paths if path.startswith(("digitcore/training", "train", "tests", "benchmarks", "fonts"))
    ]
    assert not [path for path in paths if "/." in f"/{path}" or "__pycache__" in path]


def test_find_modules_follows_imports_within_functions(tmp_path):
    for name, code in {
        "app.py": "import sys\nfrom pack import one\n",
        "pack/__init__.py": "",
        "pack/one.py": "def later():\n    from pack.sub.two import x\n",
        "pack/sub/__init__.py": "",
        "pack/sub/two.py": "x = 1\n",
        "pack/unused.py": "import pack.one\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    found = {path.relative_to(tmp_path).as_posix() for path in find_modules(tmp_path)}
    assert found == {"app.py", "pack/__init__.py", "pack/one.py", "pack/sub/__init__.py", "pack/sub/two.py"}


def test_find_space_files_elsewhere(tmp_path):
    with pytest.raises(ConfigError, match="no app.py"):
        find_space_files(tmp_path)


def test_dry_run_shows_the_list_and_reaches_for_nothing(hub, capsys, monkeypatch):
    monkeypatch.setenv("WEBHOOK_SECRET", "not for eyes")
    assert deploy.main(["--space", "digits", "--checkpoint", "ada/digitnet@v2", "--dry-run"]) == 0
    told = capsys.readouterr().out
    for path in find_space_files(ROOT):
        assert path in told
    assert "DIGITCORE_CHECKPOINT=ada/digitnet@v2" in told and "preload_from_hub" in told
    assert "becomes a secret" in told and "not for eyes" not in told
    assert hub.requests == []


def test_deploy_makes_the_space_whole(logged_in, capsys, monkeypatch):
    monkeypatch.setenv("WEBHOOK_SECRET", "not for eyes")
    commit = logged_in.add("ada/digitnet", checkpoint_files("digitnet"))
    arguments = ["--space", "digits", "--checkpoint", "ada/digitnet", "--private"]
    assert deploy.main(arguments) == 0
    space = logged_in.repo("ada/digits", "spaces")
    assert space.is_private and space.created_with["sdk"] == "gradio"
    assert space.settings == {
        "variables": {"DIGITCORE_CHECKPOINT": "ada/digitnet"},
        "secrets": {"WEBHOOK_SECRET": "not for eyes"},
    }
    files = logged_in.files("ada/digits", kind="spaces")
    expected = find_space_files(ROOT)
    assert set(files) == set(expected) | {"README.md", ".gitattributes"}
    assert all(files[path] == content for path, content in expected.items())
    made, _ = split_header(files["README.md"].decode())
    assert made["models"] == ["ada/digitnet"]
    assert made["preload_from_hub"][0].endswith(commit), "the Space is built with what was checked"
    told = capsys.readouterr().out
    assert f"{logged_in.url}/spaces/ada/digits" in told and "not for eyes" not in told

    logged_in.add("ada/digits", {**files, "old_module.py": b"stale"}, kind="spaces")
    assert deploy.main(arguments) == 0
    assert set(logged_in.files("ada/digits", kind="spaces")) == set(files)
    n_commits = len(space.commits)
    assert deploy.main(arguments) == 0
    assert len(space.commits) == n_commits and "Nothing to deploy" in capsys.readouterr().out


def test_deploy_without_options_leaves_the_variables_alone(logged_in):
    logged_in.add("ada/digitnet", checkpoint_files("digitnet"))
    assert deploy.main(["--space", "ada/digits", "--checkpoint", "ada/digitnet"]) == 0
    assert deploy.main(["--space", "ada/digits"]) == 0
    variables = logged_in.repo("ada/digits", "spaces").settings["variables"]
    assert variables == {"DIGITCORE_CHECKPOINT": "ada/digitnet"}
    assert deploy.main(["--space", "ada/digits", "--checkpoint", "seed"]) == 0
    assert variables == {"DIGITCORE_CHECKPOINT": "seed"}


def test_a_token_for_files_only_deploys_and_says_what_is_left(logged_in, capsys):
    logged_in.fail("POST .*/variables", 9, status=403)
    assert deploy.main(["--space", "ada/digits", "--checkpoint", "seed"]) == 0
    assert "Not set: DIGITCORE_CHECKPOINT=seed" in capsys.readouterr().out
    assert "app.py" in logged_in.files("ada/digits", kind="spaces")


def test_a_private_checkpoint_is_not_preloaded(logged_in, capsys):
    logged_in.add("ada/digitnet", checkpoint_files("digitnet"))
    logged_in.repo("ada/digitnet").is_private = True
    assert deploy.main(["--space", "ada/digits", "--checkpoint", "ada/digitnet"]) == 0
    made, _ = split_header(logged_in.files("ada/digits", kind="spaces")["README.md"].decode())
    assert "preload_from_hub" not in made
    assert "as the secret HF_TOKEN" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--checkpoint", "checkpoints/mine/too"), "no checkpoint that a Space can load"),
        (("--checkpoint", "/tmp/mine"), "no checkpoint that a Space can load"),
        (("--checkpoint", "ada/nothing"), "no Hub repo ada/nothing"),
        (("--checkpoint", "ada/digitnet@v9"), 'no revision "v9"'),
        (("--checkpoint", "ada/pages"), "is a PageNet"),
        (("--detector", "ada/digitnet"), "is a DigitNet"),
    ],
)
def test_a_space_that_could_not_start_is_not_made(logged_in, capsys, more, words):
    logged_in.add("ada/digitnet", checkpoint_files("digitnet"))
    logged_in.add("ada/pages", checkpoint_files("detector"))
    assert deploy.main(["--space", "ada/digits", *more]) == 1
    error = capsys.readouterr().err
    assert "Error: " in error and words in error
    assert ("spaces", "ada/digits") not in logged_in.repos


def test_no_token_is_a_sentence(hub, capsys):
    assert deploy.main(["--space", "ada/digits"]) == 1
    assert "There is no Hub token" in capsys.readouterr().err


def start_app(folder: Path, environment: dict[str, str]) -> tuple[subprocess.Popen, Client]:
    """Run a folder's app.py as a Space runs it, and wait for it."""
    port = find_free_port()
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=folder,
        env=os.environ | {"GRADIO_SERVER_PORT": str(port), "PYTHONPATH": "", "OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for _ in range(900):
        if process.poll() is not None:
            raise AssertionError(process.stdout.read())
        try:
            return process, Client(f"http://127.0.0.1:{port}", verbose=False)
        except Exception:
            time.sleep(0.1)
    process.terminate()
    raise AssertionError("the app did not start")


@pytest.mark.slow
def test_the_spaces_files_are_all_that_the_app_needs(logged_in, tmp_path):
    assert deploy.main(["--space", "ada/digits"]) == 0
    space = tmp_path / "space"
    for path, content in logged_in.files("ada/digits", kind="spaces").items():
        (space / path).parent.mkdir(parents=True, exist_ok=True)
        (space / path).write_bytes(content)
    picture = tmp_path / "page.png"
    picture.write_bytes(encode(draw_page(PAGE_LINES)))
    process, client = start_app(space, {"GRADIO_TEMP_DIR": str(tmp_path / "uploads"), "DIGITCORE_DATA": str(tmp_path)})
    try:
        assert client.predict(handle_file(picture), api_name="/read_photo")["lines"] == PAGE_LINES
        assert client.predict(handle_file(picture), api_name="/read_sketch")["digits"]
        assert client.predict(handle_file(picture), api_name="/annotate_photo")
        *_, report = client.submit("uci", "seed", 100, api_name="/evaluate")
        assert report["n"] == 100 and report["done"]
    finally:
        process.terminate()
        process.wait(20)
