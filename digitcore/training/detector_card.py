"""The model card of a trained page network: README.md with the Hub's YAML header."""

from collections.abc import Mapping
from typing import Any

from digitcore.training.card import quote_name
from digitcore.training.detector_config import DetectorConfig

# Keys of the header: https://huggingface.co/docs/hub/model-cards#model-card-metadata
CARD = """\
---
license: apache-2.0
library_name: digitcore
pipeline_tag: object-detection
datasets:
- ylecun/mnist
metrics:
- f1
- recall
tags:
- handwritten-digits
- object-detection
- pytorch
{index}---

# {name}

PageNet, a small U-Net that finds handwritten digits in photos: for each place the chance that a digit has its centre
there, which digit, its size, and for each pixel the kind of ink (paper, digit, letters, print, rule, scribble).
{n_parameters:,} parameters, {giga_multiply_adds:.2f} G multiply-adds for a picture of 384×384.

## Use

```python
from digitcore import DigitReader

reader = DigitReader.from_pretrained(detector="{where}")  # a folder, or a Hub repository that holds it
print(reader.read_photo("note.jpg").text)
```

`digitcore.detection.PageDetector` looks at a picture in several sizes and merges what it finds;
`digitcore.detector.prepare_channels` makes the two channels that the network takes.
{regions}
## Training

    {command}

{beginning}{n_pages:,} synthetic pages of 384×384, each seen once,
batch {batch_size}, AdamW, learning rate up to {learning_rate:g} and down to 0 as a cosine, seed {seed}; the weights are
a moving average (decay {ema_decay:g}). The digits are MNIST's training images, thinned and drawn anew, and those of
handwriting fonts; papers, light, letters, print, rules and scribbles are drawn by `digitcore/training/pages.py`. No
photo was used. On {device} with {n_threads} thread(s) and {n_workers} process(es) that make pages, {precision}, it took
{minutes:.0f} minutes. `metrics.json` has every round.

## Figures

| pages, each looked at once | F1 of digits found (IoU ≥ .5) and read right | recall | false finds a page |
|---|---|---|---|
| {n_validation_pages} synthetic ones with digits that were never trained on | {f1} | {recall} | {false} |
{mistakes}
## Limits

- It learnt from pages that a program drew. Photos differ; `docs/experiments.md` says what that comes to.
- Digits of some 10 to 200 px are found at one size of the picture; others need the ladder of sizes.
- It was shown letters and words of fonts as what is no digit. A lone stroke or ring can be a letter as well as a digit.

## Licence

Apache-2.0 for the weights. MNIST (LeCun, Cortes, Burges) is under CC BY-SA 3.0.
"""

INDEX = """\
model-index:
- name: {name}
  results:
  - task:
      type: object-detection
      name: Object detection
    dataset:
      name: Synthetic pages with MNIST's held-out training digits
      type: digitcore-pages
      split: validation
    metrics:
    - type: f1
      value: {f1}
      name: F1 of digits found (IoU 0.5) and read right
    - type: recall
      value: {recall}
      name: Recall
"""
REGIONS = """
## The second stage

RegionNet is shown each find in the middle of a square with its surroundings, and says which digit it is, if it is one:
{n_parameters:,} parameters, {mega_multiply_adds:.1f} M multiply-adds a find (`digitcore/region_net.py`).

    {command}

{beginning}{n_epochs} epochs over {n_finds:,} finds of the first stage ({detector}) on {n_pages:,} synthetic pages,
{digits_ratio:.0%} of them digits; batch {batch_size}, AdamW, learning rate up to {learning_rate:g} and down to 0 as a
cosine, seed {seed}, averaged weights (decay {ema_decay:g}); {minutes:.0f} minutes on {device} with {n_threads}
thread(s), {precision}, and some to search the pages. On finds of {n_validation_pages:,} other pages {accuracy:.1%} of
the digits are read right, and digits are told from others with an AUROC of {auroc:.4f}.
"""
MISTAKES = """
## Mistakes

![A page made of MNIST's test digits, with a box around each one that was missed or read wrong]({picture})

{sentence}
"""


def make_detector_card(
    name: str,
    config: DetectorConfig,
    metrics: Mapping[str, Any],
    *,
    repo_id: str | None = None,
    mistakes: tuple[str, str] | None = None,
) -> str:
    """Write the card.

    Args:
        name: of the checkpoint.
        config: of the run.
        metrics: content of metrics.json, as `train.train_detector` makes it.
        repo_id: of the repository on the Hub that the card is for; None for a folder.
        mistakes: the name of a picture of mistakes beside the card, and a sentence on it; None for no picture.

    Raises:
        KeyError: if a figure is missing in `metrics`.
    """
    last = metrics["history"][-1]
    regions = metrics.get("regions")
    figures = {"f1": last["validation_f1"], "recall": last["validation_recall"], "false": last["validation_false"]}
    is_measured = None not in figures.values()
    return CARD.format(
        index=INDEX.format(name=quote_name(name), f1=round(figures["f1"], 4), recall=round(figures["recall"], 4))
        if is_measured
        else "",
        where=repo_id or f"checkpoints/{name}",
        mistakes="" if mistakes is None else MISTAKES.format(picture=mistakes[0], sentence=mistakes[1]),
        regions="" if regions is None else _describe_regions(regions),
        beginning=_describe_start(config.start),
        **config.to_dict() | {"name": name, "n_pages": metrics["n_pages"]},
        **{key: "not measured" if value is None else f"{value:.3f}" for key, value in figures.items()},
        **{key: metrics[key] for key in ("n_parameters", "command", "device", "n_threads", "n_workers", "precision")},
        giga_multiply_adds=metrics["n_multiply_adds"] / 1e9,
        minutes=metrics["seconds"] / 60,
    )


def _describe_start(label: str | None) -> str:
    return f"The weights start from those of {label}. " if label else ""


def _describe_regions(regions: Mapping[str, Any]) -> str:
    """The card's section on the second stage."""
    last, finds = regions["history"][-1], regions["data"]["finds"]
    return REGIONS.format(
        **regions["training"],
        **{key: regions[key] for key in ("n_parameters", "command", "device", "n_threads", "precision")},
        beginning=_describe_start(regions["training"].get("start")),
        mega_multiply_adds=regions["n_multiply_adds"] / 1e6,
        n_finds=finds["n"],
        digits_ratio=finds["n_digits"] / finds["n"],
        minutes=regions["seconds"] / 60,
        accuracy=last["validation_accuracy"],
        auroc=last["validation_auroc"],
    )
