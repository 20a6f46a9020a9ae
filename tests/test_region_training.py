"""RegionNet's set, its variation and its loop: small pages drawn in code, a detector that is told where they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from digitcore.detection import Detections, repeat_opinion
from digitcore.errors import CheckpointError, ConfigError
from digitcore.merging import DetectionConfig
from digitcore.regions import REGION_PX
from digitcore.training.detector_config import RegionConfig
from digitcore.training.page_matching import NO_DIGIT
from digitcore.training.region_augmentation import RegionAugmenter, crop_regions
from digitcore.training.region_loop import fit_regions
from digitcore.training.region_set import (
    MAX_FINDS_PER_PAGE,
    STORED_PX,
    Regions,
    gather_regions,
    load_or_make_regions,
    make_regions,
)
from digitcore.training.state import STATE_NAME, load_state
from tests.drawn_pages import LAYOUTS, DrawnPages, draw_page

pytestmark = pytest.mark.usefixtures("one_thread")

MAKER = DrawnPages()
TRUTH = [box for layout in LAYOUTS for _, box in layout]
CONFIG = RegionConfig(arguments={"region_width": 8}, n_epochs=3, batch_size=8, warmup_steps=4, ema_decay=0.9)


class PointingDetector:
    """Finds whatever lies near one of the planted places on which there is ink, and as many that are bare."""

    label = "pointing@0000000"
    config = DetectionConfig()

    def detect(self, grey, config=None):
        boxes = [(x, y, w, h) for x, y, w, h in TRUTH if grey[y : y + h, x : x + w].min() < 90]
        boxes += [(2 + 3 * i, 2, 14, 14) for i in range(len(boxes))]
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        probs = np.full((len(boxes), 10), 0.1, np.float32)
        return Detections(boxes, np.linspace(0.9, 0.2, len(boxes), dtype=np.float32), probs, grey, grey, grey)

    def look_closer(self, grey, found):
        return repeat_opinion(found)


DETECTOR = PointingDetector()


@pytest.fixture(scope="module")
def regions() -> Regions:
    return make_regions(MAKER, DETECTOR, 30, seed=3, stream=5)


def test_gather_regions_knows_what_is_there():
    page = draw_page(LAYOUTS[0])
    regions = gather_regions(page, DETECTOR, np.random.default_rng(0))
    assert set(regions.labels[regions.is_digit].tolist()) <= set(page.labels.tolist())
    assert regions.is_digit.sum() >= 4 and (~regions.is_digit).any()
    assert regions.greys.shape == (len(regions), STORED_PX, STORED_PX) and regions.greys.dtype == np.uint8
    assert regions.sides.shape == (len(regions), 2)
    inked = regions.greys[:, 20:60, 20:60].min(axis=(1, 2)) < 120
    assert inked[regions.is_digit].all()


def test_gather_regions_leaves_out_what_is_excused():
    page = draw_page(LAYOUTS[0], ignored=[(0, 0, 96, 20)])
    all_finds = gather_regions(draw_page(LAYOUTS[0]), DETECTOR, np.random.default_rng(0))
    kept = gather_regions(page, DETECTOR, np.random.default_rng(0))
    assert kept.is_digit.sum() == all_finds.is_digit.sum() and len(kept) < len(all_finds)


def test_gather_regions_takes_some_of_very_many(monkeypatch):
    monkeypatch.setattr("digitcore.training.region_set.MAX_FINDS_PER_PAGE", 3)
    assert len(gather_regions(draw_page(LAYOUTS[0]), DETECTOR, np.random.default_rng(0))) == 3
    assert MAX_FINDS_PER_PAGE > 3


def test_regions_do_not_depend_on_who_makes_them(regions):
    assert make_regions(MAKER, DETECTOR, 30, seed=3, stream=5, n_workers=2).digest() == regions.digest()
    shorter = make_regions(MAKER, DETECTOR, 10, seed=3, stream=5)
    np.testing.assert_array_equal(shorter.labels, regions.labels[: len(shorter)])
    assert make_regions(MAKER, DETECTOR, 30, seed=3, stream=6).digest() != regions.digest()


def test_regions_are_kept_for_the_next_time(tmp_path, monkeypatch):
    first = load_or_make_regions(MAKER, DETECTOR, 4, 0, 5, "drawn", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("digitcore.training.region_set.make_regions", lambda *_: pytest.fail("made anew"))
        assert load_or_make_regions(MAKER, DETECTOR, 4, 0, 5, "drawn", tmp_path).digest() == first.digest()
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]
    load_or_make_regions(MAKER, DETECTOR, 4, 0, 5, "drawn otherwise", tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_an_augmenter_that_varies_nothing_shows_the_middle(regions):
    still = replace(CONFIG, rotation_std=0, scale_std=0, stretch_std=0, shift_std=0, frame_std=0, max_noise=0)
    greys, sides = torch.from_numpy(regions.greys[:9]), torch.from_numpy(regions.sides[:9])
    varied = RegionAugmenter(still, torch.device("cpu"))(greys, sides)
    torch.testing.assert_close(varied, crop_regions(greys, sides), atol=1e-3, rtol=1e-3)


def test_an_augmenter_varies_each_in_its_own_way_and_repeats_itself(regions):
    greys = torch.from_numpy(regions.greys[:1]).expand(6, -1, -1)
    sides = torch.from_numpy(regions.sides[:1]).expand(6, -1)
    first, again = (RegionAugmenter(CONFIG, torch.device("cpu"))(greys, sides) for _ in range(2))
    assert first.shape == (6, 2, REGION_PX, REGION_PX) and torch.isfinite(first).all()
    torch.testing.assert_close(first, again)
    assert all((first[0, channel] - first[1, channel]).abs().max() > 0.05 for channel in (0, 1))


def test_a_tiny_network_learns_the_drawn_digits(regions):
    net, history = fit_regions(replace(CONFIG, n_epochs=12, learning_rate=0.01), regions, regions)
    assert history[-1].validation_accuracy > 0.95 and history[-1].validation_auroc > 0.99
    assert history[-1].loss < history[0].loss / 3
    assert not net.training and next(net.parameters()).device.type == "cpu"


def test_resuming_gives_the_same_weights(regions, tmp_path):
    whole, whole_history = fit_regions(CONFIG, regions, regions)

    class StopError(Exception):
        pass

    def stop(done):
        if done.epoch == 2:
            raise StopError

    with pytest.raises(StopError):
        fit_regions(CONFIG, regions, regions, state_folder=tmp_path, on_epoch=stop)
    assert load_state(tmp_path, RegionConfig).n_epochs_done == 2
    told = []
    resumed, history = fit_regions(CONFIG, regions, regions, state_folder=tmp_path, resume=True, on_epoch=told.append)
    assert [done.epoch for done in told] == [1, 2, 3] and len(history) == 3
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert history[-1].loss == whole_history[-1].loss


def test_resuming_refuses_other_settings_and_finds(regions, tmp_path):
    fit_regions(replace(CONFIG, n_epochs=1), regions, regions, state_folder=tmp_path)
    assert (tmp_path / STATE_NAME).exists()
    with pytest.raises(ConfigError, match=r"seed: 1, not 0|seed: 0, not 1"):
        fit_regions(replace(CONFIG, n_epochs=1, seed=1), regions, regions, state_folder=tmp_path, resume=True)
    fewer = Regions(regions.greys[1:], regions.sides[1:], regions.labels[1:])
    with pytest.raises(ConfigError, match="other images or made other pages"):
        fit_regions(replace(CONFIG, n_epochs=1), fewer, regions, state_folder=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="no unfinished run"):
        fit_regions(CONFIG, regions, regions, state_folder=tmp_path / "none", resume=True)
    with pytest.raises(ConfigError, match="name the folder"):
        fit_regions(CONFIG, regions, regions, resume=True)


def test_too_little_to_learn_from_is_refused(regions):
    few = Regions(regions.greys[:4], regions.sides[:4], regions.labels[:4])
    with pytest.raises(ConfigError, match="take more pages"):
        fit_regions(CONFIG, few, regions)
    none = Regions(regions.greys, regions.sides, np.full(len(regions), NO_DIGIT))
    with pytest.raises(ConfigError, match="both kinds"):
        fit_regions(CONFIG, regions, none)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_pages": 0}, "n_pages must be a whole number from 1 on, got 0"),
        ({"batch_size": 1}, "batch_size must be from 2 on"),
        ({"min_score": 1.0}, "min_score must be between 0 and 1"),
        ({"font_digits": 1.1}, "font_digits must be from 0 to 1"),
        ({"shift_std": -0.1}, "shift_std must be at least 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number"),
        ({"ema_decay": 1.0}, "ema_decay must be from 0 to below 1"),
    ],
)
def test_settings_out_of_bounds_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        RegionConfig(**change)


def test_the_rate_rises_and_falls():
    rates = [RegionConfig().learning_rate_at(step, 20_000) for step in (0, 500, 999, 1_000, 10_000, 19_999)]
    assert rates[0] < rates[1] < rates[2] <= rates[3] == 0.002 > rates[4] > rates[5] > 0
