"""The model card of a trained digit network: README.md with the Hub's YAML header."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from digitcore.training.config import TrainConfig

# Keys of the header: https://huggingface.co/docs/hub/model-cards#model-card-metadata
HEADER = """\
---
license: apache-2.0
library_name: digitcore
pipeline_tag: image-classification
datasets:
- ylecun/mnist
metrics:
- accuracy
tags:
- handwritten-digits
- mnist
- pytorch
{index}---
"""

INDEX = """\
model-index:
- name: {name}
  results:
  - task:
      type: image-classification
      name: Image classification
    dataset:
      name: MNIST
      type: ylecun/mnist
      split: {split}
    metrics:
    - type: accuracy
      value: {accuracy}
      name: {title}
"""

PLAIN_NAME = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

WHAT_IT_IS = {
    "SeedCNN": "The small network of the article that this demo began with: two 5×5 convolutions, 16 and 32 channels, "
    "each max-pooled by two, and one linear layer. It is here for comparison; `digitnet` reads better.",
    "DigitNet": "A small residual network for single handwritten digits: a strided stem, then residual stages with "
    "batch norm, and one linear layer over what is left of the picture.",
}

USE = """\
```python
from digitcore import DigitReader

reader = DigitReader.from_pretrained("{folder}")  # this folder, or a Hub repository that holds it
print(reader.read_sketch("sketch.png").text)
```

The network takes (B, 1, 28, 28) floats: white digits on black as MNIST makes them (longest side 20 px, aspect kept,
centre of mass in the middle), divided by 255, minus {mean}, divided by {std}. {answer}
"""

ANSWER = """\
It gives ten logits; divide them by the
temperature, {temperature:.4f}, before the softmax. `config.json` holds these numbers.\
"""
ANSWER_WITH_HEAD = """\
It gives eleven logits; divide the first
ten by the temperature, {temperature:.4f}, before the softmax. The sigmoid of the last says how likely the image is
a digit at all. `config.json` holds these numbers.\
"""

OTHERS = "It knows ten classes and nothing else: a letter or a blot gets the digit that it resembles most."
OTHERS_WITH_HEAD = (
    "It cannot tell a handwritten O, l, S or Z from 0, 1, 5 or 2, and learnt nothing from letters that may be\n"
    "  taken for digits: what stands around them decides."
)
LIMITS = """\
- {others}
- MNIST was written by Americans around 1990. Digits drawn otherwise (a 1 with a base line, a crossed 7, a 4 closed at
  the top) are rarer in it, and read less surely.
