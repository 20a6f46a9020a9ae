import re
from pathlib import Path

import pytest

from digitcore.ui import confusion_html
from digitcore.ui.confusion_html import render_confusion
from tests.planted_reports import CONFUSION, LABELS, Elements, make_report, make_snapshot

REPORT_CSS = (Path(confusion_html.__file__).parent / "report.css").read_text()


def test_render_confusion_is_a_table_with_scopes_and_the_counts():
    elements = Elements(render_confusion([make_report()]))
    columns = [text for _, text in elements.all("th", scope="col")]
    rows = [text for _, text in elements.all("th", scope="row")]
    assert columns == rows == [str(digit) for digit in range(10)]
    counts = [int(text) for _, text in elements.all("span", class_="count")]
    assert counts == [count for row in CONFUSION for count in row]
    cells = [attrs for attrs, text in elements.all("td") if text]
    assert [cell["class"] for cell in cells[:3]] == ["right", "wrong", "none"]
    assert cells[1]["title"].replace("\u00a0", " ") == "0 read as 1: 1 of 91 (1.10 %)"
    assert elements.all("caption")


def test_render_confusion_has_the_shares_of_the_row_beside_the_counts():
    shares = [text for _, text in Elements(render_confusion([make_report()])).all("span", class_="share")]
    assert shares[:3] == ["98.9", "1.1", "0"] and len(shares) == 100


@pytest.mark.parametrize(("right", "wrong", "shown"), [(5000, 1, "100"), (999, 1, "99.9"), (1, 0, "100"), (0, 0, "0")])
def test_render_confusion_share_stays_short(right, wrong, shown):
    confusion = [[0] * 10 for _ in range(10)]
    confusion[0][:2] = [right, wrong]
    markup = render_confusion([make_report(confusion=confusion)])
    assert Elements(markup).all("span", class_="share")[0][1] == shown


def test_render_confusion_cells_are_buttons_that_say_which_with_one_tab_stop():
    elements = Elements(render_confusion(make_snapshot(2).reports))
    buttons = [attrs for attrs, _ in elements.all("button")]
    assert len(buttons) == 200
    assert (buttons[13]["data-cell"], buttons[13]["data-which"]) == ("13", "0")
    assert buttons[113]["data-which"] == "1"
    assert all(button["aria-label"] for button in buttons)
    assert [button["data-cell"] for button in buttons if button["tabindex"] == "0"] == ["00", "00"]
    captions = [text for _, text in elements.all("caption")]
    assert [label in caption for label, caption in zip(LABELS, captions, strict=True)] == [True, True]


def test_render_confusion_without_a_page_has_no_buttons():
    markup = render_confusion([make_report()], is_pressable=False)
    assert "<button" not in markup and "Press" not in markup
    assert len(Elements(markup).all("span", class_="count")) == 100


def test_render_confusion_shades_by_share_of_the_row_and_of_the_largest_error():
    confusion = [[0] * 10 for _ in range(10)]
    confusion[0][:3] = [5, 4, 1]
    shades = re.findall(
        r'class="(\w+)" style="--shade: ([\d.]+)"', render_confusion([make_report(confusion=confusion)])
    )
    assert shades[:4] == [("right", "0.50"), ("wrong", "1.00"), ("wrong", "0.50"), ("none", "0.00")]
    assert all(shade in {("none", "0.00"), ("right", "0.00")} for shade in shades[10:])


def test_render_confusion_before_the_first_image():
    zeros = ((0,) * 10,) * 10
    markup = render_confusion([make_report(confusion=zeros, n=0, n_correct=0)])
    assert 'class="wrong"' not in markup


def test_what_comes_from_outside_is_escaped():
    assert "<i>" not in render_confusion([make_report(checkpoint="<i>x</i>@1")] * 2)


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
