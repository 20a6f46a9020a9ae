"""The classical photo chain on pictures drawn here: what was planted is found where it is, and nothing else."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from digitcore.finding import MAX_MARKS, MAX_WORK_SIDE_PX, find_photo_candidates
from digitcore.results import Box, Reason

PAPER, INK = 215, 50


def paper(width=800, height=600, grey=PAPER, noise=2.0):
    """Plain paper with sensor noise."""
    rng = np.random.default_rng(5)
    return np.full((height, width), grey, np.float32) + rng.normal(0, noise, (height, width)).astype(np.float32)


def plant(picture, text="2748", height=90, left=120, top=220, step=130, strength=1.0 - INK / PAPER):
    """Write digits as dark ink into a grey float picture; returns their boxes."""
    font = ImageFont.load_default(round(1.4 * height))
    boxes = []
    for i, character in enumerate(text):
        layer = Image.new("L", picture.shape[::-1])
        ImageDraw.Draw(layer).text((left + i * step, top), character, 255, font)
        boxes.append(Box(*(int(v) for v in cv2.boundingRect((np.asarray(layer) > 127).astype(np.uint8)))))
        picture *= 1.0 - strength * np.asarray(layer, np.float32) / 255.0
    return boxes


def to_rgb(picture):
    grey = np.clip(picture, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def overlap(a, b):
    """Intersection over union."""
    shared = max(0, min(a.x + a.w, b.x + b.w) - max(a.x, b.x)) * max(0, min(a.y + a.h, b.y + b.h) - max(a.y, b.y))
    return shared / (a.w * a.h + b.w * b.h - shared)


def assert_found(finding, boxes):
    """Each planted box once, and no other candidate."""
    found = [candidate.box for candidate in finding.candidates]
    assert len(found) == len(boxes), found
    for box in boxes:
        assert max(overlap(box, other) for other in found) > 0.7, (box, found)


@pytest.mark.parametrize("noise", [0.0, 2.0, 6.0])
@pytest.mark.parametrize("grey", [0, 90, 215, 255])
def test_find_photo_candidates_blank_gives_nothing(noise, grey):
    finding = find_photo_candidates(to_rgb(paper(grey=grey, noise=noise)))
    assert finding.candidates == ()
    assert finding.ink.max() == 0


def test_find_photo_candidates_blank_with_gradient_and_shadow_gives_nothing():
    picture = paper() * np.linspace(1.0, 0.5, 800, dtype=np.float32)[None, :]
    picture[:, 500:] *= 0.55
    assert find_photo_candidates(to_rgb(picture)).candidates == ()


def test_find_photo_candidates_dark_ink_on_light():
    picture = paper()
    boxes = plant(picture)
    assert_found(find_photo_candidates(to_rgb(picture)), boxes)


def test_find_photo_candidates_light_ink_on_dark():
    picture = paper()
    boxes = plant(picture)
    assert_found(find_photo_candidates(255 - to_rgb(picture)), boxes)


def test_find_photo_candidates_same_from_either_polarity():
    picture = paper(noise=0.0)
    plant(picture)
    dark, light = (find_photo_candidates(rgb).candidates for rgb in (to_rgb(picture), 255 - to_rgb(picture)))
    assert [c.box for c in dark] == [c.box for c in light]


def test_find_photo_candidates_ink_is_the_stroke():
    picture = paper(noise=0.0)
    (box,) = plant(picture, "8", height=120)
    (candidate,) = find_photo_candidates(to_rgb(picture)).candidates
    truth = 255 - to_rgb(picture)[box.y : box.y + box.h, box.x : box.x + box.w, 0].astype(float)
    truth = (truth - truth.min()) / np.ptp(truth)
    ink = cv2.resize(candidate.ink, truth.shape[::-1]).astype(float) / 255
    assert candidate.ink.max() == 255
    assert np.corrcoef(truth.ravel(), ink.ravel())[0, 1] > 0.9


def test_find_photo_candidates_thin_strokes_are_thickened():
    picture = paper(noise=0.0)
    cv2.ellipse(picture, (400, 300), (90, 140), 0, 0, 360, INK, 3, cv2.LINE_AA)
    (candidate,) = find_photo_candidates(to_rgb(picture)).candidates
    row = candidate.ink[candidate.ink.shape[0] // 2] > 127
    # Two crossings of a stroke that is a tenth of 280 px.
    assert 2 * 20 < row.sum() < 2 * 36


def test_find_photo_candidates_across_a_shadow_edge():
    picture = paper()
    boxes = plant(picture)
    picture[:, 345:] *= 0.5
    picture[440:, :] *= 0.6
    assert_found(find_photo_candidates(to_rgb(picture)), boxes)


def test_find_photo_candidates_faint_pencil():
    picture = paper(noise=1.5)
    boxes = plant(picture, strength=0.2)
    assert_found(find_photo_candidates(to_rgb(picture)), boxes)


def test_find_photo_candidates_ruled_paper():
    picture = paper(1000, 700)
    for y in range(75, 700, 55):
        picture[y : y + 2] *= 0.7
    boxes = plant(picture)
    finding = find_photo_candidates(to_rgb(picture))
    assert_found(finding, boxes)
    assert {rejected.reason for rejected in finding.rejected} >= {Reason.RULED_LINE}


def test_find_photo_candidates_squared_paper():
    picture = paper(1000, 700)
    picture[20::45] *= 0.8
    picture[:, 20::45] *= 0.8
    boxes = plant(picture)
    assert_found(find_photo_candidates(to_rgb(picture)), boxes)


@pytest.mark.parametrize("slope", [-0.06, -0.02, 0.03])
def test_find_photo_candidates_tilted_ruled_paper(slope):
    picture = paper(1000, 700)
    for y in range(75, 700, 55):
        ends = (0, round(y - 500 * slope)), (999, round(y + 500 * slope))
        rule = cv2.line(np.zeros((700, 1000), np.uint8), *ends, 255, 2, cv2.LINE_AA)
        picture *= 1.0 - 0.3 * rule / 255.0
    boxes = plant(picture)
    assert_found(find_photo_candidates(to_rgb(picture)), boxes)


def test_find_photo_candidates_row_of_boxes_to_write_in():
    picture = paper(1000, 700)
    boxes = plant(picture)
    for x in range(90, 90 + 131 * 5, 130):
        picture[220:380, x : x + 2] *= 0.5
    for y in (220, 378):
        picture[y : y + 2, 90 : 90 + 130 * 4] *= 0.5
    assert_found(find_photo_candidates(to_rgb(picture)), boxes)


def test_find_photo_candidates_flag_joins_its_digit():
    picture = paper(noise=0.0)
    cv2.ellipse(picture, (400, 340), (45, 50), 0, -110, 120, INK, 10, cv2.LINE_AA)
    cv2.line(picture, (380, 270), (440, 270), INK, 10, cv2.LINE_AA)
    (candidate,) = find_photo_candidates(to_rgb(picture)).candidates
    assert candidate.box.y < 270 < 380 < candidate.box.y + candidate.box.h


def test_find_photo_candidates_cut_by_the_edge_is_refused():
    picture = paper()
    plant(picture, "8", left=-25)
    finding = find_photo_candidates(to_rgb(picture))
    assert finding.candidates == ()
    assert [rejected.reason for rejected in finding.rejected] == [Reason.EDGE]


def test_find_photo_candidates_speck_is_too_small():
    picture = paper(noise=0.0)
    cv2.circle(picture, (400, 300), 3, INK, -1)
    finding = find_photo_candidates(to_rgb(picture))
    assert finding.candidates == ()
    assert {rejected.reason for rejected in finding.rejected} == {Reason.TOO_SMALL}


def test_find_photo_candidates_blob_is_no_digit():
    picture = paper(noise=0.0)
    cv2.circle(picture, (400, 300), 60, INK, -1)
    finding = find_photo_candidates(to_rgb(picture))
    assert finding.candidates == ()
    assert {rejected.reason for rejected in finding.rejected} == {Reason.NOT_A_DIGIT}


def test_find_photo_candidates_texture_drowns():
    rng = np.random.default_rng(3)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (600, 800)).astype(np.float32), (0, 0), 5)
    assert len(find_photo_candidates(to_rgb(150 + 25 * grain / grain.std())).candidates) <= 1


def test_find_photo_candidates_gravel_keeps_the_largest():
    rng = np.random.default_rng(3)
    picture = paper(1280, 1280, noise=0.0)
    for x, y in rng.uniform(20, 1260, (2500, 2)).astype(int):
        cv2.circle(picture, (int(x), int(y)), 6, INK, -1)
    finding = find_photo_candidates(to_rgb(picture))
    assert len(finding.candidates) + len(finding.rejected) <= MAX_MARKS


def test_find_photo_candidates_boxes_are_in_pixels_of_a_large_picture():
    picture = paper(4000, 3000)
    boxes = plant(picture, height=400, left=500, top=1100, step=650)
    finding = find_photo_candidates(to_rgb(picture))
    assert_found(finding, boxes)
    assert max(finding.contrast.shape) == MAX_WORK_SIDE_PX == max(finding.ink.shape)


def test_find_photo_candidates_one_digit_fills_the_frame():
    picture = paper(190, 190, noise=0.0)
    cv2.ellipse(picture, (95, 95), (60, 78), 0, 0, 360, INK, 16, cv2.LINE_AA)
    (candidate,) = find_photo_candidates(to_rgb(picture)).candidates
    assert overlap(candidate.box, Box(27, 9, 137, 173)) > 0.9


@pytest.mark.parametrize("shape", [(8, 8), (1, 400), (400, 1), (9, 3000)])
def test_find_photo_candidates_odd_shapes(shape):
    finding = find_photo_candidates(np.full((*shape, 3), 200, np.uint8))
    assert finding.candidates == () == finding.rejected
