"""From a grey picture to digits with PageNet: a ladder of sizes, peaks of the heatmaps, one list out of all levels.

The network knows digits of some 10 to 200 px; looked at in sizes an octave apart, digits of every size come into that
range at two levels or more, and what the levels agree on counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from digitcore.checkpoint import Checkpoint
from digitcore.detector import SIZE_MULTIPLE, STRIDE, PageMaps, PageNet, prepare_channels
from digitcore.device import autocast_dtype, pick_device, place
from digitcore.errors import CheckpointError, ImageError
from digitcore.merging import DetectionConfig, Finds, merge_finds
from digitcore.model import fold_norms
from digitcore.regions import cut_regions
from digitcore.results import N_CLASSES

# Local contrast is an arcsinh of ten times the ratio to the light: black ink on white paper comes to 3.
FULL_CONTRAST = 3.0
# exp of the largest log size that is believed: sizes far beyond any picture come from weights that learnt nothing.
MAX_LOG_SIZE = 7.0
# A page of hundreds of digits shall not need the memory of all at once.
REGION_BATCH_SIZE = 128


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What the page network found in a picture, likeliest first, and how it looked to it.

    Attributes:
        boxes: (n, 4) float32 x, y, w, h in pixels of the picture.
        scores: (n,) float32, 0 to 1: how likely a digit is there.
        probs: (n, 10) float32: which digit, if one is there.
        heatmap: (h, w) uint8: where digits are likely, all levels together, at the size that was worked on.
        contrast: (h, w) uint8: ink light on dark, the light flattened, at that size.
        ink_kinds: (h, w) uint8: an `InkKind` for each pixel, at that size.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    probs: npt.NDArray[np.float32]
    heatmap: npt.NDArray[np.uint8]
    contrast: npt.NDArray[np.uint8]
    ink_kinds: npt.NDArray[np.uint8]

    def pick_first(self, n: int) -> "Detections":
        """The likeliest n of what was found, on the same page."""
        return replace(self, boxes=self.boxes[:n], scores=self.scores[:n], probs=self.probs[:n])


@dataclass(frozen=True, slots=True, eq=False)
class PlaceOpinions:
    """What the page network and its second stage say of n finds, in this order.

    Attributes:
        scores: (n, 2) float32, 0 to 1: how likely a digit is there.
        probs: (n, 2, 10) float32: which digit, if one is there.
    """

    scores: npt.NDArray[np.float32]
    probs: npt.NDArray[np.float32]


class PageDetector:
    """A page network on its device, ready to look; holds no state between calls."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str | None = None,
        config: DetectionConfig = DetectionConfig(),  # noqa: B008
    ) -> None:
        """Place the network, its batch norms folded into the convolutions.

        Args:
            checkpoint: as `digitcore.checkpoint.load_checkpoint` gives it.
            device: as torch spells it; None picks.
            config: how digits are picked.

        Raises:
            CheckpointError: if the checkpoint holds another kind of network.
        """
        if not isinstance(checkpoint.model, PageNet):
            raise CheckpointError(
                f"{checkpoint.label} is a {checkpoint.config.architecture}, which reads single digits; finding digits "
                "on a page takes a checkpoint of a PageNet, such as checkpoints/detector."
            )
        self.checkpoint = checkpoint
        self.config = config
        self.device = pick_device(device, is_lent=True)
        self._net = place(fold_norms(checkpoint.model), self.device, torch.channels_last)

    @property
    def label(self) -> str:
        """name@hash of the checkpoint."""
        return self.checkpoint.label

    def detect(self, grey: npt.NDArray[np.uint8], config: DetectionConfig | None = None) -> Detections:
        """Find the digits of a picture, with another config if one is given; see `detect`."""
        return detect(self._net, grey, self.device, config or self.config, self.checkpoint.config.temperature)

    def look_closer(self, grey: npt.NDArray[np.uint8], found: Detections, rotation: float = 0) -> PlaceOpinions:
        """Ask the second stage about what was found in a picture; without one, the first stage speaks twice.

        Args:
            grey: (H, W) uint8, the picture.
            found: n finds in it.
            rotation: degrees clockwise by which each find is turned in its place before.

        Raises:
            ImageError: if `grey` is not a 2-D uint8 array with at least one pixel.
        """
        if self._net.regions is None:
            return repeat_opinion(found)
        regions = cut_regions(grey, found.boxes, rotation)
        scores, probs = classify_regions(self._net.regions, regions, self.device)
        return PlaceOpinions(np.stack([found.scores, scores], axis=1), np.stack([found.probs, probs], axis=1))


