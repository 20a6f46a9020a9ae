"""LiveReader: a reader whose networks can be exchanged while it answers, by the newest that its names stand for."""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from digitcore.classifier import DigitClassifier
from digitcore.detection import PageDetector
from digitcore.errors import DigitcoreError
from digitcore.hub import DEFAULT_DETECTOR, REPO_PATTERN, load_pretrained
from digitcore.imaging import Picture
from digitcore.reader import DigitReader
from digitcore.results import Reading

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a checkpoint comes from: a name as for `load_pretrained`, and a revision on the Hub."""

    name: str | Path | None
    revision: str | None = None

    @property
    def repo_id(self) -> str | None:
        """The Hub's user/name; None for a folder or what is shipped."""
        match = None if self.name is None or Path(self.name).is_dir() else REPO_PATTERN.fullmatch(str(self.name))
        return None if match is None else match["repo"]


class LiveReader(DigitReader):
    """Answers with one `DigitReader` at a time; `reload` puts another in its place.

    A reading that is under way ends with the networks that it began with.
    """

    def __init__(self, digits: Source, pages: Source, device: str | None = None) -> None:
        """Load both.

        Args:
            digits: the checkpoint of the digit network.
            pages: the checkpoint of the page network.
            device: as torch spells it; None picks.

        Raises:
            CheckpointError: if one is missing, damaged or of the other kind.
            DeviceError: if the device is not there.
        """
        self._sources = (digits, pages)
        self._device = device
        self._lock = threading.Lock()
        self._current = self._load(allow_cached=True)
        self.problem: str | None = None

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path | None = None,
        *,
        revision: str | None = None,
        detector: str | Path | None = None,
        detector_revision: str | None = None,
        device: str | None = None,
    ) -> "LiveReader":
        """As `DigitReader.from_pretrained`."""
        return cls(Source(checkpoint, revision), Source(detector or DEFAULT_DETECTOR, detector_revision), device)

    @property
    def classifier(self) -> DigitClassifier:
        """The one that answers now; whoever needs the same one twice keeps it."""
        return self._current.classifier

    @property
    def detector(self) -> PageDetector:
        """The one that answers now."""
        return self._current.detector

    @property
    def repo_ids(self) -> tuple[str, ...]:
        """The Hub repos that it follows."""
        return tuple(source.repo_id for source in self._sources if source.repo_id is not None)

    def read_sketch(self, picture: Picture, keep_stages: bool = False) -> Reading:
        """As `DigitReader.read_sketch`."""
        return self._current.read_sketch(picture, keep_stages)

    def read_photo(self, picture: Picture, keep_stages: bool = False) -> Reading:
        """As `DigitReader.read_photo`."""
        return self._current.read_photo(picture, keep_stages)

    def warm_up(self) -> None:
        """As `DigitReader.warm_up`."""
        self._current.warm_up()

    def reload(self) -> bool:
        """Look for newer checkpoints under the same names, and answer with them from now on.

        Calls at once take turns. Nothing is exchanged before all of it is loaded, checked and warm.

        Returns:
            Whether anything changed.

        Raises:
            DigitcoreError: if the Hub is not reached, or what is there is damaged or does not fit. The old ones stay in
                use, and `problem` says why until a reload succeeds.
        """
        with self._lock:
            before = _identify(self._current)
            try:
                fresh = self._load(allow_cached=False)
                fresh.warm_up()
            except DigitcoreError as err:
                self.problem = f"{err} {self._current.classifier.label} stays in use."
                logger.warning("not reloaded: %s", self.problem)
                raise
            self.problem = None
            if _identify(fresh) == before:
                return False
            self._current = fresh
            logger.info("reloaded: %s, %s", fresh.classifier.label, fresh.detector_label)
            return True

    def _load(self, allow_cached: bool) -> DigitReader:
        digits, pages = (load_pretrained(each.name, each.revision, allow_cached=allow_cached) for each in self._sources)
        return DigitReader.from_checkpoints(digits, pages, self._device)


def _identify(reader: DigitReader) -> list[tuple[object, ...]]:
    """Weights, config and commit of both networks: the same weights may come with another temperature."""
    checkpoints = (reader.classifier.checkpoint, reader.detector.checkpoint)
    return [(checkpoint.label, checkpoint.revision, checkpoint.config) for checkpoint in checkpoints]
