from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F

from digitcore.checkpoint import load_checkpoint, save_checkpoint
from digitcore.data import LabeledImages
from digitcore.errors import CheckpointError, ConfigError
from digitcore.model import SeedCNN
from digitcore.training import AugmentationConfig, TrainConfig, TrainingSets, fit
from digitcore.training.calibration import fit_temperature
from digitcore.training.loop import predict_logits
from digitcore.training.results import find_best
from digitcore.training.state import STATE_NAME, load_state

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
PLAIN = TrainConfig(architecture="SeedCNN", n_epochs=4, batch_size=16, learning_rate=0.003)
# Everything at once that has a memory: averaged weights, norms, decay, a schedule in mid-air, variation, dropout.
RICH = TrainConfig(
    architecture="DigitNet",
    arguments={"width": 8, "dropout": 0.3},
    n_epochs=4,
    batch_size=16,
    optimizer="adamw",
    learning_rate=0.003,
    weight_decay=0.05,
    schedule="one-cycle",
    warmup_epochs=1.5,
    max_gradient_norm=1.0,
    label_smoothing=0.05,
    ema_decay=0.9,
    augmentation=AugmentationConfig(rotation_degrees=10, elastic_px=0.5, max_thickening=0.5, noise_std=0.02),
)


def _make_bars(n, seed):
    """Ten classes that are easy to tell apart: a bright bar at the height that the label says, and noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    images = rng.integers(0, 60, (n, 28, 28)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 + 2 * label : 6 + 2 * label, 6:22] = 255
    return LabeledImages(images, labels, f"bars-{seed}")


def make_sets():
    # 100 is no multiple of 16: the last batch of an epoch is a short one.
    return TrainingSets(_make_bars(100, 0), _make_bars(40, 1))


@pytest.fixture(scope="module")
def sets():
    return make_sets()


def weights(result):
    return result.model.state_dict()


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


class StopError(Exception):
    """A break at a chosen place."""


def test_fit_learns(sets):
    result = fit(replace(PLAIN, n_epochs=6, batch_size=10), sets)
    losses = [epoch.loss for epoch in result.history]
    assert losses[-1] < losses[0] / 3
    assert result.history[-1].validation_accuracy > 0.9
    logits = predict_logits(result.model, sets.validation, CPU, None)
    accuracy = (logits.argmax(1).numpy() == sets.validation.labels).mean()
    assert accuracy == pytest.approx(result.history[-1].validation_accuracy, abs=0.03)


def test_images_repeated_count_as_often(sets):
    """Shown three times an epoch, or three times in the set: the same steps."""
    train = sets.train
    thrice = TrainingSets(LabeledImages(np.tile(train.images, (3, 1, 1)), np.tile(train.labels, 3), "thrice"))
    repeated = fit(replace(PLAIN, n_epochs=1, n_repeats=3), TrainingSets(sets.train))
    assert_same(weights(repeated), weights(fit(replace(PLAIN, n_epochs=1), thrice)))


def test_history_tells_every_epoch(sets):
    seen = []
    result = fit(PLAIN, sets, on_epoch=seen.append)
    assert tuple(seen) == result.history
    assert [epoch.epoch for epoch in seen] == [1, 2, 3, 4]
    assert [epoch.learning_rate for epoch in seen] == pytest.approx([0.003 * 0.7**k for k in range(4)])


def test_fit_equals_a_plain_loop(sets):
    """Against the textbook loop, in float32, with the same start and the same order of images."""
    config = replace(PLAIN, n_epochs=2, reduced_precision=False)
    ours = fit(config, sets).model
    torch.manual_seed(0)
    model = SeedCNN()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.7)
    images = (torch.from_numpy(sets.train.images).float()[:, None] / 255 - 0.1307) / 0.3081
    labels = torch.from_numpy(sets.train.labels)
    shuffler = torch.Generator().manual_seed(0)
    for _ in range(2):
        for picked in torch.randperm(100, generator=shuffler).split(16):
            optimizer.zero_grad()
            F.cross_entropy(model(images[picked]), labels[picked]).backward()
            optimizer.step()
        scheduler.step()
    for mine, theirs in zip(ours.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("config", [PLAIN, RICH], ids=["plain", "rich"])
def test_same_seed_same_weights(sets, config):
    config = replace(config, n_epochs=2)
    first = fit(config, sets)
    torch.rand(7)  # Whatever else draws random numbers has no say.
    assert_same(weights(first), weights(fit(config, sets)))
    other = weights(fit(replace(config, seed=1), sets))
    assert not torch.equal(other["fc.weight"], weights(first)["fc.weight"])


def test_fit_leaves_the_global_random_numbers_alone(sets):
    before = torch.get_rng_state()
    fit(replace(RICH, n_epochs=2), sets)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("n_before", [1, 2, 3])
@pytest.mark.parametrize("config", [PLAIN, RICH], ids=["plain", "rich"])
def test_resumed_run_equals_an_unbroken_one(sets, tmp_path, config, n_before):
    unbroken = fit(config, sets)

    def stop_in_the_next_epoch(epoch, n_done, _):
        if (epoch, n_done) == (n_before + 1, 3):
            raise StopError

    with pytest.raises(StopError):
        fit(config, sets, state_folder=tmp_path, on_step=stop_in_the_next_epoch)
    seen = []
    resumed = fit(config, sets, state_folder=tmp_path, resume=True, on_epoch=seen.append)
    assert_same(weights(resumed), weights(unbroken))
    assert resumed.config == unbroken.config
    losses = [(epoch.loss, epoch.validation_loss) for epoch in unbroken.history]
    assert [(epoch.loss, epoch.validation_loss) for epoch in seen] == losses


@pytest.fixture(scope="module")
def contrary_sets(sets):
    """The more is learnt, the higher the loss of the images held out: their labels are all wrong."""
    held_out = sets.validation
    return replace(sets, validation=replace(held_out, labels=(held_out.labels + 1) % 10))


# Adam at this rate errs for some steps before it learns; the step schedule's rates do not depend on the epochs to come.
PATIENT = replace(PLAIN, n_epochs=9, patience=2, holdout=True)


def test_patience_stops_after_the_lowest_loss_and_keeps_its_weights(contrary_sets):
    result = fit(PATIENT, contrary_sets)
    losses = [epoch.validation_loss for epoch in result.history]
    best = losses.index(min(losses)) + 1
    assert len(losses) == best + 2 < 9, "no run of rising losses: the test shows nothing"
    kept_all = replace(PATIENT, patience=0)
    assert_same(weights(result), weights(fit(replace(kept_all, n_epochs=best), contrary_sets)))
    assert len(fit(kept_all, contrary_sets).history) == 9


def test_patience_that_is_never_tried_trains_to_the_end(sets):
    result = fit(replace(PATIENT, n_epochs=3), sets)
    assert [epoch.epoch for epoch in result.history] == [1, 2, 3]
    assert find_best(result.history).epoch == 3


@pytest.mark.parametrize("n_before", [1, 2])
def test_a_resumed_run_remembers_the_best_weights(contrary_sets, tmp_path, n_before):
    unbroken = fit(PATIENT, contrary_sets)

    def stop_in_the_next_epoch(epoch, n_done, _):
        if (epoch, n_done) == (n_before + 1, 3):
            raise StopError

    with pytest.raises(StopError):
        fit(PATIENT, contrary_sets, state_folder=tmp_path, on_step=stop_in_the_next_epoch)
    assert_same(
        weights(fit(PATIENT, contrary_sets, state_folder=tmp_path, resume=True)),
        weights(unbroken),
    )
    # All done: resuming once more gives the best again, and trains nothing.
    again = fit(PATIENT, contrary_sets, state_folder=tmp_path, resume=True)
    assert_same(weights(again), weights(unbroken))
    assert len(again.history) == len(unbroken.history)


def test_interim_weights_of_a_patient_run_are_the_best_so_far(contrary_sets):
    interim = []
    result = fit(PATIENT, contrary_sets, on_interim=interim.append, interim_epochs=1)
    assert len(interim) == len(result.history) - 1, "the last epoch's are the result"
    assert_same(weights(interim[-1]), weights(result))


def test_patience_without_images_held_out_is_told(sets):
    with pytest.raises(ConfigError, match="images held out, and there are none"):
        fit(PATIENT, replace(sets, validation=None))
    with pytest.raises(ConfigError, match="patience must be 0 where no images are held out"):
        replace(PATIENT, holdout=False)


def test_resuming_a_finished_run_trains_nothing(sets, tmp_path):
    config = replace(PLAIN, n_epochs=2)
    finished = fit(config, sets, state_folder=tmp_path)

    def fail(*_):
        raise AssertionError("a step was made")

    assert_same(weights(fit(config, sets, state_folder=tmp_path, resume=True, on_step=fail)), weights(finished))


@pytest.mark.parametrize("n_done", [1, 5])
def test_ctrl_c_keeps_the_last_whole_epoch(sets, tmp_path, n_done):
    def interrupt(epoch, done, _):
        if (epoch, done) == (3, n_done):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(PLAIN, sets, state_folder=tmp_path, on_step=interrupt)
    state = load_state(tmp_path)
    assert (state.n_epochs_done, len(state.history)) == (2, 2)
    assert [path.name for path in tmp_path.iterdir()] == [STATE_NAME]


@pytest.mark.parametrize(
    ("changes", "words"), [({"seed": 1}, "seed: 0, not 1"), ({"n_epochs": 9}, "n_epochs: 2, not 9")]
)
def test_resuming_with_other_settings_says_which(sets, tmp_path, changes, words):
    config = replace(PLAIN, n_epochs=2)
    fit(config, sets, state_folder=tmp_path)
    with pytest.raises(ConfigError, match=words):
        fit(replace(config, **changes), sets, state_folder=tmp_path, resume=True)


def test_resuming_with_other_images(sets, tmp_path):
    config = replace(PLAIN, n_epochs=1)
    fit(config, sets, state_folder=tmp_path)
    with pytest.raises(ConfigError, match="other images"):
        fit(config, TrainingSets(_make_bars(100, 5)), state_folder=tmp_path, resume=True)


def test_resuming_without_a_state(sets, tmp_path):
    with pytest.raises(CheckpointError, match="no unfinished run"):
        fit(PLAIN, sets, state_folder=tmp_path, resume=True)
    with pytest.raises(ConfigError, match="folder"):
        fit(PLAIN, sets, resume=True)


@pytest.mark.parametrize("keep", [0, 5, 3000, -1])
def test_resuming_from_a_damaged_state(sets, tmp_path, keep):
    config = replace(PLAIN, n_epochs=1)
    fit(config, sets, state_folder=tmp_path)
    path = tmp_path / STATE_NAME
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="damaged"):
        fit(config, sets, state_folder=tmp_path, resume=True)


def test_the_state_of_another_program(tmp_path):
    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / STATE_NAME)
    with pytest.raises(CheckpointError, match="damaged"):
        load_state(tmp_path)


def test_averaged_weights_equal_the_sum_by_hand(sets, tmp_path):
    config = replace(PLAIN, n_epochs=1, ema_decay=0.8, batch_size=50)
    averaged = fit(config, sets, state_folder=tmp_path)
    # Two steps: the state holds the weights after both; those between come from the first step, made here.
    after_two = load_state(tmp_path).tensors["model.fc.weight"]
    torch.manual_seed(0)
    model = SeedCNN()
    expected = model.fc.weight.detach().clone()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    images = (torch.from_numpy(sets.train.images).float()[:, None] / 255 - 0.1307) / 0.3081
    picked = torch.randperm(100, generator=torch.Generator().manual_seed(0))[:50]
    F.cross_entropy(model(images[picked]), torch.from_numpy(sets.train.labels)[picked]).backward()
    optimizer.step()
    after_one = model.fc.weight.detach()
    for step, current in enumerate((after_one, after_two)):
        decay = min(0.8, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * current
    torch.testing.assert_close(averaged.model.fc.weight, expected, atol=2e-3, rtol=0)
    assert not torch.equal(averaged.model.fc.weight, after_two)


def test_no_images_to_train_on():
    with pytest.raises(ConfigError, match="no images"):
        fit(PLAIN, TrainingSets(_make_bars(0, 0)))


def test_without_validation_the_temperature_is_one(sets):
    result = fit(replace(PLAIN, n_epochs=1), TrainingSets(sets.train))
    assert result.config.temperature == 1.0
    assert result.history[0].validation_accuracy is None


def test_a_fitted_network_saves_and_loads(sets, tmp_path):
    result = fit(replace(RICH, n_epochs=2), sets)
    save_checkpoint(tmp_path / "bars", result.model, result.config, {}, "")
    loaded = load_checkpoint(tmp_path / "bars")
    first = predict_logits(result.model, sets.validation, CPU, None)
    torch.testing.assert_close(predict_logits(loaded.model, sets.validation, CPU, None), first)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.8])
def test_fit_temperature_finds_the_one_that_was_planted(temperature):
    torch.manual_seed(0)
    logits = torch.randn(20_000, 10) * 3
    labels = torch.multinomial(logits.softmax(1), 1)[:, 0]
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.03)


def test_fit_temperature_without_images():
    assert fit_temperature(torch.zeros(0, 10), torch.zeros(0, dtype=torch.int64)) == 1.0