def detect(
    net: nn.Module,
    grey: npt.NDArray[np.uint8],
    device: torch.device,
    config: DetectionConfig = DetectionConfig(),  # noqa: B008
    temperature: float = 1.0,
) -> Detections:
    """Find the digits of a picture.

    Args:
        net: a PageNet in evaluation mode, on `device`.
        grey: (H, W) uint8.
        device: where to compute, in bfloat16 where it does that natively.
        config: how digits are picked.
        temperature: by which class logits are divided.

    Raises:
        ImageError: if `grey` is not a 2-D uint8 array with at least one pixel.
    """
    if grey.ndim != 2 or grey.dtype != np.uint8 or grey.size == 0:
        raise ImageError(f"Expected a grey picture, a uint8 array of shape (H, W); got {grey.dtype} {grey.shape}.")
    sides = choose_levels(max(grey.shape), config)
    levels = [_Level(net, picture, device) for picture in scale_to_sides(grey, sides)]
    finds = []
    for index, level in enumerate(levels):
        found = find_peaks(level.maps, config.min_score, config.max_peaks, temperature)[0]
        longest = found.boxes[:, 2:].max(axis=1, initial=0)
        is_first, is_last = index == 0, index == len(levels) - 1
        least = config.min_side_px if is_last else config.min_coarse_px
        is_mine = (longest >= least) & ((longest <= config.max_side_px) | is_first)
        # Scaled along both axes alike but for the rounding of the level's size.
        scale_wh = np.array(grey.shape[::-1], np.float32) / np.array(level.size_wh, np.float32)
        found.boxes[:] *= np.tile(scale_wh, 2)
        finds.append(found.pick(is_mine))
    # Of equally likely boxes that of the finest level is the most exact.
    scales = [max(level.size_wh) / max(grey.shape) for level in levels]
    merged = merge_finds(finds[::-1], config, scales[::-1])
    work = levels[-1]
    return Detections(
        clip_boxes(merged.boxes, grey.shape),
        merged.scores,
        merged.probs,
        heatmap=np.maximum.reduce([level.draw_heatmap(work.size_wh) for level in levels]),
        contrast=work.draw_contrast(),
        ink_kinds=work.draw_ink_kinds(),
    )


def choose_levels(longest_px: int, config: DetectionConfig) -> list[int]:
    """Longest sides at which to look at a picture, smallest first; the first and the last may be larger than it is."""
    first, *rest = config.level_sides_px
    sides = [first, *(side for side in rest if side <= longest_px)]
    if sides[-1] * config.native_level_ratio < longest_px < config.level_sides_px[-1]:
        sides.append(longest_px)
    enlarged_px = round(config.enlargement * longest_px)
    if sides[-1] < enlarged_px <= config.level_sides_px[-1]:
        sides.append(enlarged_px)
    return sides


def scale_to_sides(grey: npt.NDArray[np.uint8], sides_px: Sequence[int]) -> list[npt.NDArray[np.uint8]]:
    """Copies of a picture, (H, W) uint8, with these longest sides, which rise.

    Each is shrunk from the next larger one: the whole picture, which may be large, is gone through once.
    """
    height, width = grey.shape
    copies = []
    source = grey
    for side in reversed(sides_px):
        scale = side / max(height, width)
        size_wh = (max(round(width * scale), 1), max(round(height * scale), 1))
        if scale > 1:
            copies.append(cv2.resize(grey, size_wh, interpolation=cv2.INTER_CUBIC))
        else:
            source = cv2.resize(source, size_wh, interpolation=cv2.INTER_AREA)
            copies.append(source)
    return copies[::-1]


