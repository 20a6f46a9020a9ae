import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from digitcore.reports import Mistake
from digitcore.ui.pictures_html import encode_png, render_cell, render_mistakes, sure_percent
from tests.planted_reports import EMPTY, IMAGES, LABELS, Elements, make_predictions, make_report, make_snapshot


def decode(source: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,")))))


def test_render_mistakes_shows_each_with_truth_reading_and_confidence():
    elements = Elements(render_mistakes([make_report()], IMAGES))
    assert elements.all("h3")[0][1] == "The 10 mistakes, most confident first"
    captions = [text for _, text in elements.all("figcaption")]
    assert len(captions) == 10
    assert captions[0] == "0 → 1over 99 %" and captions[9] == "9 → 099 %"
    assert all(attrs["alt"] for attrs, _ in elements.all("img"))
    assert elements.all("figure")[3][0]["title"] == "Image 3: a 3 read as a 4"


def test_render_mistakes_are_buttons_that_say_which():
    buttons = [attrs for attrs, _ in Elements(render_mistakes(make_snapshot(2).reports, IMAGES)).all("button")]
    assert [(each["data-open"], each["data-which"]) for each in buttons] == [
        (str(index), which) for which in "01" for index in range(10)
    ]
    label = buttons[9]["aria-label"].replace("\u00a0", " ")
    assert label == "Image 9: a 9 read as a 0, 99 % sure. Open it in the Sketch tab"


def test_render_mistakes_of_two_checkpoints_names_them():
    headings = [text for _, text in Elements(render_mistakes(make_snapshot(2).reports, IMAGES)).all("h3")]
    assert [label in heading for label, heading in zip(LABELS, headings, strict=True)] == [True, True]


def test_render_mistakes_without_a_page_has_no_buttons():
    markup = render_mistakes([make_report()], IMAGES, is_pressable=False)
    assert "<button" not in markup and "Sketch tab" not in markup
    assert len(Elements(markup).all("figure")) == 10


def test_render_mistakes_shows_the_picture_of_the_index():
    elements = Elements(render_mistakes([make_report(mistakes=(Mistake(77, 1, 7, 0.9),))], IMAGES))
    assert np.array_equal(decode(elements.all("img")[0][0]["src"]), IMAGES[77])


def test_render_mistakes_marks_what_is_disputed_and_cites_the_source():
    mistakes = (Mistake(1, 1, 7, 0.9), Mistake(2, 2, 7, 0.8, disputed=True))
    markup = render_mistakes([make_report(mistakes=mistakes)], IMAGES)
    captions = [text for _, text in Elements(markup).all("figcaption")]
    assert ["disputed" in caption for caption in captions] == [False, True]
    assert "Northcutt" in markup and Elements(markup).all("a")[0][0]["href"].startswith("https://arxiv.org/")
    assert "Northcutt" not in render_mistakes([make_report(mistakes=mistakes[:1])], IMAGES)


@pytest.mark.parametrize(
    ("n_wrong", "n_listed", "heading"),
    [
        (1, 1, "The one mistake"),
        (10, 10, "The 10 mistakes, most confident first"),
        (10, 4, "The 4 most confident of 10 mistakes"),
        (1234, 10, "The 10 most confident of 1,234 mistakes"),
    ],
)
def test_render_mistakes_says_how_many_there_are(n_wrong, n_listed, heading):
    report = make_report(n=5000, n_total=5000, n_correct=5000 - n_wrong)
    report = replace(report, mistakes=report.mistakes[: min(n_wrong, 10)])
    elements = Elements(render_mistakes([report], IMAGES, max_pictures=n_listed))
    assert elements.all("h3")[0][1] == heading
    assert len(elements.all("figure")) == n_listed


def test_render_mistakes_without_any():
    perfect = make_report(n_correct=910, mistakes=())
    assert "No mistakes so far." in render_mistakes([perfect], IMAGES)
    assert "No mistakes." in render_mistakes([replace(perfect, n=1000, n_correct=1000, done=True)], IMAGES)
    assert render_mistakes([EMPTY], IMAGES) == ""


def test_render_cell_shows_the_images_of_the_cell_most_confident_first():
    elements = Elements(render_cell(make_predictions(), make_report(), 0, (3, 3), IMAGES))
    buttons = [attrs for attrs, _ in elements.all("button")]
    assert [int(each["data-open"]) for each in buttons] == list(range(13, 613, 10))
    assert elements.all("h3")[0][1] == "3 read right: 90 images, the 60 most confident · digitnet@1a2b3c4"
    assert np.array_equal(decode(elements.all("img")[0][0]["src"]), IMAGES[13])


def test_render_cell_of_a_mistake_names_both_digits_and_the_dispute():
    elements = Elements(render_cell(make_predictions(), make_report(), 1, (3, 4), IMAGES, disputed={3}))
    assert elements.all("h3")[0][1].startswith("3 read as 4: 1 image ·")
    ((button, text),) = elements.all("button")
    assert button["data-which"] == "1" and "disputed" in text and "disputed" in button["aria-label"]


def test_render_cell_without_images():
    assert "No 3 was read as 7." in render_cell(make_predictions(), make_report(), 0, (3, 7), IMAGES)


@pytest.mark.parametrize(("confidence", "words"), [(1.0, "over 99 %"), (0.994, "99 %"), (0.5, "50 %")])
def test_sure_percent(confidence, words):
    assert sure_percent(confidence).replace("\u00a0", " ") == words


def test_render_mistakes_says_it_as_one_says_it():
    elements = Elements(render_mistakes([make_report(mistakes=(Mistake(1, 8, 3, 0.9),))], IMAGES))
    assert elements.all("figure")[0][0]["title"] == "Image 1: an 8 read as a 3"


def test_encode_png_round_trip():
    image = np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8)
    assert np.array_equal(decode(encode_png(image)), image)
