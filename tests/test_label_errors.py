import numpy as np
import pytest

from digitcore.data import LabeledImages, load_mnist
from digitcore.label_errors import DISPUTED_LABELS, find_disputed


def test_disputed_labels_are_the_fifteen_of_the_paper():
    assert len(DISPUTED_LABELS) == 15 == len({label.index for label in DISPUTED_LABELS})
    for label in DISPUTED_LABELS:
        assert label.votes_given + label.votes_proposed + label.votes_neither == 5
        assert label.votes_given < 3 and label.given != label.proposed
        assert 0 <= label.index < 10_000 and {label.given, label.proposed} <= set(range(10))


@pytest.mark.parametrize("n", [0, 10, 10_000])
def test_find_disputed_finds_none_in_what_only_calls_itself_mnist(n):
    dataset = LabeledImages(np.zeros((n, 28, 28), np.uint8), np.zeros(n, np.int64), "mnist")
    assert find_disputed(dataset) == frozenset()


@pytest.mark.mnist
def test_disputed_labels_are_those_that_mnist_gives():
    test = load_mnist("test")
    assert find_disputed(test) == {label.index for label in DISPUTED_LABELS}
    assert [int(test.labels[label.index]) for label in DISPUTED_LABELS] == [label.given for label in DISPUTED_LABELS]
    assert find_disputed(test.part(0, 5000, "mnist")) == frozenset()
