"""The endpoints as MCP tools, through the real MCP client."""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor

import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from tests.drawn import draw_number, encode
from tests.test_api import upload


def call_tool(server: str, name: str, arguments: dict) -> tuple[bool, str]:
    """Whether the call failed, and the text of its answer."""

    async def call() -> tuple[bool, str]:
        async with (
            streamablehttp_client(f"{server}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            answer = await session.call_tool(name, arguments)
            return bool(answer.isError), "".join(getattr(part, "text", "") for part in answer.content)

    # A thread of its own: the browser tests keep an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, call()).result(timeout=60)


@pytest.fixture(scope="module")
def sketch(tmp_path_factory):
    path = tmp_path_factory.mktemp("mcp") / "sketch.png"
    path.write_bytes(encode(draw_number("174")))
    return path


def test_a_tool_reads_a_picture_in_a_data_url(server, sketch):
    url = "data:image/png;base64," + base64.b64encode(sketch.read_bytes()).decode()
    failed, text = call_tool(server, "read_sketch", {"image": url})
    assert not failed and "'text': '174'" in text, text


def test_a_tool_reads_a_picture_that_was_uploaded(server, sketch):
    failed, text = call_tool(server, "read_photo", {"image": f"{server}/gradio_api/file={upload(server, sketch)}"})
    assert not failed and "'text': '174'" in text, text


@pytest.mark.parametrize("image", ["/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/x.png"])
def test_a_tool_takes_no_server_path_and_no_link(server, image):
    failed, text = call_tool(server, "read_photo", {"image": image})
    assert failed and "root:" not in text


def test_model_info_is_a_tool(server, reader):
    failed, text = call_tool(server, "model_info", {})
    assert not failed and reader.classifier.label in text
