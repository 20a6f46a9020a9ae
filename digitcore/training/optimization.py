"""Steps that all training loops share: the optimizer, and the moving average of the weights."""

import torch
from torch import nn


def make_optimizer(name: str, model: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """One kernel a step for all parameters; weight decay on filters and matrices only.

    Args:
        name: "adam" or "adamw".
        model: whose parameters are to learn.
        learning_rate: the first one.
        weight_decay: see `TrainConfig`.
    """
    decaying = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decaying, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer_class = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    return optimizer_class(groups, lr=learning_rate, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """The same rate for all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights and norm statistics towards the current ones; counters are copied.

    Args:
        average: changed in place.
        model: of the same kind.
        decay: share of the average that stays.
    """
    pairs = list(zip(average.state_dict().values(), model.state_dict().values(), strict=True))
    floats = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([a for a, _ in floats], [m for _, m in floats], 1 - decay)
    for counter, value in (pair for pair in pairs if not pair[0].is_floating_point()):
        counter.copy_(value)
