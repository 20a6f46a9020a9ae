import json
import math
from dataclasses import replace

import pytest

from digitcore.errors import ConfigError
from digitcore.training.detector_config import DETECTOR_PRESETS, DetectorConfig, load_detector_preset

SMALL = DetectorConfig(n_pages=100, batch_size=16, warmup_pages=32, pages_per_round=40)


@pytest.mark.parametrize("name", DETECTOR_PRESETS)
def test_presets_survive_json(name):
    config = load_detector_preset(name)
    assert DetectorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_preset():
    with pytest.raises(ConfigError, match='no preset "tiny".*detector'):
        load_detector_preset("tiny")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_pages": 0}, "n_pages must be a whole number from 1 on, got 0"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": math.nan}, "finite"),
        ({"warmup_pages": 100}, "warmup_pages"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"ink_weight": -1.0}, "ink_weight"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_settings_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        replace(SMALL, **changes)


def test_unknown_setting():
    with pytest.raises(ConfigError, match="unknown settings: minutes"):
        DetectorConfig.from_dict({"minutes": 9})


def test_steps_and_rounds():
    assert (SMALL.n_steps, SMALL.n_steps_per_round, SMALL.n_rounds) == (7, 3, 3)


def test_the_rate_rises_and_falls():
    rates = [SMALL.learning_rate_at(step) for step in range(SMALL.n_steps)]
    assert rates[0] < rates[1] < rates[2] == SMALL.learning_rate
    assert rates[2] > rates[3] > rates[-1] > 0
    assert rates[4] == pytest.approx(SMALL.learning_rate * (1 + math.cos(math.pi * (4 - 2) / (6.25 - 2 + 0.75))) / 2)


def test_differences():
    assert SMALL.differences(replace(SMALL, seed=3)) == ["seed: 0, not 3"]
