"""Reads handwritten digits from a sketch, a photo or a program, and says how sure it is."""

from digitcore.errors import (
    CheckpointError,
    ConfigError,
    DatasetError,
    DeviceError,
    DigitcoreError,
    HubError,
    ImageError,
)
from digitcore.reader import DigitReader
from digitcore.reports import Report
from digitcore.results import Box, Digit, Reading, Reason, Rejected

__version__ = "0.1.0"

__all__ = [
    "Box",
    "CheckpointError",
    "ConfigError",
    "DatasetError",
    "DeviceError",
    "Digit",
    "DigitReader",
    "DigitcoreError",
    "HubError",
    "ImageError",
    "Reading",
    "Reason",
    "Rejected",
    "Report",
]
