"""The endpoints, through the real client and through bare HTTP against the started server."""

import json
import os
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from digitcore.imaging import load_image
from digitcore.results import Box
from digitcore.ui.guards import NO_LINKS, NOT_UPLOADED
from tests.conftest import PAGE_LINES
from tests.drawn import draw_number, encode

META = {"_type": "gradio.FileData"}
READING_KEYS = {
    "text", "lines", "confidence", "rotation", "size", "digits", "rejected", "model", "detector", "milliseconds",
}  # fmt: skip
BAD_FILES = {
    "text.png": "not a picture",
    "empty.png": "empty",
    "drawing.svg": "not a picture",
    "truncated.jpg": "damaged or cut short",
    "tiny.png": "too small",
    "huge.png": "too large",
}


def post(server: str, endpoint: str, data: list) -> str:
    """Call an endpoint as curl does; the event's kind and text."""
    answer = httpx.post(f"{server}/gradio_api/call/{endpoint}", json={"data": data}, timeout=30)
    if answer.status_code != 200:
        return f"refused with {answer.status_code}: {answer.text}"
    event_id = answer.json()["event_id"]
    return httpx.get(f"{server}/gradio_api/call/{endpoint}/{event_id}", timeout=30).text


def name_files(image: Any, pictures: Path, upload_folder: Path) -> Any:
    """Fill in where the server keeps a good photo, so that only a refusal can keep it from being read."""
    relative = os.path.relpath(pictures / "photo.jpg", upload_folder)
    text = json.dumps(image).replace("../{name}", relative).replace("{uploads}", str(upload_folder))
    return json.loads(text.replace("{photo}", str(pictures / "photo.jpg")))


def upload(server: str, path: Path) -> str:
    """The server's path of an uploaded file."""
    with path.open("rb") as file:
        return httpx.post(f"{server}/gradio_api/upload", files={"files": (path.name, file)}, timeout=30).json()[0]


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.heic", "photo.gif"])
def test_read_photo(client, pictures, name):
    reading = client.predict(handle_file(pictures / name), api_name="/read_photo")
    assert reading["lines"] == PAGE_LINES
    assert reading["text"] == "".join(PAGE_LINES)
    assert set(reading) == READING_KEYS
    assert reading["size"] == [1200, 900]
    assert json.loads(json.dumps(reading)) == reading


def test_read_photo_says_the_same_as_the_reader(client, reader, pictures):
    told = client.predict(handle_file(pictures / "photo.png"), api_name="/read_photo")
    read = reader.read_photo(pictures / "photo.png").to_dict()
    assert told | {"milliseconds": None} == read | {"milliseconds": None}


def test_read_sketch(client, tmp_path):
    path = tmp_path / "sketch.png"
    path.write_bytes(encode(draw_number("174")))
    reading = client.predict(image=handle_file(path), api_name="/read_sketch")
    assert reading["text"] == "174"
    boxes = [Box(*digit["box"]) for digit in reading["digits"]]
    assert [box.x for box in boxes] == sorted(box.x for box in boxes)


def test_read_sketch_of_a_blank_pad_is_an_empty_reading(client, tmp_path):
    path = tmp_path / "blank.png"
    Image.new("RGB", (480, 360), "white").save(path)
    reading = client.predict(image=handle_file(path), api_name="/read_sketch")
    assert (reading["text"], reading["digits"], reading["confidence"]) == ("", [], 0.0)


