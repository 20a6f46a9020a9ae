"""Images of digits and of what is none, with their labels: what DigitNet learns "is it a digit?" from, beside MNIST."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcore.data import check_labeled

NOT_A_DIGIT = -1


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """Images of digits and of what is none.

    Attributes:
        images: (N, 28, 28) uint8, white on black.
        labels: (N,) int64, 0 to 9, or `NOT_A_DIGIT`.
        name: as metrics.json has it.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    name: str

    def __post_init__(self) -> None:
        """Check shapes, types and range."""
        check_labeled(self.images, self.labels, least_label=NOT_A_DIGIT)

    def __len__(self) -> int:
        """How many images."""
        return len(self.labels)

    @property
    def is_digit(self) -> npt.NDArray[np.bool_]:
        """(N,) whether each is one."""
        return self.labels != NOT_A_DIGIT

    def digest(self) -> str:
        """SHA-256 of the pixels and labels, in hex."""
        labels = self.labels.astype(np.int8)
        return hashlib.sha256(np.ascontiguousarray(self.images).tobytes() + labels.tobytes()).hexdigest()
