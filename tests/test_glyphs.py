import cv2
import numpy as np
import pytest

from digitcore.data import LabeledImages
from digitcore.training.glyphs import FIELD_PX, DigitGlyphs, crop_to_ink, make_fields, thin


def draw_image(*lines: list[tuple[int, int]], pen: int = 3) -> np.ndarray:
    image = np.zeros((28, 28), np.uint8)
    for line in lines:
        cv2.polylines(image, [np.array(line)], False, 255, pen)
    return image


ONE = draw_image([(14, 5), (14, 23)])
ZERO = draw_image([(9, 6), (19, 6), (19, 22), (9, 22), (9, 6)])


def make_glyphs() -> DigitGlyphs:
    return DigitGlyphs(make_fields(np.stack([ONE, ZERO])), np.array([1, 0]))


def test_thin_leaves_lines_one_pixel_wide_and_as_many_pieces_and_holes():
    masks = np.stack([cv2.resize(image, (112, 112)) > 96 for image in (ONE, ZERO)])
    lines = thin(masks)
    for mask, line in zip(masks, lines, strict=True):
        assert not (line & ~mask).any()
        # No 2 × 2 block is left.
        assert not (line[1:, 1:] & line[:-1, 1:] & line[1:, :-1] & line[:-1, :-1]).any()
        for inverted in (False, True):
            n_before = cv2.connectedComponents((mask ^ inverted).astype(np.uint8), connectivity=8 - 4 * inverted)[0]
            n_after = cv2.connectedComponents((line ^ inverted).astype(np.uint8), connectivity=8 - 4 * inverted)[0]
            assert n_before == n_after


def test_make_fields_are_distances_from_the_middle_line():
    field = make_fields(ONE[None])[0].astype(float) / 32
    row = field[FIELD_PX // 2]
    assert abs(int(row.argmin()) - 28) <= 1
    # One field point further away, one more: up to the end of the scale, the line itself rounded off by the blur.
    assert row[33] - row[31] == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("height", [12.0, 40.0, 160.0])
@pytest.mark.parametrize("pen_ratio", [0.06, 0.2])
def test_draw_gives_the_height_and_the_pen_asked_for(height, pen_ratio):
    glyphs = make_glyphs()
    pen = max(1.2, pen_ratio * height)
    masks = [glyphs.draw(np.random.default_rng(seed), 0, height, pen) for seed in range(20)]
    assert np.mean([mask.shape[0] for mask in masks]) == pytest.approx(height, rel=0.12, abs=1.5)
    widths = [(mask.astype(float) / 255).sum(axis=1)[mask.shape[0] // 4 : -mask.shape[0] // 4].mean() for mask in masks]
    assert np.mean(widths) == pytest.approx(pen, rel=0.25, abs=0.8)


def test_draw_slants_and_turns():
    glyphs, height = make_glyphs(), 80.0
    upright, slanted, turned = (
        np.mean([glyphs.draw(np.random.default_rng(s), 0, height, 6, *pose).shape[1] for s in range(12)])
        for pose in ((0.0, 0.0), (0.5, 0.0), (0.0, 30.0))
    )
    assert slanted - upright == pytest.approx(0.5 * (height - 6), rel=0.35)
    assert turned - upright == pytest.approx(np.sin(np.pi / 6) * (height - 6), rel=0.35)


def test_draw_keeps_a_loop_open_however_thick_the_pen():
    glyphs = make_glyphs()
    for seed in range(10):
        mask = glyphs.draw(np.random.default_rng(seed), 1, 100.0, 90.0)
        n_holes = cv2.connectedComponents((np.pad(mask, 2) < 128).astype(np.uint8), connectivity=4)[0] - 2
        assert n_holes == 1


def test_draw_never_inks_the_whole_field():
    # Strokes wider than the stored distances reach must not spill.
    glyphs = make_glyphs()
    for seed in range(30):
        mask = glyphs.draw(np.random.default_rng(seed), 0, 60.0, 60.0)
        assert not (mask[:, [0, -1]] > 200).all()


def test_from_images_keeps_the_fields(tmp_path, monkeypatch):
    dataset = LabeledImages(np.stack([ONE, ZERO]), np.array([1, 0]), "two")
    first = DigitGlyphs.from_images(dataset, tmp_path)
    monkeypatch.setattr("digitcore.training.glyphs.make_fields", None)
    again = DigitGlyphs.from_images(dataset, tmp_path)
    np.testing.assert_array_equal(first.fields, again.fields)
    assert len(list(tmp_path.iterdir())) == 1


def test_pick_is_even_over_the_classes_present():
    glyphs = make_glyphs()
    rng = np.random.default_rng(0)
    labels = [int(glyphs.labels[glyphs.pick(rng)]) for _ in range(400)]
    assert 140 < sum(labels) < 260
    assert {int(glyphs.labels[glyphs.pick(rng, 1)]) for _ in range(20)} == {1}


def test_crop_to_ink_of_nothing():
    assert crop_to_ink(np.zeros((9, 9), np.uint8)).shape == (1, 1)
