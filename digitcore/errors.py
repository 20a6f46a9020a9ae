"""Everything that digitcore raises on purpose.

    DigitcoreError
    ├── ImageError (also a ValueError)      a picture that cannot be opened or is not what the call takes
    ├── CheckpointError                     a checkpoint that is missing, damaged or of another kind
    ├── DatasetError                        a data set that is missing, damaged or cannot be fetched
    ├── ConfigError (also a ValueError)     a setting that is out of range or does not fit the others
    ├── HubError                            a push, a deployment or a job that the Hub refused or never got
    └── DeviceError                         a device that was asked for and is not there

Each message is one or two sentences for the person in front of the screen: what is wrong, and what would be right.
"""


class DigitcoreError(Exception):
    """Base of every error that digitcore raises on purpose."""


class ImageError(DigitcoreError, ValueError):
    """The picture cannot be opened, or is not of a kind that the call takes."""


class CheckpointError(DigitcoreError):
    """The checkpoint is missing, damaged, or of another kind than was asked for."""


class DatasetError(DigitcoreError):
    """The data set is missing, damaged, or cannot be fetched."""


class ConfigError(DigitcoreError, ValueError):
    """A setting is out of range or does not fit the others."""


class HubError(DigitcoreError):
    """The Hub refused what was sent to it, or was not reached."""


class DeviceError(DigitcoreError):
    """The device that was asked for is not there."""