def test_read_photos_keeps_the_order(client, pictures, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes(encode(draw_number("72", size=(800, 600), pen=24)))
    files = [handle_file(pictures / "photo.jpg"), handle_file(other)]
    assert [each["text"] for each in client.predict(files, api_name="/read_photos")] == ["".join(PAGE_LINES), "72"]


def test_read_photos_says_which_picture_is_bad(client, pictures):
    files = [handle_file(pictures / "photo.jpg"), handle_file(pictures / "text.png")]
    with pytest.raises(AppError, match="^Picture 2: This file is not a picture"):
        client.predict(files, api_name="/read_photos")


@pytest.mark.parametrize("files", [[], "x", 3, None])
def test_read_photos_wants_a_list(client, files):
    with pytest.raises(AppError, match="a list of uploaded pictures"):
        client.predict(files, api_name="/read_photos")


def test_annotate_photo_returns_a_jpeg_with_boxes(client, pictures):
    path = client.predict(handle_file(pictures / "photo.png"), api_name="/annotate_photo")
    with Image.open(path) as picture:
        assert picture.format == "JPEG" and picture.size == (1200, 900)
    assert (load_image(path) != load_image(pictures / "photo.png")).any(axis=2).mean() > 0.01


def test_model_info(client, reader):
    info = client.predict(api_name="/model_info")
    assert set(info) == {"model", "detector", "device", "revision", "metrics"}
    assert info["model"] == reader.classifier.label
    assert info["revision"] is None


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [("read_photo", name) for name in BAD_FILES] + [("read_sketch", "text.png"), ("annotate_photo", "truncated.jpg")],
)
def test_bad_files_are_told_in_a_sentence(client, pictures, endpoint, name):
    with pytest.raises(AppError, match=BAD_FILES[name]) as caught:
        client.predict(handle_file(pictures / name), api_name=f"/{endpoint}")
    assert "/" not in str(caught.value), "no path of the server"


def test_the_server_goes_on_after_a_bad_file(client, pictures):
    with pytest.raises(AppError):
        client.predict(handle_file(pictures / "huge.png"), api_name="/read_photo")
    assert client.predict(handle_file(pictures / "photo.jpg"), api_name="/read_photo")["lines"] == PAGE_LINES


SERVER_FILES = (
    {"path": "/etc/passwd"},
    {"path": "/etc/passwd", "meta": META},
    {"path": "{photo}"},
    {"path": "{photo}", "meta": META},
    {"path": "{photo}", "meta": META, "is_stream": True},
    {"path": "{uploads}/../{name}", "meta": META},
    {"path": "{uploads}/../{name}"},
    {"path": "file://{photo}", "meta": META},
    {"path": "http://127.0.0.1:1/photo.jpg", "meta": META},
    {"url": "file://{photo}", "meta": META},
    {"path": "{photo}", "url": "data:image/png;base64,AAAA", "meta": META},
    "{photo}",
    "/etc/passwd",
    None,
    7,
    [],
)


@pytest.mark.parametrize(
    ("endpoint", "image"),
    [("read_photo", image) for image in SERVER_FILES]
    + [(endpoint, image) for endpoint in ("read_sketch", "annotate_photo") for image in SERVER_FILES[2:4]],
    ids=str,
)
def test_a_body_that_names_a_server_file_is_refused(server, pictures, upload_folder, endpoint, image):
    answer = post(server, endpoint, [name_files(image, pictures, upload_folder)])
    assert "event: complete" not in answer
    assert "root:" not in answer


def test_a_path_inside_the_upload_folder_is_read(server, pictures):
    path = upload(server, pictures / "photo.jpg")
    assert f'"text": "{"".join(PAGE_LINES)}"' in post(server, "read_photo", [{"path": path, "meta": META}])


@pytest.mark.parametrize("endpoint", ["read_sketch", "read_photo", "annotate_photo"])
def test_a_link_is_not_fetched(server, endpoint):
    fetched: list[str] = []

    class Host(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            fetched.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), Host) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        image = {"path": f"http://127.0.0.1:{host.server_port}/photo.jpg", "meta": META}
        answer = post(server, endpoint, [image])
        host.shutdown()
    assert NO_LINKS in answer
    assert fetched == []


def test_a_link_to_an_upload_is_the_upload(server, pictures):
    path = upload(server, pictures / "photo.jpg")
    image = {"path": f"{server}/gradio_api/file={path}", "meta": META}
    assert f'"text": "{"".join(PAGE_LINES)}"' in post(server, "read_photo", [image])


@pytest.mark.parametrize("path", ["/etc/passwd", "{photo}", "..%2F..%2Fetc%2Fpasswd"])
def test_a_link_to_another_file_of_the_server_is_refused(server, pictures, path):
    image = {"path": f"{server}/gradio_api/file={path.format(photo=pictures / 'photo.jpg')}", "meta": META}
    assert NOT_UPLOADED in post(server, "read_photo", [image])


