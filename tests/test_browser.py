"""The Sketch tab in headless Chromium, as a visitor uses it."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from digitcore.ui.answer import NOTHING_DRAWN
from tests.drawn import Strokes, place

pytestmark = pytest.mark.browser

NUMBER = "#sketch-answer .dc-number"
# Where each digit of a number of up to three is drawn, as shares of the pad.
SLOTS = [(0.08, 0.2, 0.22, 0.6), (0.38, 0.2, 0.22, 0.6), (0.68, 0.2, 0.22, 0.6)]


def strokes_of(text: str) -> Strokes:
    return [stroke for i, digit in enumerate(text) for stroke in place(int(digit), *SLOTS[i])]


def draw_by_mouse(page, text: str) -> None:
    box = page.locator(".pad-canvas").bounding_box()
    for stroke in strokes_of(text):
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=2)
        page.mouse.up()


def draw_by_touch(page, text: str) -> None:
    """Real touch input, through the browser's own protocol."""
    box = page.locator(".pad-canvas").bounding_box()
    session = page.context.new_cdp_session(page)
    for stroke in strokes_of(text):
        points = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in stroke]
        session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [points[0]]})
        for point in points[1:]:
            session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def wait_for_number(page, text: str) -> None:
    page.wait_for_function("([s, t]) => document.querySelector(s)?.innerText === t", arg=[NUMBER, text])


def wait_for_hint(page) -> None:
    page.wait_for_function("t => document.querySelector('#sketch-answer')?.innerText.trim() === t", arg=NOTHING_DRAWN)


def is_pad_blank(page) -> bool:
    """Whether the screen's canvas has no ink, by its own pixels."""
    return page.evaluate(
        """() => { const c = document.querySelector('.pad-canvas');
        return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.every((v) => v === 0); }"""
    )


def record_sent_pictures(page) -> list[np.ndarray]:
    """Every drawing that the page sends from now on, decoded."""
    sent: list[np.ndarray] = []

    def note(request) -> None:
        body = request.post_data or ""
        if '"data:image/png;base64,' in body:
            encoded = body.split('"data:image/png;base64,')[1].split('"')[0]
            sent.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("L")))

    page.on("request", note)
    return sent


def test_draw_by_mouse_shows_number_pictures_and_bars(page):
    wait_for_hint(page)
    draw_by_mouse(page, "174")
    wait_for_number(page, "174")
    assert page.locator("#sketch-answer .dc-card").count() == 3
    assert page.locator("#sketch-answer .dc-bar").count() == 30
    widths = page.eval_on_selector_all("#sketch-answer .dc-seen", "images => images.map(i => i.naturalWidth)")
    assert widths == [28, 28, 28]


def test_the_answer_follows_while_the_pen_is_down(page):
    box = page.locator(".pad-canvas").bounding_box()
    (stroke,) = place(1, *SLOTS[1])
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=8)
    wait_for_number(page, "1")
    page.mouse.up()


def test_draw_by_touch_does_not_scroll_the_page(open_page):
    page = open_page(viewport={"width": 360, "height": 700}, has_touch=True, is_mobile=True, device_scale_factor=3)
    sent = record_sent_pictures(page)
    draw_by_touch(page, "20")
    wait_for_number(page, "20")
    assert page.evaluate("window.scrollY") == 0
    assert sent[-1].shape == (240, 320)


def test_a_second_finger_does_not_draw(open_page):
    page = open_page(has_touch=True)
    box = page.locator(".pad-canvas").bounding_box()
    session = page.context.new_cdp_session(page)
    first = {"x": box["x"] + 100, "y": box["y"] + 60, "id": 0}
    second = {"x": box["x"] + 400, "y": box["y"] + 300, "id": 1}
    sent = record_sent_pictures(page)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [first]})
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [first, second]})
    moved = [first | {"y": first["y"] + 200}, second | {"y": second["y"] - 200}]
    session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": moved})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_for_number(page, "1")
    assert (sent[-1][:, 160:] == 255).all()


def test_undo_and_clear_by_button(page):
    draw_by_mouse(page, "17")
    wait_for_number(page, "17")
    page.get_by_role("button", name="Undo").click()
    wait_for_number(page, "1")
    page.get_by_role("button", name="Clear").click()
    wait_for_hint(page)
    page.wait_for_timeout(50)
    assert is_pad_blank(page)
    assert page.get_by_role("button", name="Undo").is_disabled()


def test_undo_and_clear_by_key(page):
    draw_by_mouse(page, "17")
    wait_for_number(page, "17")
    page.keyboard.press("Control+z")
    wait_for_number(page, "1")
    for key in ("Delete", "Escape", "Backspace"):
        page.keyboard.press(key)
        wait_for_hint(page)
        draw_by_mouse(page, "1")
        wait_for_number(page, "1")


def test_draw_by_keys_alone(page):
    page.locator(".pad-canvas").focus()
    for _ in range(9):
        page.keyboard.press("ArrowUp")
    page.keyboard.press(" ")
    for _ in range(18):
        page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    wait_for_number(page, "1")
    assert page.locator(".pad-status").inner_text() == "Pen up"


def test_every_control_is_reached_by_tab_and_named(page):
    draw_by_mouse(page, "1")
    page.locator(".pad-canvas").focus()
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.ariaLabel || document.activeElement.innerText"))
    assert reached == ["Undo", "Clear", "Pen width"]


def test_a_wider_pen_sends_more_ink(page):
    sent = record_sent_pictures(page)
    draw_by_mouse(page, "1")
    wait_for_number(page, "1")
    page.keyboard.press("Escape")
    wait_for_hint(page)
    thin = (sent[-1] < 128).sum()
    page.get_by_label("Pen width").fill("27")
    draw_by_mouse(page, "1")
    wait_for_number(page, "1")
    assert (sent[-1] < 128).sum() > 1.5 * thin


def test_dark_mode_shows_light_ink_and_sends_black_on_white(open_page):
    page = open_page("?__theme=dark")
    sent = record_sent_pictures(page)
    draw_by_mouse(page, "1")
    wait_for_number(page, "1")
    assert (sent[-1] == 255).mean() > 0.9 and sent[-1].min() == 0
    shot = Image.open(io.BytesIO(page.locator(".pad-canvas").screenshot())).convert("L")
    on_screen = np.asarray(shot)
    assert np.median(on_screen) < 50 and (on_screen > 200).mean() > 0.01


def test_the_drawing_survives_a_change_of_tab_and_of_size(page):
    draw_by_mouse(page, "17")
    wait_for_number(page, "17")
    page.get_by_role("tab", name="Photo").click()
    page.get_by_role("tab", name="Sketch").click()
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_timeout(300)
    assert not is_pad_blank(page)
    page.locator(".pad-canvas").focus()
    page.keyboard.press("Control+z")
    wait_for_number(page, "1")


def test_nothing_sticks_out_sideways(open_page):
    page = open_page(viewport={"width": 360, "height": 800})
    draw_by_mouse(page, "174")
    wait_for_number(page, "174")
    for width in (360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".pad-canvas").bounding_box()["width"] >= min(width, 400) * 0.85


def test_the_footer_names_what_answers(page, reader):
    assert reader.classifier.label in page.locator(".dc-footer").inner_text()