class _Level:
    """The picture at one size, and what the network says of it."""

    def __init__(self, net: nn.Module, picture: npt.NDArray[np.uint8], device: torch.device) -> None:
        self.size_wh = picture.shape[::-1]
        w, h = self.size_wh
        # The last row and column repeated, as in training's small pictures.
        padded = cv2.copyMakeBorder(picture, 0, -h % SIZE_MULTIPLE, 0, -w % SIZE_MULTIPLE, cv2.BORDER_REPLICATE)
        self._channels = prepare_channels(padded)
        self.maps = predict_maps(net, torch.from_numpy(self._channels)[None], device)

    def draw_heatmap(self, size_wh: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Chances of a centre as grey levels, at a size of choice."""
        chances = (self.maps.center[0, 0].float().sigmoid() * 255).to(torch.uint8).cpu().numpy()  # (h, w)
        w, h = (-(-side // STRIDE) for side in self.size_wh)
        return cv2.resize(chances[:h, :w], size_wh, interpolation=cv2.INTER_LINEAR)

    def draw_contrast(self) -> npt.NDArray[np.uint8]:
        """The contrast channel's strength, dark ink and light ink alike."""
        w, h = self.size_wh
        return cv2.convertScaleAbs(self._channels[0, :h, :w], alpha=255 / FULL_CONTRAST)

    def draw_ink_kinds(self) -> npt.NDArray[np.uint8]:
        """The likeliest kind at each pixel."""
        kinds = self.maps.ink[0].argmax(dim=0).to(torch.uint8).cpu().numpy()  # (H/2, W/2)
        w, h = self.size_wh
        return cv2.resize(kinds, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)[:h, :w]


@torch.inference_mode()
def predict_maps(net: nn.Module, channels: torch.Tensor, device: torch.device) -> PageMaps:
    """(B, 2, H, W) float32 channels → the network's maps, on the device, in the precision that it computes in."""
    dtype = autocast_dtype(device)
    channels = channels.to(device).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        return net(channels)


def repeat_opinion(found: Detections) -> PlaceOpinions:
    """What stands in for a second stage where there is none."""
    return PlaceOpinions(np.repeat(found.scores[:, None], 2, axis=1), np.repeat(found.probs[:, None], 2, axis=1))


@torch.inference_mode()
def classify_regions(
    net: nn.Module, regions: torch.Tensor, device: torch.device
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Ask a RegionNet.

    Args:
        net: in evaluation mode, on `device`.
        regions: (n, 2, 64, 64) float32 as `cut_regions` makes them.
        device: where to compute, in bfloat16 where it does that natively.

    Returns:
        (n,) float32, how likely each is a digit, and (n, 10) float32, which one.
    """
    dtype = autocast_dtype(device)
    logits = [torch.zeros(0, N_CLASSES + 1)]
    for batch in regions.split(REGION_BATCH_SIZE) if len(regions) else ():
        batch = batch.to(device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            logits.append(net(batch).float().cpu())
    every = torch.cat(logits)
    return every[:, N_CLASSES].sigmoid().numpy(), every[:, :N_CLASSES].softmax(dim=1).numpy()


@torch.inference_mode()
def find_peaks(maps: PageMaps, min_score: float, max_peaks: int, temperature: float = 1.0) -> list[Finds]:
    """Read boxes from the maps: every place that is likelier than its eight neighbours.

    Args:
        maps: of B pictures.
        min_score: peaks below are left out.
        max_peaks: at most so many a picture, the likeliest.
        temperature: by which class logits are divided.

    Returns:
        For each picture its finds, likeliest first; boxes in pixels of the network's input.
    """
    scores = maps.center.float().sigmoid()  # (B, 1, h, w)
    is_peak = (scores == F.max_pool2d(scores, 3, stride=1, padding=1)) & (scores >= min_score)
    return [
        _read_peaks(maps, index, scores[index, 0], is_peak[index, 0], max_peaks, temperature)
        for index in range(len(scores))
    ]


def _read_peaks(
    maps: PageMaps, index: int, scores: torch.Tensor, is_peak: torch.Tensor, max_peaks: int, temperature: float
) -> Finds:
    """The finds of one picture of the batch."""
    rows, columns = is_peak.nonzero(as_tuple=True)
    order = scores[rows, columns].argsort(descending=True, stable=True)[:max_peaks]
    rows, columns = rows[order], columns[order]
    wh = maps.size[index, :, rows, columns].float().clamp(max=MAX_LOG_SIZE).exp()  # (2, n)
    middle = maps.offset[index, :, rows, columns].float() + torch.stack([columns, rows])
    boxes = STRIDE * torch.cat([middle - wh / 2, wh]).T  # (n, 4)
    probs = (maps.classes[index, :, rows, columns].float() / temperature).softmax(dim=0).T  # (n, 10)
    return Finds(*(tensor.cpu().numpy() for tensor in (boxes, scores[rows, columns], probs)))


def clip_boxes(boxes: npt.NDArray[np.float32], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Boxes cut off at the edges of a picture of shape (H, W)."""
    size = np.array(shape[1::-1], np.float32)
    low = np.clip(boxes[:, :2], 0, size)
    high = np.clip(boxes[:, :2] + boxes[:, 2:], 0, size)
    return np.hstack([low, high - low])