def test_an_upload_above_the_limit_is_refused(server, tmp_path):
    large = tmp_path / "large.jpg"
    large.write_bytes(b"\xff\xd8" + b"\0" * (17 * 1024 * 1024))
    with large.open("rb") as file:
        answer = httpx.post(f"{server}/gradio_api/upload", files={"files": ("large.jpg", file)}, timeout=60)
    assert answer.status_code == 413


def test_only_the_contracts_endpoints_are_named(client):
    names = set(client.view_api(return_format="dict")["named_endpoints"])
    assert names == {"/read_sketch", "/read_photo", "/read_photos", "/annotate_photo", "/model_info", "/evaluate"}


def test_every_endpoint_is_documented_with_types(server):
    described = httpx.get(f"{server}/gradio_api/info", timeout=30).json()["named_endpoints"]
    for name, endpoint in described.items():
        assert endpoint["description"], name
        assert all(parameter["type"] for parameter in endpoint["parameters"]), name
        assert all(returned["type"] for returned in endpoint["returns"]), name


def test_mcp_tools_bear_the_endpoints_names(server):
    tools = {tool["name"] for tool in httpx.get(f"{server}/gradio_api/mcp/schema", timeout=30).json()}
    assert {"read_sketch", "read_photo", "read_photos", "annotate_photo", "model_info"} <= tools


def test_many_callers_at_once_get_their_own_answers(client, tmp_path):
    numbers = ["17", "70", "41", "20", "34", "12"]
    answers: dict[str, str] = {}

    def call(number: str) -> None:
        path = tmp_path / f"{number}.png"
        path.write_bytes(encode(draw_number(number)))
        answers[number] = client.predict(handle_file(path), api_name="/read_sketch")["text"]

    threads = [threading.Thread(target=call, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert answers == {number: number for number in numbers}


def join_queue(server: str, fn_index: int, data: list) -> str:
    """Call a handler of the page as its script does; the text of all its events."""
    body = {"data": data, "fn_index": fn_index, "session_hash": secrets.token_hex(6)}
    answer = httpx.post(f"{server}/gradio_api/queue/join", json=body, timeout=30)
    if answer.status_code != 200:
        return f"refused with {answer.status_code}: {answer.text}"
    events = ""
    with httpx.stream("GET", f"{server}/gradio_api/queue/data", params=body, timeout=30) as stream:
        for line in stream.iter_lines():
            events += line
            if "process_completed" in line:
                return events
    return events


def find_handler(server: str, elem_id: str) -> int:
    """The index of the page's own handler for a component's input event."""
    config = httpx.get(f"{server}/config", timeout=30).json()
    ids = {each["id"] for each in config["components"] if each["props"].get("elem_id") == elem_id}
    wanted = [[i, "input"] for i in ids]
    return next(each["id"] for each in config["dependencies"] if any(target in wanted for target in each["targets"]))


@pytest.mark.parametrize("image", SERVER_FILES[:7], ids=str)
def test_the_photo_tabs_handler_refuses_server_files_too(server, pictures, upload_folder, image):
    answer = join_queue(server, find_handler(server, "photo-input"), [name_files(image, pictures, upload_folder)])
    assert '"success":true' not in answer
    assert PAGE_LINES[0] not in answer


def test_the_photo_tabs_handler_reads_an_upload(server, pictures):
    image = {"path": upload(server, pictures / "photo.jpg"), "meta": META}
    answer = join_queue(server, find_handler(server, "photo-input"), [image])
    assert '"success":true' in answer and PAGE_LINES[0] in answer


@pytest.mark.parametrize(
    "drawing", ["/etc/passwd", {"path": "/etc/passwd", "meta": META}, "data:image/png;base64,AAAA", 5]
)
def test_the_pads_handler_refuses_what_is_no_drawing(server, drawing):
    body = {"data": [drawing], "fn_index": find_handler(server, "sketch-pad"), "session_hash": secrets.token_hex(6)}
    answer = httpx.post(f"{server}/gradio_api/run/predict", json=body, timeout=30)
    assert answer.status_code >= 400
    assert "root:" not in answer.text
