import json
import math
from dataclasses import replace

import pytest

from digitcore.errors import ConfigError
from digitcore.training import PRESETS, AugmentationConfig, FinishConfig, TrainConfig, load_preset


def test_the_seed_preset_is_the_articles_recipe():
    seed = load_preset("seed")
    assert (seed.architecture, seed.batch_size, seed.n_epochs) == ("SeedCNN", 100, 15)
    assert (seed.optimizer, seed.learning_rate, seed.schedule, seed.step_gamma) == ("adam", 0.01, "step", 0.7)
    assert (seed.augmentation, seed.holdout, seed.weight_decay, seed.ema_decay) == (None, False, 0, 0)


def test_the_augmented_preset_differs_by_the_augmentation_alone():
    augmented = load_preset("seed-augmented")
    assert augmented.augmentation == AugmentationConfig(30, 30, 0.5, 0.25, 1.0)
    assert replace(augmented, name="seed", augmentation=None) == load_preset("seed")


def test_digitnet_holds_images_out():
    assert load_preset("digitnet").holdout


def test_load_preset_unknown():
    with pytest.raises(ConfigError, match="digitnet"):
        load_preset("digitnett")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    assert TrainConfig.from_dict(json.loads(json.dumps(PRESETS[name].to_dict()))) == PRESETS[name]


def test_from_dict_refuses_unknown_settings():
    with pytest.raises(ConfigError, match="dropout"):
        TrainConfig.from_dict({"dropout": 0.1})


def test_differences_names_what_differs():
    seed = load_preset("seed")
    assert seed.differences(seed) == []
    assert seed.differences(replace(seed, seed=3)) == ["seed: 0, not 3"]
    (line,) = load_preset("seed-augmented").differences(replace(seed, name="seed-augmented"))
    assert line.startswith("augmentation:")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("architecture", "PetNet"),
        ("n_epochs", 0),
        ("batch_size", 1),
        ("optimizer", "sgd"),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("weight_decay", -1.0),
        ("schedule", "none"),
        ("step_gamma", 0.0),
        ("warmup_epochs", 15),
        ("max_gradient_norm", -1.0),
        ("label_smoothing", 1.0),
        ("ema_decay", 1.0),
        ("seed", -1),
    ],
)
def test_train_config_refuses_what_is_out_of_range(name, value):
    with pytest.raises(ConfigError, match=name):
        TrainConfig(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rotation_degrees", -1),
        ("shear_degrees", 90),
        ("translation_ratio", 1.1),
        ("min_scale", 0),
        ("min_scale", 1.5),
        ("max_aspect", 0.9),
        ("elastic_px", -0.1),
        ("max_thickening", 1.1),
        ("max_thinning", -0.1),
        ("max_blur", 2),
        ("max_gamma", 0.5),
        ("noise_std", math.nan),
    ],
)
def test_augmentation_config_refuses_what_is_out_of_range(name, value):
    with pytest.raises(ConfigError, match=name):
        AugmentationConfig(**{name: value})


def test_step_schedule_by_hand():
    config = TrainConfig(learning_rate=0.01, step_gamma=0.7, n_epochs=3)
    rates = [config.learning_rate_at(step, n_steps_per_epoch=2) for step in range(6)]
    assert rates == pytest.approx([0.01, 0.01, 0.007, 0.007, 0.0049, 0.0049])


def test_one_cycle_rises_and_falls_to_nothing():
    config = TrainConfig(schedule="one-cycle", learning_rate=0.1, n_epochs=5, warmup_epochs=1)
    rates = [config.learning_rate_at(step, n_steps_per_epoch=10) for step in range(50)]
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[0] < 0.02
    assert rates[10] == pytest.approx(0.1)
    assert rates[30] == pytest.approx(0.05)
    assert 0 < rates[49] < 0.001


def test_warm_up_then_steps():
    config = TrainConfig(learning_rate=0.01, step_gamma=0.5, n_epochs=3, warmup_epochs=1)
    rates = [config.learning_rate_at(step, n_steps_per_epoch=3) for step in range(9)]
    assert rates == pytest.approx([0.0025, 0.005, 0.0075, 0.005, 0.005, 0.005, 0.0025, 0.0025, 0.0025])


def test_a_constant_rate_rises_and_stays():
    config = TrainConfig(schedule="constant", learning_rate=0.1, n_epochs=2, warmup_epochs=0.5)
    rates = [config.learning_rate_at(step, n_steps_per_epoch=4) for step in range(8)]
    assert rates == pytest.approx([0.1 / 3, 0.2 / 3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])


def test_the_finish_has_settings_of_its_own_and_the_rest_of_the_run():
    mild = AugmentationConfig(rotation_degrees=3)
    run = TrainConfig(weight_decay=0.1, patience=2, holdout=True, seed=7)
    run = replace(run, finish=FinishConfig(2, 0.002, 0.5, n_repeats=3, augmentation=mild))
    assert run.n_epochs_in_all == 17
    changes = {"n_epochs": 2, "learning_rate": 0.002, "warmup_epochs": 0.5, "n_repeats": 3, "augmentation": mild}
    assert run.finishing() == replace(run, **changes, schedule="constant", patience=0, finish=None)
    assert TrainConfig.from_dict(json.loads(json.dumps(run.to_dict()))) == run
    with pytest.raises(ConfigError, match="no finish"):
        run.finishing().finishing()


@pytest.mark.parametrize(("name", "value"), [("n_epochs", 0), ("learning_rate", -1.0), ("n_repeats", 0)])
def test_a_finish_out_of_range_is_told_with_the_run(name, value):
    with pytest.raises(ConfigError, match=name):
        TrainConfig(finish=FinishConfig(**{name: value}))
    with pytest.raises(ConfigError, match="start_share must be from 0 to below 1"):
        FinishConfig(start_share=1.0)
