"""From a grey picture to digits with PageNet: a ladder of sizes, peaks of the heatmaps, one list out of all levels.

The network knows digits of some 10 to 200 px; looked at in sizes an octave apart, digits of every size come into that
range at two levels or more, and what the levels agree on counts once.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from digitcore.checkpoint import Checkpoint
from digitcore.detector import SIZE_MULTIPLE, STRIDE, PageMaps, PageNet, prepare_channels
from digitcore.device import autocast_dtype, pick_device
from digitcore.errors import CheckpointError, ConfigError, ImageError
from digitcore.model import ConvNorm
from digitcore.results import N_CLASSES

# Local contrast is an arcsinh of ten times the ratio to the light: black ink on white paper comes to 3.
FULL_CONTRAST = 3.0
# exp of the largest log size that is believed: sizes far beyond any picture come from weights that learnt nothing.
MAX_LOG_SIZE = 7.0


@dataclass(frozen=True, slots=True)
class DetectionConfig:
    """How digits are picked from the network's maps.

    Attributes:
        level_sides_px: longest sides that a picture is looked at, smallest first; larger ones than its own are left
            out, but for the first.
        native_level_ratio: a picture this much longer than its largest level is also looked at as it is.
        min_side_px: a level answers for digits whose longer side is from this …
        max_side_px: … to this; the first level for larger ones too.
        min_score: a digit is at least this likely.
        max_peaks: places that a level may propose, the likeliest first.
        max_overlap: two finds with a larger intersection over union are one digit; …
        slim_aspect: … two that are slimmer than this are taken to be this wide for it: ones that are found a stroke's
            width apart are one.
        max_contained: a find with more of its area within one that is much larger and likelier is a part of it …
        max_part_ratio: … if its longer side is at most this share of the other's.
    """

    level_sides_px: tuple[int, ...] = (128, 256, 512, 1024)
    native_level_ratio: float = 1.25
    min_side_px: float = 11.0
    max_side_px: float = 175.0
    min_score: float = 0.3
    max_peaks: int = 800
    max_overlap: float = 0.45
    slim_aspect: float = 0.4
    max_contained: float = 0.8
    max_part_ratio: float = 0.6

    def __post_init__(self) -> None:
        """Check the bounds."""
        sides = self.level_sides_px
        if not sides or sides[0] < SIZE_MULTIPLE or list(sides) != sorted(set(sides)):
            raise ConfigError(f"level_sides_px must rise, from {SIZE_MULTIPLE} on; got {sides}.")
        if not 0 < self.min_side_px < self.max_side_px:
            raise ConfigError(f"need 0 < min_side_px < max_side_px, got {self.min_side_px} and {self.max_side_px}.")
        for name in ("min_score", "max_overlap", "slim_aspect", "max_contained", "max_part_ratio"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}.")
        if self.native_level_ratio < 1 or self.max_peaks < 1:
            raise ConfigError("native_level_ratio and max_peaks must be at least 1.")


@dataclass(frozen=True, slots=True, eq=False)
class Finds:
    """Boxes that may hold a digit.

    Attributes:
        boxes: (n, 4) float32 x, y, w, h.
        scores: (n,) float32, 0 to 1: how likely a digit is there.
        probs: (n, 10) float32: which digit, if one is there.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    probs: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """How many."""
        return len(self.scores)

    def pick(self, chosen: npt.NDArray[np.bool_ | np.intp]) -> "Finds":
        """Those chosen by a mask or by their indices."""
        return Finds(self.boxes[chosen], self.scores[chosen], self.probs[chosen])


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
        self.device = pick_device(device)
        self._net = fold_norms(checkpoint.model).to(self.device, memory_format=torch.channels_last)

    @property
    def label(self) -> str:
        """name@hash of the checkpoint."""
        return self.checkpoint.label

    def detect(self, grey: npt.NDArray[np.uint8]) -> Detections:
        """Find the digits of a picture; see `detect`."""
        return detect(self._net, grey, self.device, self.config, self.checkpoint.config.temperature)


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
    levels = [_Level(net, grey, side, device) for side in sides]
    finds = []
    for index, level in enumerate(levels):
        found = find_peaks(level.maps, config.min_score, config.max_peaks, temperature)[0]
        longest = found.boxes[:, 2:].max(axis=1, initial=0)
        is_smallest = index == 0
        is_mine = (longest >= config.min_side_px) & ((longest <= config.max_side_px) | is_smallest)
        # Scaled along both axes alike but for the rounding of the level's size.
        scale_wh = np.array(grey.shape[::-1], np.float32) / np.array(level.size_wh, np.float32)
        found.boxes[:] *= np.tile(scale_wh, 2)
        finds.append(found.pick(is_mine))
    # Of equally likely boxes that of the finest level is the most exact.
    merged = merge_finds(finds[::-1], config)
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
    """Longest sides at which to look at a picture, smallest first; only the first may be larger than the picture."""
    first, *rest = config.level_sides_px
    sides = [first, *(side for side in rest if side <= longest_px)]
    if sides[-1] * config.native_level_ratio < longest_px < config.level_sides_px[-1]:
        sides.append(longest_px)
    return sides


