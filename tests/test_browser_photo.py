"""The Photo tab in headless Chromium, as a visitor uses it."""

import base64

import pytest

from tests.conftest import PAGE_LINES
from tests.drawn import draw_page, encode
from tests.test_api import BAD_FILES

pytestmark = pytest.mark.browser

FILE_INPUT = "#photo-input input[type=file]"
NUMBER = "#photo-answer .dc-number"
DROP_OR_CHOOSE = """([encoded, name, type, how]) => {
  const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, { type }));
  if (how === "choose") {
    const input = document.querySelector("#photo-input input[type=file]");
    input.files = dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  } else {
    document.querySelector("#photo-input button")
      .dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
  }
}"""


@pytest.fixture
def photo_page(page):
    return open_tab(page)


def open_tab(page):
    page.get_by_role("tab", name="Photo").click()
    page.wait_for_selector(FILE_INPUT, state="attached")
    return page


def wait_for_lines(page, lines: list[str]) -> None:
    page.wait_for_function("([s, t]) => document.querySelector(s)?.innerText === t", arg=[NUMBER, "\n".join(lines)])


def wait_for_problem(page, words: str) -> None:
    page.wait_for_function(
        "w => document.querySelector('#photo-answer [role=alert]')?.innerText.includes(w)", arg=words
    )


def test_upload_shows_text_picture_crops_and_table(photo_page, pictures):
    photo_page.set_input_files(FILE_INPUT, pictures / "photo.jpg")
    wait_for_lines(photo_page, PAGE_LINES)
    photo_page.wait_for_selector("#photo-annotated img")
    assert photo_page.locator("#photo-details .dc-card").count() == 8
    assert photo_page.locator("#photo-details tbody tr").count() == 8
    photo_page.wait_for_function("document.querySelector('#photo-annotated img').naturalWidth === 1200")


@pytest.mark.parametrize("how", ["choose", "drop"])
def test_a_heic_of_unknown_type_is_read_and_shown(photo_page, pictures, how):
    # As on a desktop that has never heard of HEIC: the browser gives the file no type.
    encoded = base64.b64encode((pictures / "photo.heic").read_bytes()).decode()
    photo_page.evaluate(DROP_OR_CHOOSE, [encoded, "IMG_0001.HEIC", "", how])
    wait_for_lines(photo_page, PAGE_LINES)
    photo_page.wait_for_function("document.querySelector('#photo-input img')?.naturalWidth === 1200")


def test_bad_files_give_a_sentence_each_and_room_for_the_next(photo_page, pictures):
    for name, words in BAD_FILES.items():
        photo_page.set_input_files(FILE_INPUT, pictures / name)
        wait_for_problem(photo_page, words)
        photo_page.wait_for_selector(FILE_INPUT, state="attached")
    photo_page.set_input_files(FILE_INPUT, pictures / "photo.png")
    wait_for_lines(photo_page, PAGE_LINES)


def test_a_photo_chosen_while_another_is_read_is_read_too(photo_page, pictures, tmp_path):
    second = tmp_path / "second.png"
    second.write_bytes(encode(draw_page(["42"])))
    photo_page.set_input_files(FILE_INPUT, pictures / "photo.png")
    photo_page.wait_for_selector("#photo-input img")
    photo_page.get_by_role("button", name="Remove Image").click()
    photo_page.set_input_files(FILE_INPUT, second)
    wait_for_lines(photo_page, ["42"])
    photo_page.wait_for_timeout(500)
    assert photo_page.inner_text(NUMBER) == "42"


def test_the_text_is_copied_with_its_line_breaks(photo_page, pictures):
    photo_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    photo_page.set_input_files(FILE_INPUT, pictures / "photo.png")
    wait_for_lines(photo_page, PAGE_LINES)
    photo_page.get_by_role("button", name="Copy").click()
    photo_page.get_by_role("button", name="Copied").wait_for()
    assert photo_page.evaluate("navigator.clipboard.readText()") == "\n".join(PAGE_LINES)


def test_a_picture_is_pasted(photo_page, pictures):
    photo_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    photo_page.evaluate(
        """async (encoded) => {
          const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
          const blob = new Blob([bytes], { type: "image/png" });
          await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }""",
        base64.b64encode((pictures / "photo.png").read_bytes()).decode(),
    )
    photo_page.get_by_role("button", name="Paste from clipboard").click()
    wait_for_lines(photo_page, PAGE_LINES)


def test_a_picture_is_taken_by_camera(photo_page):
    photo_page.get_by_role("button", name="Capture from camera").click()
    photo_page.get_by_text("Click to Access Webcam").click()
    photo_page.wait_for_function("document.querySelector('#photo-input video')?.videoWidth > 0")
    photo_page.get_by_role("button", name="capture photo").click()
    # Whatever the camera's test picture shows, it is read: the hint gives way to an answer.
    photo_page.wait_for_selector("#photo-annotated img")


def test_removing_the_photo_removes_the_answer(photo_page, pictures):
    photo_page.set_input_files(FILE_INPUT, pictures / "photo.png")
    wait_for_lines(photo_page, PAGE_LINES)
    photo_page.get_by_role("button", name="Remove Image").click()
    photo_page.wait_for_function("document.querySelector('#photo-answer').innerText.startsWith('Add a photo')")
    assert photo_page.locator("#photo-annotated img").count() == 0


def test_phone_width_holds_the_answer(open_page, pictures):
    page = open_tab(open_page("?__theme=dark", viewport={"width": 360, "height": 740}))
    page.set_input_files(FILE_INPUT, pictures / "photo.png")
    wait_for_lines(page, PAGE_LINES)
    page.wait_for_selector("#photo-annotated img")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("line", ["17302047", "1730204717"])
def test_on_a_phone_a_long_number_stays_on_its_line(open_page, tmp_path, line):
    (tmp_path / "line.png").write_bytes(encode(draw_page([line], size=(1600, 240))))
    page = open_tab(open_page(viewport={"width": 360, "height": 740}))
    page.set_input_files(FILE_INPUT, tmp_path / "line.png")
    wait_for_lines(page, [line])
    line_height, height = page.evaluate(
        "s => [parseFloat(getComputedStyle(document.querySelector(s)).lineHeight),"
        " document.querySelector(s).getBoundingClientRect().height]",
        NUMBER,
    )
    assert height < 1.5 * line_height


def test_an_example_is_read_at_a_click(photo_page):
    examples = photo_page.locator("#photo-examples button, .gallery-item")
    if examples.count() == 0:
        pytest.skip("needs example pictures in examples/")
    examples.first.click()
    photo_page.wait_for_selector(NUMBER)
