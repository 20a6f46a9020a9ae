import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from digitcore.reports import DigitScore, Mistake, Report
from digitcore.ui.report_html import (
    REPORT_CSS,
    RunState,
    encode_png,
    render_confusion,
    render_download,
    render_headline,
    render_mistakes,
    render_note,
    render_per_digit,
    render_waiting,
)

VOID = {"img"}
CONFUSION = tuple(tuple(90 if t == r else 1 if r == (t + 1) % 10 else 0 for r in range(10)) for t in range(10))
IMAGES = np.arange(1000, dtype=np.uint32)[:, None, None].astype(np.uint8) * np.ones((28, 28), np.uint8)


class Elements(HTMLParser):
    """Collects elements as (tag, attributes, text inside), and holds the markup to closing what it opens."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(markup)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag, attrs):
        element = (tag, dict(attrs), [])
        self.found.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, text in self._open:
            text.append(data)

    def all(self, tag: str, **attributes: str) -> list[tuple[dict[str, str | None], str]]:
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [
            (attrs, "".join(text).replace("\u00a0", " "))
            for found, attrs, text in self.found
            if found == tag and wanted.items() <= attrs.items()
        ]


def make_report(**changes) -> Report:
    mistakes = tuple(Mistake(index, index % 10, (index + 1) % 10, 0.999 - index / 1000) for index in range(10))
    report = Report(
        dataset="mnist",
        checkpoint="digitnet@1a2b3c4",
        n=910,
        n_total=1000,
        n_correct=900,
        interval=(0.9799, 0.994),
        confusion=CONFUSION,
        per_digit=tuple(DigitScore(0.5 + digit / 100, 0.75, 0.6, 91 + digit) for digit in range(10)),
        ece=0.0123,
        mistakes=mistakes,
        images_per_second=5100.4,
        done=False,
    )
    return replace(report, **changes)


EMPTY = make_report(n=0, n_total=0, n_correct=0, interval=(0.0, 1.0), mistakes=(), images_per_second=0.0, done=True)


def test_render_headline_tells_the_figures():
    elements = Elements(render_headline(make_report(), "MNIST test set", RunState.RUNNING))
    ((_, section),) = elements.all("section")
    for words in (
        "98.90 %",
        "95 % interval 97.99–99.40 %",
        "digitnet@1a2b3c4 on MNIST test set",
        "10 of 910 wrong",
        "calibration error 1.23 %",
        "910 of 1,000 images · 5,100 images a second",
    ):
        assert words in section
    ((bar, _),) = elements.all("div", role="progressbar")
    assert (bar["aria-valuemin"], bar["aria-valuenow"], bar["aria-valuemax"]) == ("0", "91.0", "100")
    assert bar["aria-label"] and "910 of 1,000" in bar["aria-valuetext"]


@pytest.mark.parametrize(
    ("state", "n", "words", "announced"),
    [
        (RunState.RUNNING, 910, "910 of 1,000 images", 0),
        (RunState.STOPPED, 910, "Stopped at 910 of 1,000 images", 1),
        (RunState.DONE, 1000, "Done: 1,000 images", 1),
    ],
)
def test_render_headline_tells_the_state_and_announces_the_end_only(state, n, words, announced):
    elements = Elements(render_headline(make_report(n=n, done=state is RunState.DONE), "MNIST test set", state))
    assert elements.all("p", class_="report-rate")[0][1].startswith(words)
    assert len(elements.all("p", role="status")) == announced


def test_render_headline_of_an_empty_data_set():
    assert "UCI digits is empty" in render_headline(EMPTY, "UCI digits", RunState.DONE)


def test_render_confusion_is_a_table_with_scopes_and_the_counts():
    elements = Elements(render_confusion(make_report()))
    columns = [text for _, text in elements.all("th", scope="col")]
    rows = [text for _, text in elements.all("th", scope="row")]
    assert columns == rows == [str(digit) for digit in range(10)]
    cells = [(attrs["class"], int(text), attrs["title"]) for attrs, text in elements.all("td") if text]
    assert [count for _, count, _ in cells] == [count for row in CONFUSION for count in row]
    assert [kind for kind, _, _ in cells[:3]] == ["right", "wrong", "none"]
    assert cells[1][2].replace("\u00a0", " ") == "0 read as 1: 1 of 91 (1.10 %)"
    assert elements.all("caption")


def test_render_confusion_shades_by_share_of_the_row_and_of_the_largest_error():
    confusion = [[0] * 10 for _ in range(10)]
    confusion[0][:3] = [5, 4, 1]
    shades = re.findall(r'class="(\w+)" style="--shade: ([\d.]+)"', render_confusion(make_report(confusion=confusion)))
    assert shades[:4] == [("right", "0.50"), ("wrong", "1.00"), ("wrong", "0.50"), ("none", "0.00")]
    assert all(shade == ("none", "0.00") or shade == ("right", "0.00") for shade in shades[10:])


def test_render_confusion_before_the_first_image():
    zeros = ((0,) * 10,) * 10
    assert "wrong" not in render_confusion(make_report(confusion=zeros, n=0, n_correct=0))


def test_render_per_digit_is_a_table_with_scopes_and_the_scores():
    elements = Elements(render_per_digit(make_report()))
    assert [text for _, text in elements.all("th", scope="col")] == ["Digit", "Precision", "Recall", "F1", "Images"]
    cells = [text for _, text in elements.all("td")]
    assert len(cells) == 40
    assert cells[4:8] == ["51.00", "75.00", "60.00", "92"]


def test_render_mistakes_shows_each_with_truth_reading_and_confidence():
    elements = Elements(render_mistakes(make_report(), IMAGES))
    assert elements.all("h3")[0][1] == "The 10 mistakes, most confident first"
    captions = [text for _, text in elements.all("figcaption")]
    assert len(captions) == 10
    assert captions[0] == "0 → 1over 99 %" and captions[9] == "9 → 099 %"
    assert all(attrs["alt"] for attrs, _ in elements.all("img"))
    assert elements.all("figure")[3][0]["title"] == "Image 3: a 3 read as 4"


def test_render_mistakes_shows_the_picture_of_the_index():
    elements = Elements(render_mistakes(make_report(mistakes=(Mistake(77, 1, 7, 0.9),)), IMAGES))
    source = elements.all("img")[0][0]["src"]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))
    assert np.array_equal(picture, IMAGES[77])


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
    elements = Elements(render_mistakes(report, IMAGES, max_pictures=n_listed))
    assert elements.all("h3")[0][1] == heading
    assert len(elements.all("figure")) == n_listed


def test_render_mistakes_without_any():
    perfect = make_report(n_correct=910, mistakes=())
    assert "No mistakes so far." in render_mistakes(perfect, IMAGES)
    assert "No mistakes." in render_mistakes(replace(perfect, n=1000, n_correct=1000, done=True), IMAGES)
    assert render_mistakes(EMPTY, IMAGES) == ""


def test_render_download_is_a_progress_bar():
    elements = Elements(render_download("train-images", 0.425))
    ((bar, _),) = elements.all("div", role="progressbar")
    assert bar["aria-valuenow"] == "42.5"
    assert "train-images" in bar["aria-valuetext"]


@pytest.mark.parametrize(
    "markup",
    [
        render_note("<script>alert(1)</script> & co"),
        render_note('"><img src=x onerror=alert(1)>', is_problem=True),
        render_waiting("<b>bold</b>"),
        render_headline(make_report(checkpoint="<i>x</i>@1"), "<u>set</u>", RunState.DONE),
        render_download("<script>", 0.1),
    ],
)
def test_what_comes_from_outside_is_escaped(markup):
    tags = {tag for tag, _, _ in Elements(markup).found}
    assert not tags & {"script", "img", "b", "i", "u"}


def test_render_note_problem_is_announced_and_nothing_gives_nothing():
    assert Elements(render_note("Bad.", is_problem=True)).all("div", role="alert")
    assert Elements(render_note("Good.")).all("div", role="note")
    assert render_note("") == ""


def test_render_note_folds_the_cause_away():
    elements = Elements(render_note("Offline.", is_problem=True, cause="<urlopen error>"))
    assert elements.all("details")[0][1] == "Cause<urlopen error>"


def test_encode_png_round_trip():
    image = np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8)
    picture = Image.open(io.BytesIO(base64.b64decode(encode_png(image).removeprefix("data:image/png;base64,"))))
    assert np.array_equal(np.asarray(picture), image)


@pytest.mark.parametrize(("paint", "max_alpha"), [((0, 114, 178), 0.5), ((213, 94, 0), 0.6)])
@pytest.mark.parametrize(("ground", "text"), [("faf9f7", "1f1d1b"), ("141312", "f3f0ec")])
def test_report_colours_keep_text_readable(paint, max_alpha, ground, text):
    """WCAG's contrast of the text on the darkest shade, on the app's light and dark ground."""

    def luminance(rgb):
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ground_rgb, text_rgb = bytes.fromhex(ground), bytes.fromhex(text)
    shaded = [max_alpha * p + (1 - max_alpha) * g for p, g in zip(paint, ground_rgb, strict=True)]
    light, dark = sorted((luminance(shaded), luminance(text_rgb)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
    assert f"rgb({paint[0]} {paint[1]} {paint[2]} / calc(" in REPORT_CSS
