"""Three opinions and the surroundings, one probability: the whole page was seen, the find's region, and the ink alone.

Which digit it is: the opinions pooled in log space, where they weigh as evidence does. Whether it is one at all: the
opinions, how well they agree, and what surrounds it (context.py), weighed by a small network, so that a confidence of
0.9 is right nine times in ten. All weights lie in fusion.json, fitted on synthetic pages: `python -m train.fit_fusion`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from digitcore.errors import ConfigError
from digitcore.results import N_CLASSES

# No opinion is so sure that nothing could outweigh it.
MIN_PROBABILITY = 1e-4
# Whose opinions, in this order wherever there is an axis of them.
OPINIONS = ("page network", "region network", "digit network")
PAIRS = ((0, 1), (0, 2), (1, 2))
# The opinions' own features, before the surroundings': the log-odds of each that it is a digit, how far each two agree
# which one, and the log-odds of the one that all together prefer.
N_OPINION_FEATURES = len(OPINIONS) + len(PAIRS) + 1
# Features further from what the synthetic pages show, in standard deviations, are taken to be this far.
MAX_DEVIATION = 4.0
WEIGHTS_PATH = Path(__file__).with_suffix(".json")

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class PresenceNet:
    """One hidden layer that weighs k features; h units.

    Attributes:
        mean: (k,) subtracted from the features, which are then …
        deviation: (k,) … divided by this.
        hidden: (k, h) weights of the units, each a hyperbolic tangent.
        hidden_bias: (h,).
        output: (h,) weights of the log-odds.
        output_bias: its bias.
    """

    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]
    hidden: npt.NDArray[np.float64]
    hidden_bias: npt.NDArray[np.float64]
    output: npt.NDArray[np.float64]
    output_bias: float

    def __post_init__(self) -> None:
        """Check that the shapes fit together."""
        n_features, n_units = self.hidden.shape if self.hidden.ndim == 2 else (0, 0)
        shapes = [array.shape for array in (self.mean, self.deviation, self.hidden_bias, self.output)]
        if n_features <= N_OPINION_FEATURES or shapes != [(n_features,), (n_features,), (n_units,), (n_units,)]:
            raise ConfigError(f"the weights' shapes do not fit together: hidden {self.hidden.shape}, others {shapes}.")

    def normalize(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(n, k) features as the hidden layer takes them."""
        return np.clip((features - self.mean) / self.deviation, -MAX_DEVIATION, MAX_DEVIATION)

    def weigh(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(n, k) features → (n,) log-odds."""
        return np.tanh(self.normalize(features) @ self.hidden + self.hidden_bias) @ self.output + self.output_bias


@dataclass(frozen=True, slots=True, eq=False)
class FusionWeights:
    """How much each opinion counts.

    Attributes:
        exponents: of the class probabilities, one for each of `OPINIONS`.
        presence: whether it is a digit at all.
    """

    exponents: tuple[float, ...]
    presence: PresenceNet

    def __post_init__(self) -> None:
        """Check that no opinion is without a weight."""
        if len(self.exponents) != len(OPINIONS):
            raise ConfigError(f"expected an exponent for each of {', '.join(OPINIONS)}; got {self.exponents}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        presence = {item.name: np.round(getattr(self.presence, item.name), 4).tolist() for item in fields(PresenceNet)}
        return {"exponents": dict(zip(OPINIONS, self.exponents, strict=True)), "presence": presence}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            ConfigError: if the shapes do not fit together.
        """
        presence = PresenceNet(**{name: np.array(value, np.float64) for name, value in content["presence"].items()})
        return cls(tuple(content["exponents"][name] for name in OPINIONS), presence)


def load_weights(path: Path = WEIGHTS_PATH) -> FusionWeights:
    """Read what `python -m train.fit_fusion` wrote."""
    return FusionWeights.from_dict(json.loads(path.read_text(encoding="utf-8"))["weights"])


FITTED_WEIGHTS = load_weights()


def fuse_classes(probs: FloatArray, weights: FusionWeights = FITTED_WEIGHTS) -> FloatArray:
    """Which digit: a weighted product of the opinions, normalised.

    Args:
        probs: (n, 3, 10) class probabilities, in the order of `OPINIONS`.
        weights: see `FusionWeights`.

    Returns:
        (n, 10) float32, rows sum to 1.

    Source: logarithmic opinion pool, Genest & Zidek, Statistical Science 1(1), 1986.
    """
    return pool_classes(probs, weights.exponents)


def pool_classes(probs: FloatArray, exponents: Sequence[float]) -> FloatArray:
    """`fuse_classes` with its exponents."""
    if probs.shape[1:] != (len(OPINIONS), N_CLASSES):
        raise ValueError(f"expected an array of shape (n, {len(OPINIONS)}, {N_CLASSES}), got {probs.shape}")
    logits = np.einsum("nkc,k->nc", np.log(np.clip(probs, MIN_PROBABILITY, 1.0)), np.asarray(exponents))
    pooled = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return (pooled / pooled.sum(axis=1, keepdims=True)).astype(np.float32)


def fuse_presence(features: FloatArray, weights: FusionWeights = FITTED_WEIGHTS) -> FloatArray:
    """Whether it is one digit at all.

    Args:
        features: (n, k), see `gather_features`.
        weights: see `FusionWeights`.

    Returns:
        (n,) float32 probabilities.
    """
    return (1.0 / (1.0 + np.exp(-weights.presence.weigh(features)))).astype(np.float32)


def gather_features(scores: FloatArray, probs: FloatArray, fused_probs: FloatArray, context: FloatArray) -> FloatArray:
    """What `fuse_presence` weighs, for n finds.

    Args:
        scores: (n, 3) how likely it is a digit, 0 to 1, in the order of `OPINIONS`.
        probs: (n, 3, 10) which one, likewise.
        fused_probs: (n, 10), as `fuse_classes` gives them.
        context: (n, c) what surrounds them, as context.py gives it.

    Returns:
        (n, `N_OPINION_FEATURES` + c) float32.
    """
    agreements = [(probs[:, i] * probs[:, j]).sum(axis=1) for i, j in PAIRS]
    preferred = fused_probs.max(axis=1, initial=0.0)
    return np.column_stack([_log_odds(scores), *agreements, _log_odds(preferred), context]).astype(np.float32)


def _log_odds(probabilities: FloatArray) -> npt.NDArray[np.float64]:
    p = np.clip(np.asarray(probabilities, np.float64), MIN_PROBABILITY, 1.0 - MIN_PROBABILITY)
    return np.log(p) - np.log1p(-p)
