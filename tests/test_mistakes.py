"""The pictures for a model card: counts planted, and found again in the sentence."""

import io

import numpy as np
import pytest
from PIL import Image

from digitcore.classifier import Classification
from digitcore.data import LabeledImages
from digitcore.detection import Detections, repeat_opinion
from tests.small_mnist import draw_hand
from train.mistakes import N_PAGES, PAGE_WH, compose_page, draw_misread, draw_missed


@pytest.fixture(scope="module")
def drawn_set() -> LabeledImages:
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 3, 4, 7], 60)
    return LabeledImages(draw_hand(labels, rng), labels.astype(np.int64), "drawn")


class _PlantedClassifier:
    """Right but for the first `n_wrong`, the later of them surer."""

    def __init__(self, dataset, n_wrong):
        self.dataset, self.n_wrong = dataset, n_wrong

    def classify(self, images):
        probs = np.zeros((len(images), 10), np.float32)
        said = self.dataset.labels.copy()
        said[: self.n_wrong] = (said[: self.n_wrong] + 1) % 10
        probs[np.arange(len(images)), said] = 0.5 + 0.4 * np.arange(len(images)) / len(images)
        return Classification(probs, probs.max(axis=1))


@pytest.mark.parametrize(
    ("n_wrong", "words"), [(3, "3 of 60 images are read wrong: these"), (50, "32 that it is surest")]
)
def test_draw_misread_counts(drawn_set, n_wrong, words):
    picture = draw_misread(_PlantedClassifier(drawn_set, n_wrong), drawn_set)
    assert words in picture.sentence
    with Image.open(io.BytesIO(picture.png)) as opened:
        assert opened.format == "PNG"


def test_draw_misread_without_mistakes(drawn_set):
    assert draw_misread(_PlantedClassifier(drawn_set, 0), drawn_set) is None


def test_compose_page_knows_where_each_digit_is(drawn_set):
    page, boxes, labels = compose_page(drawn_set, 3)
    assert page.shape == PAGE_WH[::-1] and page.dtype == np.uint8 and len(boxes) == len(labels) > 50
    covered = np.zeros(page.shape, bool)
    for box in boxes:
        assert page[box.y : box.y + box.h, box.x : box.x + box.w].min() < 100, "ink in every box"
        covered[box.y : box.y + box.h, box.x : box.x + box.w] = True
    assert page[~covered].min() > 180, "and none outside of them"
    assert (compose_page(drawn_set, 3)[0] == page).all() and (compose_page(drawn_set, 4)[0] != page).any()


class _PlantedDetector:
    """Finds all digits of the page that it is shown, but for what is planted."""

    def __init__(self, dataset, n_missed=0, n_misread=0, n_false=0):
        self.pages = {
            page.tobytes(): (boxes, labels)
            for page, boxes, labels in (compose_page(dataset, seed) for seed in range(N_PAGES))
        }
        self.n_missed, self.n_misread, self.n_false = n_missed, n_misread, n_false

    def detect(self, grey):
        boxes, labels = self.pages[grey.tobytes()]
        found = np.array(boxes, np.float32)[self.n_missed :]
        said = np.array(labels)[self.n_missed :]
        said[: self.n_misread] = (said[: self.n_misread] + 1) % 10
        far = np.array([[-500 * (i + 1), -500, 20, 20] for i in range(self.n_false)], np.float32).reshape(-1, 4)
        probs = np.eye(10, dtype=np.float32)[np.concatenate([said, np.zeros(self.n_false, int)])]
        return Detections(np.vstack([found, far]), np.ones(len(probs), np.float32), probs, grey, grey, grey)

    def look_closer(self, grey, found):
        return repeat_opinion(found)


@pytest.mark.parametrize("planted", [(0, 0, 0), (2, 0, 0), (0, 3, 0), (0, 0, 1), (1, 2, 3)])
def test_draw_missed_counts(drawn_set, planted):
    n_missed, n_misread, n_false = planted
    sentence = draw_missed(_PlantedDetector(drawn_set, *planted), drawn_set).sentence
    assert f"{N_PAGES * n_missed} are missed and {N_PAGES * n_misread} read wrong" in sentence
    assert f"{N_PAGES * n_false} are found where there is none" in sentence