class _Level:
    """The picture at one size, and what the network says of it."""

    def __init__(self, net: nn.Module, grey: npt.NDArray[np.uint8], side_px: int, device: torch.device) -> None:
        height, width = grey.shape
        scale = side_px / max(height, width)
        self.size_wh = (max(round(width * scale), 1), max(round(height * scale), 1))
        shrunk = cv2.resize(grey, self.size_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        w, h = self.size_wh
        # The last row and column repeated, as in training's small pictures.
        padded = cv2.copyMakeBorder(shrunk, 0, -h % SIZE_MULTIPLE, 0, -w % SIZE_MULTIPLE, cv2.BORDER_REPLICATE)
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


def merge_finds(levels: Sequence[Finds], config: DetectionConfig = DetectionConfig()) -> Finds:  # noqa: B008
    """Make one list of several levels' finds: the likeliest box stays, those that overlap it add their opinion.

    Args:
        levels: boxes all in the same pixels.
        config: what counts as the same digit, and what as a part of one.

    Returns:
        Likeliest first; probabilities are the mean over the finds that were taken for the same digit, weighted by
        their scores.
    """
    boxes, scores, probs = (
        np.concatenate([getattr(level, name) for level in levels]) if levels else empty
        for name, empty in (
            ("boxes", np.zeros((0, 4), np.float32)),
            ("scores", np.zeros(0, np.float32)),
            ("probs", np.zeros((0, N_CLASSES), np.float32)),
        )
    )
    order = np.argsort(-scores, kind="stable")
    every = Finds(boxes, scores, probs).pick(order)
    intersections = intersect_boxes(every.boxes, every.boxes)
    areas = every.boxes[:, 2] * every.boxes[:, 3]
    is_slim = every.boxes[:, 2] < config.slim_aspect * every.boxes[:, 3]
    widened = _compare_boxes(_widen_boxes(every.boxes, config.slim_aspect))
    overlaps = np.where(is_slim & is_slim[:, None], widened, _compare_boxes(every.boxes))
    is_same = overlaps > config.max_overlap
    longest = every.boxes[:, 2:].max(axis=1, initial=0)
    is_part = (intersections > config.max_contained * areas) & (longest <= config.max_part_ratio * longest[:, None])
    kept, members, is_free = [], [], np.ones(len(every), bool)
    for index in range(len(every)):
        if not is_free[index]:
            continue
        group = is_same[index] & is_free
        group[index] = True  # A box without area overlaps nothing, not even itself.
        kept.append(index)
        members.append(group * every.scores)
        is_free &= ~(group | is_part[index])
    if not kept:
        return every
    weights = np.stack(members)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return Finds(every.boxes[kept], every.scores[kept], (weights @ every.probs).astype(np.float32))


def _widen_boxes(boxes: npt.NDArray[np.float32], aspect: float) -> npt.NDArray[np.float32]:
    """Boxes about the same middles, at least this wide for their height."""
    widths = np.maximum(boxes[:, 2], aspect * boxes[:, 3])
    return np.stack([boxes[:, 0] + (boxes[:, 2] - widths) / 2, boxes[:, 1], widths, boxes[:, 3]], axis=1)


def _compare_boxes(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n, 4) xywh → (n, n) intersections over unions; 0 for boxes without area."""
    intersections = intersect_boxes(boxes, boxes)
    areas = boxes[:, 2] * boxes[:, 3]
    unions = areas[:, None] + areas[None] - intersections
    return intersections / np.maximum(unions, np.finfo(np.float32).tiny)


def intersect_boxes(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n, 4) and (m, 4) xywh → (n, m) areas that the boxes share."""
    widths, heights = (
        np.minimum(first[:, None, axis] + first[:, None, axis + 2], second[:, axis] + second[:, axis + 2])
        - np.maximum(first[:, None, axis], second[:, axis])
        for axis in (0, 1)
    )
    return np.maximum(widths, 0) * np.maximum(heights, 0)


def clip_boxes(boxes: npt.NDArray[np.float32], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Boxes cut off at the edges of a picture of shape (H, W)."""
    size = np.array(shape[1::-1], np.float32)
    low = np.clip(boxes[:, :2], 0, size)
    high = np.clip(boxes[:, :2] + boxes[:, 2:], 0, size)
    return np.hstack([low, high - low])


def fold_norms(net: nn.Module) -> nn.Module:
    """A copy for looking only: each batch norm becomes a part of the convolution before it."""
    folded = deepcopy(net).eval()
    for module in folded.modules():
        if isinstance(module, ConvNorm):
            module[0], module[1] = fuse_conv_bn_eval(module[0], module[1]), nn.Identity()
    return folded
