import cv2
import numpy as np
import pytest

from digitcore.training.legibility import measure_legibility


def draw_digit(height: int) -> np.ndarray:
    """A 3 of sorts: two bows, on one another."""
    mask = np.zeros((height, round(0.7 * height)), np.uint8)
    pen = max(2, round(0.1 * height))
    for y in (0.27, 0.72):
        cv2.ellipse(mask, (round(0.3 * height), round(y * height)), (height // 4, height // 5), 0, -140, 100, 255, pen)
    return mask


def draw_page(mask: np.ndarray, ground: np.ndarray, depth: float, x: int = 20, y: int = 20) -> np.ndarray:
    ink = np.zeros(ground.shape, np.float32)
    ink[y : y + mask.shape[0], x : x + mask.shape[1]] = mask[: ground.shape[0] - y, : ground.shape[1] - x] / 255
    return (ground * (1 - depth * ink)).astype(np.uint8)


@pytest.fixture
def paper() -> np.ndarray:
    return np.full((140, 140), 220, np.uint8)


@pytest.mark.parametrize("height", [12, 30, 90])
@pytest.mark.parametrize("depth", [0.05, 0.4, 1.0, -0.1])
def test_clean_ink_is_legible_whatever_its_size_and_strength(paper, height, depth):
    mask = draw_digit(height)
    assert measure_legibility(draw_page(mask, paper, depth), paper, mask, 20, 20) > 0.9


@pytest.mark.parametrize("height", [14, 40])
def test_noise_lowers_it_step_by_step(paper, height):
    mask, rng = draw_digit(height), np.random.default_rng(0)
    clean = draw_page(mask, paper, 0.2).astype(float)
    noisy = [(clean + rng.normal(0, s, clean.shape)).clip(0, 255).astype(np.uint8) for s in (5, 40, 160)]
    values = [measure_legibility(image, paper, mask, 20, 20) for image in noisy]
    assert values[0] > values[1] > values[2] and values[0] > 0.7 and values[2] < 0.4


def test_fine_noise_harms_large_digits_less(paper):
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 30, paper.shape)
    values = []
    for height in (12, 90):
        mask = draw_digit(height)
        image = (draw_page(mask, paper, 0.3) + grain).clip(0, 255).astype(np.uint8)
        values.append(measure_legibility(image, paper, mask, 20, 20))
    assert values[1] > values[0] + 0.2


def test_a_shadow_s_edge_is_taken_away_but_other_ink_is_not(paper):
    mask = draw_digit(50)
    shaded = paper.copy()
    shaded[:, 36:] = 60
    image = draw_page(mask, shaded, 0.6)
    in_shadow, covered = (measure_legibility(image, bare, mask, 20, 20) for bare in (shaded, paper))
    assert in_shadow > 0.6
    assert covered < in_shadow - 0.1


def test_another_digit_s_place_is_not_legible(paper):
    mask = draw_digit(40)
    image = draw_page(np.ascontiguousarray(mask.T), paper, 0.8)
    assert measure_legibility(image, paper, mask, 20, 20) < 0.4


@pytest.mark.parametrize("x, y", [(-100, 0), (0, 139), (200, 200)])
def test_nothing_in_the_picture_is_nothing_to_read(paper, x, y):
    assert measure_legibility(paper, paper, draw_digit(40), x, y) == 0


def test_bare_paper_is_not_legible(paper):
    assert measure_legibility(paper, paper, draw_digit(40), 20, 20) < 0.01


def test_chalk_on_black_is_legible():
    board = np.zeros((140, 140), np.uint8)
    mask = draw_digit(40)
    image = board.copy()
    image[20:60, 20 : 20 + mask.shape[1]] = mask // 2
    assert measure_legibility(image, board, mask, 20, 20) > 0.9


def test_a_digit_cut_by_the_border_counts_as_far_as_it_is_there(paper):
    mask = draw_digit(60)
    image = draw_page(mask, paper, 0.7, x=110)
    assert measure_legibility(image, paper, mask, 110, 20) > 0.9
