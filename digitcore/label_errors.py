"""Labels of MNIST's test set that label-error research disputes.

Northcutt, Athalye and Mueller had a network propose 100 suspicious labels of the 10,000, and five people each say which
digit they see: the given one, the proposed one, or neither. Listed here are the images of which fewer than three of the
five saw the given one, 15 in all, as many as the paper counts. The label stays the truth that is measured against; a
mistake on one of these is marked, no more.

Source: Northcutt, Athalye & Mueller, Pervasive Label Errors in Test Sets Destabilize Machine Learning Benchmarks,
NeurIPS 2021 Track on Datasets and Benchmarks, arXiv:2103.14749. The votes: mturk/mnist_mturk.json of
https://github.com/cleanlab/label-errors at commit 5457895, whose "id" is the index in the test set.
"""

from dataclasses import dataclass

from digitcore.data import MNIST_COUNTS, MNIST_DIGESTS, LabeledImages

CITATION = (
    "Northcutt, Athalye & Mueller, Pervasive Label Errors in Test Sets Destabilize Machine Learning Benchmarks, "
    "NeurIPS 2021 Datasets and Benchmarks"
)
SOURCE_URL = "https://arxiv.org/abs/2103.14749"


@dataclass(frozen=True, slots=True)
class DisputedLabel:
    """One label and what five people saw.

    Attributes:
        index: of the image in MNIST's test set.
        given: the label.
        proposed: by the authors' network.
        votes_given: of five.
        votes_proposed: of five.
        votes_neither: of five.
    """

    index: int
    given: int
    proposed: int
    votes_given: int
    votes_proposed: int
    votes_neither: int


DISPUTED_LABELS = tuple(
    DisputedLabel(*row)
    for row in (
        (947, 8, 9, 0, 5, 0),
        (1621, 0, 6, 2, 3, 0),
        (1901, 9, 4, 2, 3, 0),
        (2130, 4, 9, 2, 2, 1),
        (2462, 2, 0, 0, 4, 1),
        (2597, 5, 3, 0, 4, 1),
        (2654, 6, 1, 0, 2, 3),
        (3520, 6, 4, 2, 0, 3),
        (3558, 5, 0, 1, 4, 0),
        (5937, 5, 3, 1, 3, 1),
        (6651, 0, 6, 0, 5, 0),
        (6783, 1, 6, 2, 3, 0),
        (8527, 4, 9, 2, 2, 1),
        (9679, 6, 3, 2, 0, 3),
        (9729, 5, 6, 2, 3, 0),
    )
)


def find_disputed(dataset: LabeledImages) -> frozenset[int]:
    """Indices of the disputed labels: those above for MNIST's test set, told by its content; none for any other."""
    if len(dataset) != MNIST_COUNTS["test"] or dataset.digest() != MNIST_DIGESTS["test"]:
        return frozenset()
    return frozenset(label.index for label in DISPUTED_LABELS)
