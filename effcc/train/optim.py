"""The optimiser and learning-rate schedule of the EfficientNet authors, which torch does not have.

TensorFlow's RMSProp is another algorithm than torch's: epsilon stands inside the square root, the
mean square starts at one, and the learning rate is multiplied into the momentum buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from effcc.catalog.schedule import staircase
from effcc.catalog.spec import Recipe
from effcc.ground.errors import UsageError
from effcc.nn import native
from effcc.nn.efficientnet import EfficientNet


class RMSpropTF(Optimizer):
    """RMSProp with TensorFlow's arithmetic (tf.train.RMSPropOptimizer), weight decay coupled.

    A step is, with gradient g, mean square s (from 1) and momentum m (from 0): g += weight_decay *
    w;  s += (1 - decay) * (g * g - s);  m = momentum * m + lr * g / sqrt(s + eps);  w -= m.

    Args:
        params: tensors, or groups of them with their own settings.
        lr: step size.
        decay: what the mean square keeps each step (TensorFlow's `decay`, torch's `alpha`).
        momentum: what the momentum buffer keeps each step.
        eps: added to the mean square, inside the root.
        weight_decay: L2 coefficient, added to the gradient.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        decay: float,
        momentum: float,
        eps: float,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "decay": decay,
                "momentum": momentum,
                "eps": eps,
                "weight_decay": weight_decay,
            },
        )

    # Torch declares two overloads of this one signature.
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every tensor that has a gradient; returns the closure's loss, if one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [w for w in group["params"] if w.grad is not None]
            for w in weights:
                if not self.state[w]:
                    self.state[w] = {"square": torch.ones_like(w), "momentum": torch.zeros_like(w)}
            for part in _parts([w for w in weights if not self._updated_in_one_pass(w, group)]):
                self._update(part, group)
        return loss

    def _updated_in_one_pass(self, w: Tensor, group: dict[str, Any]) -> bool:
        """Update a tensor by the layers in C, if they take it; whether they did."""
        assert w.grad is not None
        tensors = (w.grad, w, self.state[w]["square"], self.state[w]["momentum"])
        if not native.together(*tensors):
            return False
        settings = (group[key] for key in ("lr", "decay", "momentum", "eps", "weight_decay"))
        native.call("effcc_rmsprop", w.numel(), *settings, *tensors)
        return True

    def _update(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        squares = [self.state[w]["square"] for w in weights]
        momenta = [self.state[w]["momentum"] for w in weights]
        gradients = [w.grad for w in weights if w.grad is not None]
        if group["weight_decay"]:
            # The gradient is spent here, so it takes the decay in place: a copy would cost a
            # model's size.
            torch._foreach_add_(gradients, weights, alpha=group["weight_decay"])
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["decay"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_addcdiv_(momenta, gradients, roots, group["lr"])
        torch._foreach_sub_(weights, momenta)


def _parts(tensors: list[Tensor], numbers: int = 2**17) -> Iterator[list[Tensor]]:
    """Split a list so that the eight passes of an update find their data in the processor's cache.

    An accelerator wants one long list instead: there, launches cost more than memory.
    """
    part: list[Tensor] = []
    held = 0
    for tensor in tensors:
        if part and tensor.device.type == "cpu" and held + tensor.numel() > numbers:
            yield part
            part, held = [], 0
        part.append(tensor)
        held += tensor.numel()
    if part:
        yield part


class WarmupStaircase(LRScheduler):
    """Linear warm-up from zero, then `decay_rate` once every `decay_steps`, counted from step 0.

    The saved state is the position alone: the step, and how many steps an epoch has. A resumed run
    follows the settings it is given now, not those of the run that wrote the checkpoint; with other
    devices an epoch has other steps, and it goes on at the same part of an epoch.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        warmup_steps: int,
        decay_steps: float,
        decay_rate: float,
        steps_per_epoch: float = 1,
    ) -> None:
        self.warmup_steps, self.decay_steps, self.decay_rate = warmup_steps, decay_steps, decay_rate
        self.steps_per_epoch = steps_per_epoch
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """The share of the peak rate at `step`."""
        return staircase(step, self.warmup_steps, self.decay_steps, self.decay_rate)

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each parameter group at the current step."""
        return [base * self.factor(self.last_epoch) for base in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """The position, nothing else."""
        return {"last_epoch": self.last_epoch, "steps_per_epoch": self.steps_per_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the saved position, under this schedule's own settings."""
        then = state_dict.get("steps_per_epoch", self.steps_per_epoch)  # older ones lack it
        self.last_epoch = round(state_dict["last_epoch"] * self.steps_per_epoch / then)
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr


def parameter_groups(model: EfficientNet, recipe: Recipe, lr: float = 1.0) -> list[dict[str, Any]]:
    """What learns, in groups that share a rate and a decay.

    The authors decay all but batch norm, biases included: without fine-tuning settings there are
    two groups, decayed and undecayed. With them every one of `parts` has a rate of its own: the
    classifier `lr` times `head_lr`, the part at distance d from it `lr` times `layer_decay` to the
    power d. The groups then go from the classifier to the stem.

    Args:
        model: the network; what requires no gradient is in no group.
        recipe: the fine-tuning settings and the decay.
        lr: the rate that the factors multiply.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    exempt = {id(p) for norm in norms for p in norm.parameters()}
    factors: dict[int, float] = {}
    for distance, modules in enumerate(parts(model)):
        factor = recipe.layer_decay**distance if distance else recipe.head_lr
        factors |= {id(p): factor for module in modules for p in module.parameters()}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {
        (factor, undecayed): []
        for factor in dict.fromkeys(factors.values())
        for undecayed in (False, True)
    }
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups[factors[id(parameter)], id(parameter) in exempt].append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": 0.0 if undecayed else recipe.weight_decay,
            "lr": lr * factor,
        }
        for (factor, undecayed), parameters in groups.items()
        if parameters
    ]


def check_same_groups(began: Mapping[str, Any], recipe: Recipe) -> None:
    """Saved state belongs to the groups that it was saved from.

    Args:
        began: the recipe that a checkpoint holds, as plain data; from before there was
            fine-tuning, it has no such settings.
        recipe: that of the run that goes on from it.

    Raises:
        UsageError: they group the parameters differently.
    """
    for name, usual in (("freeze_stages", 0), ("layer_decay", 1.0), ("head_lr", 1.0)):
        was, now = began.get(name, usual), getattr(recipe, name)
        if was != now:
            raise UsageError(
                f"--recipe.{name} {now}: the run that goes on began with {was} and keeps it; "
                f"leave the option out, or start a new run"
            )


def parts(model: EfficientNet) -> list[list[nn.Module]]:
    """A network from its classifier to its stem, in parts that share a rate.

    The position in the list is the distance from the classifier: 0 is the classifier, 1 the last
    stage and the head behind it, 2 the stage before; after the first stage comes the stem.
    """
    last, *others = reversed(list(model.blocks))
    return [
        [model.classifier],
        [last, model.conv_head, model.bn2],
        *([stage] for stage in others),
        [model.conv_stem, model.bn1],
    ]


def frozen(model: EfficientNet, stages: int) -> list[nn.Module]:
    """The stem and the first `stages` stages, nothing if that is 0; the head always learns."""
    return [model.conv_stem, model.bn1, *list(model.blocks)[:stages]] if stages else []
