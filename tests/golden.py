"""Networks, images and numbers that two other implementations agree on.

The authors' TensorFlow code and timm were given weights made by the rule below and agree on the
logits to 1e-13 in float64. The rule needs no stored weights: a tensor follows from its name and its
shape.

The files in `golden/`:

- `bn_scales.json`: for each network and batch norm, the mean square of its input on these images.
  Without it the activations of a network with random weights vanish or explode.
- `logits.npz`: for each variant every 25th logit of the four images, and each image's norm over all
  1000.
- `train_step.json`: cc_b0_4e's first training step, without dropout and drop path: loss, norm of
  each gradient and of each batch-norm statistic after it, which parameters are decayed, and the L2
  term.
- `rmsprop.npz`: 50 steps of TensorFlow's RMSProp on a noisy quadratic.
- `schedule.npz`: learning rates at batch 2048.
- `autoaugment_v0.json`: the authors' policy, `[operation, probability, level, arguments, signed]`
  for each step of each sub-policy.
- `autoaugment_ops.npz`: a photo, 64 pixels a side, and what their operations make of it.
- `tf_preproc.png` and `.npz`: an image, and every 8th row of what the authors' evaluation makes of
  it at 224 pixels and a crop padding of 32 (TensorFlow's bicubic), with the crop's top, left, side.
- `ema.npz`: the average of 1, 2, 3 ... after each of 20 steps, from 0 and with decay 0.9999.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent / "golden"
IMAGES = 4
LABELS = (3, 141, 592, 653)
# A CondConv weight is flat: how many outputs it has shows in the batch norm behind it.
NORM_BEHIND = {"conv_pw": "bn1", "conv_dw": "bn2", "conv_pwl": "bn3"}


def numbers(name):
    """A file of `golden/`: a dict of arrays (.npz) or of plain data (.json)."""
    path = FOLDER / name
    if path.suffix == ".json":
        return json.loads(path.read_text())
    with np.load(path) as arrays:
        return dict(arrays)


def images(size):
    """Four uint8 images (4, 3, size, size), always the same: coarse tiles with fine noise."""
    random = np.random.RandomState(1000 + size)
    tiles = random.randint(0, 256, (IMAGES, 3, size // 16, size // 16))
    noise = random.randint(-24, 25, (IMAGES, 3, size, size))
    return np.clip(np.kron(tiles, np.ones((16, 16), int)) + noise, 0, 255).astype(np.uint8)


def inputs(size, dtype):
    """The images as the network's input, (x - 127) / 128, exact in every dtype from float32 on."""
    return torch.from_numpy(images(size)).to(dtype).sub(127).div(128)


def fill(model, variant):
    """Give every tensor of the state dict the value that its name stands for."""
    state = model.state_dict()
    scales = numbers("bn_scales.json")[f"tf_efficientnet_{variant}"]
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    values = {name: _value(name, shapes, scales) for name in shapes}
    model.load_state_dict({name: torch.from_numpy(value) for name, value in values.items()})
    return model


def _value(name, shapes, scales):
    layer, kind = name.rsplit(".", 1)
    shape = shapes[name]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    random = np.random.RandomState(zlib.crc32(name.encode()))
    normed = f"{layer}.running_var" in shapes
    if kind == "running_var":
        value = scales[layer] * (0.75 + 0.5 * random.random_sample(shape))
    elif normed and kind == "weight":
        value = 1.5 + random.random_sample(shape)
    elif kind == "running_mean":
        value = 0.1 * random.standard_normal(shape) * np.sqrt(scales[layer])
    elif kind == "bias":
        value = 0.1 * random.standard_normal(shape)
    else:
        value = random.standard_normal(shape) * _gain(layer, shape, shapes)
    return value.astype(np.float32)


def _gain(layer, shape, shapes):
    parent, _, own = layer.rpartition(".")
    if own == "routing_fn":
        return 2.0 / np.sqrt(shape[1])
    if own == "classifier":
        return 1.2 / np.sqrt(shape[1])
    if len(shape) == 4:
        return (1.0 if parent.endswith(".se") else 1.7) / np.sqrt(np.prod(shape[1:]))
    experts, flat = shape
    fan_in = flat // shapes[f"{parent}.{NORM_BEHIND[own]}.weight"][0]
    return 1.7 / np.sqrt(fan_in) * 2.0 / np.sqrt(experts)
