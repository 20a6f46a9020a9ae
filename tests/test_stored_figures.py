import json
import shutil

import pytest

from digitcore.checkpoint import load_checkpoint
from digitcore.errors import CheckpointError
from digitcore.hub import SHIPPED_FOLDER
from train import evaluate as script
from train.stored_figures import STORED_KEY, store_figures

WHOLE = ["--dataset", "uci", "--strengths", "1", "--suite-limit", "50", "--cost", "--device", "cpu", "--json"]


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(SHIPPED_FOLDER / "seed", tmp_path / "mine")


def test_store_writes_what_was_printed_and_leaves_the_weights(folder, capsys):
    before = load_checkpoint(folder)
    script.main([str(folder), *WHOLE, "--store"])
    printed = json.loads(capsys.readouterr().out)
    after = load_checkpoint(folder)
    stored = after.metrics[STORED_KEY]
    assert after.label == before.label
    others = before.metrics.keys() - {STORED_KEY}
    assert {key: after.metrics[key] for key in others} == {key: before.metrics[key] for key in others}
    assert after.metrics.keys() == others | {STORED_KEY}
    report = printed
    assert stored["error"] == pytest.approx(1 - report["accuracy"], abs=1e-6) and stored["n"] == report["n"]
    assert stored["corruptions"]["mean_error"] == printed["robustness"][0]["mean_errors"]["1.0"]
    assert len(stored["corruptions"]["errors"]) == 14
    assert stored["cost"]["n_parameters"] == printed["n_parameters"]
    assert stored["command"] == "python -m train.evaluate mine --dataset=uci --strengths 1 --suite-limit=50 --cost"


def test_store_puts_the_figures_into_the_card(folder):
    figures = {
        "command": "python -m train.evaluate mine",
        "corruptions": {"mean_error": 0.034, "worst": {"kind": "edges only", "error": 0.173}},
        "digits": {"others": {"n": 10, "error": 0.049}},
        "sketches": {"n": 550, "error": 0.0055},
        "letters": {"n": 9, "auroc": 0.9941},
    }
    store_figures(folder, load_checkpoint(folder), figures)
    card = (folder / "README.md").read_text()
    for words in (
        "`python -m train.evaluate mine`",
        "3.4 %",
        "edges only | 17.3 %",
        "others | 4.9 %",
        "0.55 %",
        "0.9941",
    ):
        assert words in card


def test_store_refuses_what_is_no_folder(tmp_path):
    with pytest.raises(CheckpointError, match="folder"):
        store_figures(tmp_path / "user" / "name", load_checkpoint(SHIPPED_FOLDER / "seed"), {})


def test_store_without_a_training_leaves_all_as_it_was(folder):
    (folder / "metrics.json").write_text('{"test_accuracy": 0.9}\n')
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(CheckpointError, match="nothing was stored"):
        store_figures(folder, load_checkpoint(folder), {})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept


FOLDER = str(SHIPPED_FOLDER / "seed")


@pytest.mark.parametrize(
    "arguments",
    [["--store"], ["seed", "--store"], [FOLDER, "--store", "--limit", "5"], [FOLDER, "--store", "--suite-only"]],
)
def test_store_wants_a_whole_report_of_a_folder(arguments, capsys):
    with pytest.raises(SystemExit):
        script.parse_arguments(arguments)
    assert "--store needs" in capsys.readouterr().err
