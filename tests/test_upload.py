from pathlib import Path

import pytest

from digitcore.errors import DatasetError
from digitcore.ui.upload import DatasetUpload, open_upload


@pytest.mark.parametrize(
    ("payload", "path"), [(None, None), ("", None), ("/a.zip", "/a.zip"), (5, None), ({"path": "/etc/passwd"}, None)]
)
def test_preprocess_hands_over_a_path_unopened(payload, path):
    assert DatasetUpload(render=False).preprocess(payload) == path


def test_open_upload_takes_what_was_uploaded(upload_folder):
    path = upload_folder / "pictures.zip"
    path.write_bytes(b"zip")
    assert open_upload(str(path)) == Path(path).resolve()


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "\0", "gone.zip"])
def test_open_upload_refuses_any_other_file(path):
    with pytest.raises(DatasetError, match="Choose them again"):
        open_upload(path)


def test_open_upload_of_nothing_says_what_to_do():
    with pytest.raises(DatasetError, match="Choose a zip or a folder"):
        open_upload(None)


def test_template_is_static():
    upload = DatasetUpload(render=False)
    assert not any(mark in upload.html_template for mark in ("{{", "${", "`"))
