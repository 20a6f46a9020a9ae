"""The training commands' bar: on a terminal only, one a round."""

import sys

from train.progress import StepBar


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    bar = StepBar()
    bar.advance(5, 9, "epoch 1/2")
    bar.close()
    told = capsys.readouterr().err
    assert "epoch 1/2" in told and "4/9" in told


def test_no_bar_where_nobody_looks(capsys):
    bar = StepBar()
    bar.close()
    for n_done in (1, 2):
        bar.advance(n_done, 2)
    bar.close()
    bar.close()
    assert capsys.readouterr().err == ""
