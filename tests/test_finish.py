"""The end of a run: more epochs at a steady rate, and the mean of the weights on the way."""

from dataclasses import replace

import pytest
import torch

from digitcore.training import AugmentationConfig, EpochResult, FinishConfig, fit
from digitcore.training.card import make_card
from digitcore.training.loop import normalize
from digitcore.training.optimization import update_average
from digitcore.training.results import find_best
from digitcore.training.state import load_state
from tests.test_loop import PATIENT, PLAIN, RICH, StopError, assert_same, make_sets, weights

pytestmark = pytest.mark.usefixtures("one_thread")

VARIED = FinishConfig(
    n_epochs=2, learning_rate=0.001, n_repeats=2, augmentation=AugmentationConfig(rotation_degrees=5, noise_std=0.02)
)
FINISHED = replace(RICH, finish=VARIED)


@pytest.fixture(scope="module")
def sets():
    return make_sets()


def test_the_finish_is_the_mean_of_its_start_and_of_every_step(sets, monkeypatch):
    """Three steps, whose weights are written down: each counts a quarter of what the start leaves."""
    finish = FinishConfig(n_epochs=1, learning_rate=0.002, warmup_epochs=0, start_share=0.25)
    config = replace(PLAIN, n_epochs=2, batch_size=34, finish=finish)
    start = fit(replace(config, finish=None), sets).model
    path = []

    def write_down(average, model, decay):
        path.append(model.fc.weight.detach().clone())
        update_average(average, model, decay)

    monkeypatch.setattr("digitcore.training.run.update_average", write_down)
    result = fit(config, sets)
    assert len(path) == 3
    torch.testing.assert_close(result.model.fc.weight, 0.25 * start.fc.weight + 0.25 * sum(path), atol=1e-6, rtol=1e-5)


def test_history_tells_the_finish_from_the_rest(sets):
    told = []
    result = fit(FINISHED, sets, on_epoch=told.append, on_step=lambda *step: told.append(step))
    history = [entry for entry in told if isinstance(entry, EpochResult)]
    assert tuple(history) == result.history
    assert [(epoch.epoch, epoch.is_finish) for epoch in history] == [(n, n > 4) for n in range(1, 7)]
    assert [epoch.learning_rate for epoch in history[4:]] == [0.001, 0.001]
    # 100 images once, then twice an epoch.
    assert {step[2] for step in told if isinstance(step, tuple) and step[0] <= 4} == {7}
    assert {step[2] for step in told if isinstance(step, tuple) and step[0] > 4} == {13}


def test_the_finish_changes_the_weights_and_not_the_epochs_before(sets):
    plain, finished = fit(RICH, sets), fit(FINISHED, sets)
    losses = [epoch.loss for epoch in finished.history]
    assert losses[:4] == [epoch.loss for epoch in plain.history]
    assert not torch.equal(weights(plain)["fc.weight"], weights(finished)["fc.weight"])
    assert finished.history[-1].validation_loss < plain.history[-1].validation_loss


@pytest.mark.parametrize("n_before", [3, 4, 5])
def test_a_run_resumed_around_its_finish_equals_an_unbroken_one(sets, tmp_path, n_before):
    """Broken off before the last epoch, before the finish, and within it."""

    def stop_in_the_next_epoch(epoch, n_done, _):
        if (epoch, n_done) == (n_before + 1, 3):
            raise StopError

    with pytest.raises(StopError):
        fit(FINISHED, sets, state_folder=tmp_path, on_step=stop_in_the_next_epoch)
    assert load_state(tmp_path).n_epochs_done == n_before
    resumed = fit(FINISHED, sets, state_folder=tmp_path, resume=True)
    unbroken = fit(FINISHED, sets)
    assert_same(weights(resumed), weights(unbroken))
    assert [epoch.loss for epoch in resumed.history] == [epoch.loss for epoch in unbroken.history]
    # All done: resuming once more trains nothing.
    assert_same(weights(fit(FINISHED, sets, state_folder=tmp_path, resume=True)), weights(unbroken))


def test_the_finish_of_a_patient_run_goes_on_from_the_best_weights(sets):
    """Labels held out are all wrong, so that the loss rises; a finish at hardly any rate stays where it began."""
    held_out = replace(sets.validation, labels=(sets.validation.labels + 1) % 10)
    contrary = replace(sets, validation=held_out)
    still = FinishConfig(n_epochs=1, learning_rate=1e-9)
    best, finished = fit(PATIENT, contrary), fit(replace(PATIENT, finish=still), contrary)
    assert [epoch.is_finish for epoch in finished.history] == [False] * len(best.history) + [True]
    assert find_best(finished.history) == replace(
        find_best(best.history),
        seconds=find_best(finished.history).seconds,
        images_per_second=find_best(finished.history).images_per_second,
    )
    for (name, tensor), (_, expected) in zip(
        finished.model.named_parameters(), best.model.named_parameters(), strict=True
    ):
        torch.testing.assert_close(tensor, expected, atol=1e-6, rtol=0, msg=name)


def test_the_norms_statistics_are_those_of_images_as_they_are(sets, monkeypatch):
    """In one batch of all that the finish shows, each image twice: mean and variance of the first layer, by hand."""
    monkeypatch.setattr("digitcore.training.loop.STATISTICS_BATCH_SIZE", 1_000)
    convolution, norm = fit(FINISHED, sets).model.stem
    images = torch.from_numpy(sets.train.images).repeat(2, 1, 1)[:, None]
    features = convolution(normalize(images.float() / 255))
    torch.testing.assert_close(norm.running_mean, features.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(norm.running_var, features.var((0, 2, 3)), atol=1e-5, rtol=1e-4)
    # Without a finish they are those gathered on the way, of images varied.
    convolution, norm = fit(RICH, sets).model.stem
    features = convolution(normalize(images.float() / 255))
    assert not torch.allclose(norm.running_var, features.var((0, 2, 3)), rtol=0.01)


def test_interim_weights_within_the_finish_are_its_mean_so_far(sets):
    interim = []
    result = fit(FINISHED, sets, on_interim=interim.append, interim_epochs=5)
    assert [len(each.history) for each in interim] == [5]
    assert not torch.equal(weights(interim[0])["fc.weight"], weights(result)["fc.weight"])
    one_epoch = replace(FINISHED, finish=replace(VARIED, n_epochs=1, start_share=2 / 3))
    # Half of the mean of two epochs and their start, or two thirds of that of one: the start counts as two epochs do.
    torch.testing.assert_close(weights(interim[0])["fc.weight"], weights(fit(one_epoch, sets))["fc.weight"])


def test_the_card_tells_of_the_finish():
    history = [{"epoch": n, "validation_loss": 1 / n, "is_finish": n > 2} for n in (1, 2, 3)]
    metrics = {
        "command": "python -m train.train",
        "device": "CPU",
        "n_threads": 1,
        "precision": "float32",
        "seconds": 60.0,
        "normalization": {"mean": 0.1307, "std": 0.3081},
        "temperature": 1.0,
        "n_parameters": 1,
        "n_multiply_adds": 1,
        "history": history,
    }
    finish = FinishConfig(n_repeats=5, start_share=0.5)
    config = replace(PATIENT, architecture="DigitNet", n_epochs=2, finish=finish)
    card = make_card("mynet", config, metrics)
    assert "2 of 2 epochs, these being the weights of epoch 2, " in card
    assert "1 more epoch with MNIST's images 5 times each, at a steady learning rate of 0.002" in card
    assert "those before count 50%" in card and "statistics were then taken anew, of images that were not" in card
    assert "more epoch" not in make_card("mynet", config, metrics | {"history": history[:2]})
