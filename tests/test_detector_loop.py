from dataclasses import replace

import pytest
import torch

from digitcore.checkpoint import load_checkpoint, save_checkpoint
from digitcore.errors import CheckpointError, ConfigError
from digitcore.training.detector_config import DetectorConfig
from digitcore.training.detector_loop import checkpoint_config, fit_detector
from digitcore.training.detector_validation import measure_pages
from digitcore.training.state import STATE_NAME, load_state
from tests.drawn_pages import LAYOUTS, DrawnPages

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
MAKER = DrawnPages()
# Everything that has a memory is in mid-air at each round's end; the last round is a short one.
CONFIG = DetectorConfig(
    arguments={"width": 8},
    n_pages=28,
    batch_size=4,
    warmup_pages=10,
    ema_decay=0.9,
    pages_per_round=12,
    n_validation_pages=4,
)


class _StopError(Exception):
    """A break at a chosen place."""


@pytest.fixture(scope="module")
def unbroken():
    return fit_detector(CONFIG, MAKER)


def _assert_same(first, second):
    first, second = first.model.state_dict(), second.model.state_dict()
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_a_tiny_network_learns_two_pages_by_heart():
    config = replace(CONFIG, n_pages=480, batch_size=2, learning_rate=0.01, pages_per_round=240, n_validation_pages=0)
    result = fit_detector(config, MAKER)
    score = measure_pages(result.model, MAKER.pages, CPU)
    assert (score.n_digits, score.n_found, score.n_right, score.n_false) == (7, 7, 7, 0)
    assert result.history[-1].loss < result.history[0].loss / 2


def test_history_tells_every_round(unbroken):
    assert [result.n_pages for result in unbroken.history] == [12, 24, 28]
    for result in unbroken.history:
        parts = result.center_loss + result.class_loss + result.box_loss + result.ink_loss
        assert result.loss == pytest.approx(parts, abs=1e-3)
        assert result.validation_recall is not None


def test_same_seed_same_weights(unbroken):
    torch.rand(3)  # Whatever else draws random numbers has no say.
    _assert_same(fit_detector(CONFIG, MAKER), unbroken)
    other = fit_detector(replace(CONFIG, seed=1), MAKER)
    assert not torch.equal(other.model.head.weight, unbroken.model.head.weight)


def test_a_run_starts_from_the_weights_given(unbroken):
    still = replace(CONFIG, start="x@0000000", learning_rate=1e-9, weight_decay=0.0, n_pages=12)
    begun = fit_detector(still, MAKER, start=unbroken.model)
    for name, weights in unbroken.model.named_parameters():
        assert torch.allclose(begun.model.get_parameter(name), weights, atol=1e-6), name
    assert begun.history[0].loss < unbroken.history[0].loss


def test_workers_change_nothing(unbroken):
    _assert_same(fit_detector(CONFIG, MAKER, n_workers=2), unbroken)


@pytest.mark.parametrize(("stop_after", "n_rounds"), [(4, 1), (7, 2)])
def test_resumed_run_equals_an_unbroken_one(unbroken, tmp_path, stop_after, n_rounds):
    def stop(n_done, _):
        if n_done == stop_after:
            raise _StopError

    with pytest.raises(_StopError):
        fit_detector(CONFIG, MAKER, state_folder=tmp_path, on_step=stop)
    assert load_state(tmp_path, DetectorConfig).n_epochs_done == n_rounds
    resumed = fit_detector(CONFIG, MAKER, state_folder=tmp_path, resume=True)
    _assert_same(resumed, unbroken)
    figures = [(result.loss, result.validation_recall) for result in unbroken.history]
    assert [(result.loss, result.validation_recall) for result in resumed.history] == figures


def test_resuming_a_finished_run_trains_nothing(unbroken, tmp_path):
    fit_detector(CONFIG, MAKER, state_folder=tmp_path)

    def fail(*_):
        raise AssertionError("a step was made")

    _assert_same(fit_detector(CONFIG, MAKER, state_folder=tmp_path, resume=True, on_step=fail), unbroken)


def test_ctrl_c_before_the_first_round_keeps_nothing(tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_detector(CONFIG, MAKER, state_folder=tmp_path, on_step=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_each_round_shows_its_network(tmp_path):
    """What a round hands out can be saved, and measures as the round says."""
    seen = []

    def save(result, net):
        folder = tmp_path / str(result.n_pages)
        save_checkpoint(folder, net, checkpoint_config(CONFIG), {}, "")
        seen.append(result)

    result = fit_detector(CONFIG, MAKER, on_round=save)
    assert tuple(seen) == result.history
    last = load_checkpoint(tmp_path / "28").model
    torch.testing.assert_close(last.state_dict(), result.model.state_dict())


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    fit_detector(replace(CONFIG, n_pages=12), MAKER, state_folder=folder)
    return folder


@pytest.mark.parametrize(
    ("changes", "words"), [({"seed": 1}, "seed: 0, not 1"), ({"n_pages": 99}, "n_pages: 12, not 99")]
)
def test_resuming_with_other_settings_says_which(finished_folder, changes, words):
    config = replace(CONFIG, **{"n_pages": 12} | changes)
    with pytest.raises(ConfigError, match=words):
        fit_detector(config, MAKER, state_folder=finished_folder, resume=True)


def test_resuming_with_other_pages(finished_folder):
    with pytest.raises(ConfigError, match="made other pages"):
        fit_detector(replace(CONFIG, n_pages=12), DrawnPages(LAYOUTS[::-1]), state_folder=finished_folder, resume=True)


def test_resuming_without_a_state(tmp_path):
    with pytest.raises(CheckpointError, match="no unfinished run"):
        fit_detector(CONFIG, MAKER, state_folder=tmp_path, resume=True)
    with pytest.raises(ConfigError, match="folder"):
        fit_detector(CONFIG, MAKER, resume=True)


def test_the_state_of_a_digit_network_is_not_ours(finished_folder):
    with pytest.raises(CheckpointError, match=f"{STATE_NAME} is damaged: unknown settings"):
        load_state(finished_folder)
