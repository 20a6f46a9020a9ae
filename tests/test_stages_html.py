import base64
import re

import cv2
import numpy as np
import pytest

from digitcore.results import Stages
from digitcore.ui.stages_html import MAX_SIDE_PX, render_stages


def make_stages(heatmap: np.ndarray | None, ink: np.ndarray | None) -> Stages:
    grey = np.zeros((900, 1200), np.uint8)
    return Stages(np.zeros((900, 1200, 3), np.uint8), grey, heatmap, ink, np.zeros((0, 28, 28), np.uint8))


def decode(html: str) -> list[np.ndarray]:
    sources = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    return [cv2.imdecode(np.frombuffer(base64.b64decode(source), np.uint8), cv2.IMREAD_COLOR) for source in sources]


@pytest.mark.parametrize(
    ("has_heatmap", "has_ink", "n_pictures"), [(True, True, 3), (False, True, 2), (False, False, 1)]
)
def test_render_stages_shows_what_there_is(has_heatmap, has_ink, n_pictures):
    some = np.zeros((300, 400), np.uint8)
    html = render_stages(make_stages(some if has_heatmap else None, some if has_ink else None))
    assert len(decode(html)) == html.count("<figcaption>") == html.count("alt=") == n_pictures


def test_render_stages_shrinks_and_keeps_the_shape():
    for picture in decode(render_stages(make_stages(None, None))):
        assert picture.shape == (MAX_SIDE_PX * 3 // 4, MAX_SIDE_PX, 3)


def test_render_stages_heatmap_is_bright_where_digits_are():
    heatmap = np.zeros((200, 200), np.uint8)
    heatmap[120:160, 40:80] = 255
    picture = decode(render_stages(make_stages(heatmap, None)))[1].astype(int).sum(axis=2)
    assert picture[125:155, 45:75].min() > 3 * picture[:100].max()