- It expects one digit, sized and centred as above. Finding digits on a page is somebody else's work: `DigitReader`'s.
- {seeing}
"""


MISTAKES = """\
![Images of MNIST's test set that it reads wrong, each with what it reads and how surely]({picture})

{sentence}\
"""


def make_card(
    name: str,
    config: TrainConfig,
    metrics: Mapping[str, Any],
    *,
    repo_id: str | None = None,
    mistakes: tuple[str, str] | None = None,
) -> str:
    """Write the card.

    Args:
        name: of the checkpoint.
        config: of the run.
        metrics: content of metrics.json, as `train.train` makes it.
        repo_id: of the repository on the Hub that the card is for; None for a folder.
        mistakes: the name of a picture of mistakes beside the card, and a sentence on it; None for no picture.

    Raises:
        KeyError: if a figure is missing in `metrics`.
    """
    normalization = metrics["normalization"]
    has_head = bool(config.arguments.get("is_digit_head", False))
    answer = (ANSWER_WITH_HEAD if has_head else ANSWER).format(temperature=metrics["temperature"])
    use = USE.format(folder=repo_id or f"checkpoints/{name}", answer=answer, **normalization)
    limits = LIMITS.format(others=OTHERS_WITH_HEAD if has_head else OTHERS, seeing=_describe_variety(config))
    header = HEADER.format(index=_make_index(name, metrics))
    size = f"{metrics['n_parameters']:,} parameters, {metrics['n_multiply_adds'] / 1e6:.1f} M multiply-adds an image."
    parts = [
        f"{header}\n# {name}\n\n{WHAT_IT_IS[config.architecture]} {size}",
        "## Use\n\n" + use.strip(),
        "## Training\n\n" + _describe_training(config, metrics),
        "## Figures\n\n" + _describe_figures(metrics),
        *([] if mistakes is None else ["## Mistakes\n\n" + MISTAKES.format(picture=mistakes[0], sentence=mistakes[1])]),
        "## Limits\n\n" + limits.strip(),
        "## Licence\n\nApache-2.0 for the weights. MNIST (LeCun, Cortes, Burges) is under CC BY-SA 3.0.",
    ]
    return "\n\n".join(parts) + "\n"


def quote_name(name: str) -> str:
    """A repo's name as YAML, which takes `2024`, `1e5`, `no` and `null` for no text at all."""
    is_plain = PLAIN_NAME.fullmatch(name) and name.lower() not in YAML_WORDS
    return name if is_plain else f'"{name}"'


def _make_index(name: str, metrics: Mapping[str, Any]) -> str:
    """The figure that the Hub lists: of the test images; of those held out while a training is under way."""
    for key, split, title in (
        ("test_accuracy", "test", "Test accuracy"),
        ("validation_accuracy", "train", "Accuracy on training images held out"),
    ):
        if key in metrics:
            return INDEX.format(name=quote_name(name), split=split, accuracy=metrics[key], title=title)
    return ""


def _describe_training(config: TrainConfig, metrics: Mapping[str, Any]) -> str:
    """How it came about, with the exact command."""
    images = "the first 55,000 of MNIST's training images" if config.holdout else "all 60,000 training images of MNIST"
    if config.n_repeats > 1:
        images += f" ({config.n_repeats} times an epoch)"
    if config.n_crop_pages:
        images += (
            f" and {metrics['data']['crops']['n']:,} crops of {config.n_crop_pages:,} synthetic pages, "
            "of those digits drawn anew and of what is no digit (`digitcore/training/crops.py`)"
        )
    chosen = (
        "The last 5,000 training images, never trained on, chose the settings and the temperature; the test images "
        "chose nothing."
        if config.holdout
        else "Nothing was chosen: these are the last epoch's weights, and the temperature is 1."
    )
    rate = {
        "step": f"{config.learning_rate:g}, times {config.step_gamma:g} after each epoch",
        "one-cycle": f"up to {config.learning_rate:g} in {config.warmup_epochs:g} epochs, then down to 0 as a cosine",
        "constant": f"up to {config.learning_rate:g} in {config.warmup_epochs:g} epochs, then steady",
    }[config.schedule]
    epochs = _describe_epochs(config, metrics["history"])
    averaged = f" The weights are a moving average (decay {config.ema_decay:g})." if config.ema_decay else ""
    averaged += _describe_finish(config, metrics["history"])
    return (
        f"    {metrics['command']}\n\n"
        f"{epochs} over {images}, batch {config.batch_size}, "
        f"{'AdamW' if config.optimizer == 'adamw' else 'Adam'}, learning rate {rate}, seed {config.seed}.{averaged} "
        f"{chosen} On {metrics['device']} with {metrics['n_threads']} thread(s), {metrics['precision']}, it took "
        f"{metrics['seconds'] / 60:.0f} minutes. `metrics.json` has every epoch, the images' hashes and the versions."
    )


def _describe_epochs(config: TrainConfig, history: Sequence[Mapping[str, Any]]) -> str:
    """How many, and which one's weights are these; the finish's are not among them."""
    history = [result for result in history if not result.get("is_finish", False)]
    n_done = len(history)
    if not config.patience:
        return f"{n_done} of {config.n_epochs} epochs so far" if n_done < config.n_epochs else f"{n_done} epochs"
    best = min(history, key=lambda result: result["validation_loss"])["epoch"]
    is_over = n_done >= config.n_epochs or n_done - best >= config.patience
    so_far = "" if is_over else " so far"
    return (
        f"{n_done} of {config.n_epochs} epochs{so_far}, these being the weights of epoch {best}, when the loss on the "
        f"images held out was lowest (no lower one for {config.patience} epochs ends a run),"
    )


def _describe_finish(config: TrainConfig, history: Sequence[Mapping[str, Any]]) -> str:
    """What followed; "" without a finish, or before it."""
    n_done = sum(result.get("is_finish", False) for result in history)
    if not n_done:
        return ""
    finish, epochs = config.finish, "epoch" if n_done == 1 else "epochs"
    return (
        f" From these weights {n_done} more {epochs} with MNIST's images {finish.n_repeats} times each, at a steady "
        f"learning rate of {finish.learning_rate:g}; what is here is the mean of the weights after each step of that "
        f"(stochastic weight averaging), in which those before count {finish.start_share:.0%}. The batch norms' "
        "statistics were then taken anew, of images that were not varied."
    )


def _describe_figures(metrics: Mapping[str, Any]) -> str:
    """A table: images, how many, accuracy, calibration error."""
    rows = ["| images | number | right | expected calibration error |", "|---|---|---|---|"]
    for key, title in (
        ("test", "MNIST test"),
        ("validation", "MNIST validation"),
        ("uci", "UCI digits, 13 other writers"),
    ):
        if f"{key}_accuracy" in metrics:
            accuracy, ece = 100 * metrics[f"{key}_accuracy"], 100 * metrics[f"{key}_ece"]
            rows.append(f"| {title} | {metrics[f'n_{key}']:,} | {accuracy:.2f} % | {ece:.2f} % |")
    if len(rows) == 2:
        return "The training is under way; nothing is measured yet."
    table = "\n".join(rows) + _describe_evaluation(metrics.get("evaluation", {}))
    if "crops_accuracy" not in metrics:
        return table
    read, told = 100 * metrics["crops_accuracy"], 100 * metrics["crops_is_digit_accuracy"]
    return (
        f"{table}\n\nOn {metrics['n_crops_validation']:,} crops of other synthetic pages (MNIST's last 5,000 training "
        f"digits, fonts never trained on;\nhardly legible crops too) {read:.1f} % of the digits are read right. "
        f"Digits are told from others with an\nAUROC of {metrics['crops_is_digit_auroc']:.3f}, and at one half "
        f"{told:.1f} % right; the same crops chose the scale of the last logit."
    )


def _describe_evaluation(evaluation: Mapping[str, Any]) -> str:
    """What `train.evaluate --store` measured beside that, as a table of its own; "" without."""
    rows = []
    if "corruptions" in evaluation:
        mean, worst = evaluation["corruptions"]["mean_error"], evaluation["corruptions"]["worst"]
        kind, error = worst["kind"], 100 * worst["error"]
        rows += [
            ("mean error under 14 corruptions, none of them drawn by what training uses", f"{100 * mean:.1f} %"),
            (f"the worst of them, {kind}", f"{error:.1f} %"),
        ]
    rows += [
        (f"error on {name}", f"{100 * each['error']:.1f} %") for name, each in evaluation.get("digits", {}).items()
    ]
    if "sketches" in evaluation:
        rows.append(("error on sketches, through the pad's door", f"{100 * evaluation['sketches']['error']:.2f} %"))
    refused = evaluation.get("not_digits", {}) | ({"letters": evaluation["letters"]} if "letters" in evaluation else {})
    rows += [(f"AUROC of “is it a digit?” against {name}", f"{each['auroc']:.4f}") for name, each in refused.items()]
    if not rows:
        return ""
    lines = ["| figure | |", "|---|---|", *(f"| {title} | {value} |" for title, value in rows)]
    return f"\n\nMeasured with `{evaluation['command']}`:\n\n" + "\n".join(lines)


def _describe_variety(config: TrainConfig) -> str:
    """What the training images were like."""
    if config.augmentation is None:
        return "It saw MNIST's images as they are: other pens, scanners and cameras are new to it."
    if config.n_crop_pages:
        return (
            "It saw MNIST's digits, varied at random and drawn anew with other pens, and some digits of handwriting\n"
            "  fonts; no other people's handwriting, and no real photo."
        )
    return (
        "It saw MNIST's images varied at random (see the preset in `digitcore/training/config.py`), no other people's."
    )
