"""The network against the authors' numbers: logits, a training step, initial weights, cost."""

import dataclasses
import math

import golden
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import effcc
from effcc.catalog import cost
from effcc.catalog.spec import layout
from effcc.nn import condconv as conditional
from effcc.nn.condconv import CondConv2d
from effcc.nn.efficientnet import Conv2d, EfficientNet, build, drop_path

PUBLISHED = {"cc_b0_4e": (224, 376), "cc_b0_8e": (224, 376), "cc_b1_8e": (240, 530)}


def on_meta(network):
    """The network's names and shapes, without numbers."""
    with torch.device("meta"):
        return EfficientNet(network)


@pytest.fixture(scope="module")
def fresh():
    """cc_b0_4e with fresh weights."""
    torch.manual_seed(0)
    return effcc.create("cc_b0_4e")


@pytest.mark.parametrize("variant", PUBLISHED)
def test_logits_are_the_authors(variant):
    model = golden.fill(effcc.create(variant), variant).eval()
    stored, size = golden.numbers("logits.npz"), PUBLISHED[variant][0]
    # Half of them in float64, to save time: in evaluation images do not see each other.
    for dtype, limit, images in ((torch.float32, 2e-3, 4), (torch.float64, 1e-8, 2)):
        with torch.no_grad():
            logits = model.to(dtype)(golden.inputs(size, dtype)[:images]).double().numpy()
        assert logits.shape == (images, 1000)
        assert abs(logits[:, ::25] - stored[f"{variant}_every_25th"][:images]).max() < limit
        norms = (logits**2).sum(1) ** 0.5
        assert abs(norms - stored[f"{variant}_norm"][:images]).max() < limit


def test_a_training_step_is_the_authors():
    settings = {"network.dropout": 0.0, "network.drop_path": 0.0}
    model = golden.fill(effcc.create("cc_b0_4e", settings=settings), "cc_b0_4e").double().train()
    logits = model(golden.inputs(224, torch.float64))
    loss = F.cross_entropy(logits, torch.tensor(golden.LABELS), label_smoothing=0.1)
    loss.backward()
    record = golden.numbers("train_step.json")
    assert loss.item() == pytest.approx(record["loss"], abs=1e-10)
    gradients = {name: p.grad.norm().item() for name, p in model.named_parameters()}
    assert gradients == pytest.approx(record["gradient_norms"], rel=1e-8, abs=1e-10)
    statistics = {
        name: b.norm().item()
        for name, b in model.named_buffers()
        if name.endswith(("running_mean", "running_var"))
    }
    assert statistics == pytest.approx(record["statistic_norms"], rel=1e-10)
    counters = [b for n, b in model.named_buffers() if n.endswith("num_batches_tracked")]
    assert all(counter == 1 for counter in counters)


def test_padding_that_is_symmetric_is_another_network():
    symmetric = effcc.create("cc_b0_4e", settings={"network.padding": "symmetric"})
    model = golden.fill(symmetric, "cc_b0_4e").eval()
    with torch.no_grad():
        logits = model(golden.inputs(224, torch.float32)[:1]).numpy()
    authors = golden.numbers("logits.npz")["cc_b0_4e_every_25th"][:1]
    assert abs(logits[:, ::25] - authors).max() > 0.1  # float32's limit is 2e-3


def test_strided_convolution_pads_after_the_image():
    same, symmetric = Conv2d(1, 1, 3, 2, padding="same"), Conv2d(1, 1, 3, 2, padding="symmetric")
    symmetric.load_state_dict(same.state_dict())
    x = torch.randn(1, 1, 8, 8)
    expected = F.conv2d(F.pad(x, (0, 1, 0, 1)), same.weight, stride=2)
    torch.testing.assert_close(same(x), expected)
    torch.testing.assert_close(symmetric(x), F.conv2d(x, same.weight, stride=2, padding=1))
    assert same(x).shape == symmetric(x).shape


@pytest.mark.parametrize("variant", PUBLISHED)
def test_state_dict_has_as_many_tensors_as_published(variant):
    network = effcc.load(variant).network
    state = on_meta(network).state_dict()
    assert len(state) == PUBLISHED[variant][1]
    assert state["blocks.4.0.routing_fn.weight"].shape == (network.experts, 80)
    assert state["blocks.4.0.conv_pw.weight"].shape == (network.experts, 480 * 80)
    assert state["blocks.4.0.conv_dw.weight"].shape == (network.experts, 480 * 25)
    assert state["blocks.4.0.conv_pwl.weight"].shape == (network.experts, 112 * 480)
    assert state["blocks.3.0.conv_pw.weight"].shape == (240, 40, 1, 1)
    assert state["blocks.4.0.se.conv_reduce.weight"].shape == (20, 480, 1, 1)
    for name in ("conv_stem.weight", "blocks.0.0.conv_pw.weight", "conv_head.weight", "bn2.bias"):
        assert name in state


def test_parameters_have_the_published_names():
    names = [name for name, _ in on_meta(effcc.load("cc_b0_4e").network).named_parameters()]
    assert sorted(names) == sorted(golden.numbers("train_step.json")["gradient_norms"])


def odd(network):
    return dataclasses.replace(network, width=0.5, depth=1.4, experts=3, num_classes=7)


def conditional_throughout(network):
    stages = [dataclasses.replace(stage, conditional=True) for stage in network.stages[1:]]
    return dataclasses.replace(
        network, stages=(network.stages[0], *stages), width=1.3, experts=1, se_ratio=0.1
    )


def nowhere_conditional(network):
    stages = tuple(dataclasses.replace(stage, conditional=False) for stage in network.stages)
    return dataclasses.replace(network, stages=stages, padding="symmetric")


@pytest.mark.parametrize("variant", effcc.list_variants())
def test_cost_is_what_the_shipped_network_does(variant, monkeypatch):
    spec = effcc.load(variant)
    assert_cost(spec.network, spec.preprocessing.image_size, monkeypatch)


@pytest.mark.parametrize("size", [33, 97, 224])
@pytest.mark.parametrize("change", [odd, conditional_throughout, nowhere_conditional])
def test_cost_is_what_an_unusual_network_does(change, size, monkeypatch):
    assert_cost(change(effcc.load("cc_b0_4e").network), size, monkeypatch)


def assert_cost(network, size, monkeypatch):
    # The definition convolves as often as the paper counts; faster paths trade products for memory.
    monkeypatch.setattr(conditional, "condconv", conditional.condconv_loop)
    model = on_meta(network).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        logits = model(torch.empty(1, 3, size, size, device="meta"))
    mixing = sum(m.weight.numel() for m in model.modules() if isinstance(m, CondConv2d))
    state = model.state_dict().values()
    assert logits.shape == (1, network.num_classes)
    assert cost.count(network, size) == cost.Cost(
        parameters=sum(p.numel() for p in model.parameters()),
        macs=counter.get_total_flops() // 2 + mixing,
        mixing_macs=mixing,
        state_bytes=sum(t.numel() * t.element_size() for t in state),
        tensors=len(state),
    )


def test_convolutions_start_as_wide_as_the_authors(fresh):
    seen = set()
    for name, module in fresh.named_modules():
        if isinstance(module, CondConv2d):
            fan = module.kernel**2 * (1 if module.groups > 1 else module.out_channels)
        elif isinstance(module, nn.Conv2d):
            fan = module.kernel_size[0] ** 2 * module.out_channels // module.groups
        else:
            continue
        seen.add(type(module))
        kernels = module.weight if isinstance(module, CondConv2d) else [module.weight]
        for weight in kernels:  # each expert is drawn as a convolution of its own
            assert_normal(weight, math.sqrt(2 / fan), name)
        if getattr(module, "bias", None) is not None:
            assert not module.bias.any(), name
    assert seen == {Conv2d, CondConv2d, nn.Conv2d}


def assert_normal(weight, deviation, name):
    n = weight.numel()
    assert abs(weight.mean()) < 5 * deviation / math.sqrt(n), name
    assert abs(weight.std() / deviation - 1) < 5 / math.sqrt(2 * n), name
    if n > 10_000:  # neither truncated nor uniform
        assert weight.abs().max() > 3.3 * deviation, name


def test_routing_and_classifier_start_uniform_within_the_authors_bounds(fresh):
    linear = {name: m for name, m in fresh.named_modules() if isinstance(m, nn.Linear)}
    assert len(linear) == 9
    for name, module in linear.items():
        out, inputs = module.weight.shape
        # Glorot's bound for routing; the classifier's depends on its outputs alone.
        bound = 1 / math.sqrt(out) if name == "classifier" else math.sqrt(6 / (inputs + out))
        assert 0.95 * bound < module.weight.abs().max() <= bound, name
        spread = bound / math.sqrt(3)
        assert abs(module.weight.std() / spread - 1) < 5 / math.sqrt(module.weight.numel()), name
        assert not module.bias.any(), name


def test_batch_norms_start_neutral_with_the_authors_constants(fresh):
    norms = [m for m in fresh.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 49
    for norm in norms:
        assert norm.eps == 1e-3
        assert norm.momentum == pytest.approx(0.01)  # TensorFlow's 0.99
        assert (norm.weight == 1).all()
        assert not norm.bias.any()
        assert (norm.running_var == 1).all()
        assert not norm.running_mean.any()
        assert norm.num_batches_tracked == 0


def test_fresh_weights_follow_the_seed():
    network = small(effcc.load("cc_pico_4e").network)
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(build(network).state_dict())
    assert all(models[0][name].equal(models[1][name]) for name in models[0])
    assert not models[0]["conv_stem.weight"].equal(models[2]["conv_stem.weight"])


def small(network):
    return dataclasses.replace(network, depth=0.5, num_classes=10)


def test_classifier_init_scales_the_first_logits():
    network = small(effcc.load("cc_pico_4e").network)
    weight = build(network, classifier_init=0.1).classifier.weight
    bound = 0.1 / math.sqrt(10)
    assert 0.95 * bound < weight.abs().max() <= bound


def test_residual_blocks_start_as_the_identity_with_gamma_zero():
    network = effcc.load("cc_pico_4e").network
    model = build(network, residual_gamma=0.0)
    residual = [b for stage in model.blocks for b in stage if b.residual]
    assert residual
    for block in residual:
        # A residual block's input is as wide as its output.
        x = torch.randn(2, _last_norm(block).num_features, 4, 4)
        assert block(x).equal(x)
    others = [b for stage in model.blocks for b in stage if not b.residual]
    assert all((_last_norm(block).weight == 1).all() for block in others)


def _last_norm(block):
    return block.bn3 if hasattr(block, "bn3") else block.bn2


def test_drop_path_drops_whole_samples_and_keeps_the_expectation():
    torch.manual_seed(0)
    y = drop_path(torch.ones(20_000, 2, 3, 1), 0.3, training=True)
    samples = y.flatten(1)
    assert (samples == samples[:, :1]).all()
    assert sorted(samples[:, 0].unique().tolist()) == pytest.approx([0, 1 / 0.7])
    kept = (samples[:, 0] > 0).float().mean().item()
    assert kept == pytest.approx(0.7, abs=5 * math.sqrt(0.21 / 20_000))
    assert y.mean().item() == pytest.approx(1, abs=0.03)


def test_drop_path_does_nothing_in_evaluation_or_at_rate_zero():
    y = torch.randn(4, 2, 3, 3)
    assert drop_path(y, 0.9, training=False) is y
    assert drop_path(y, 0.0, training=True) is y


def test_drop_path_grows_from_zero_towards_its_rate():
    network = effcc.load("cc_b0_4e").network
    rates = [block.drop_path for block in layout(network)]
    assert rates == pytest.approx([0.2 * i / 16 for i in range(16)])
    model = on_meta(network)
    assert [block.drop_path for stage in model.blocks for block in stage] == rates


def test_randomness_is_for_training_only():
    torch.manual_seed(0)
    model = effcc.create("cc_pico_4e", num_classes=10)
    x = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        model.train()
        assert not model(x).equal(model(x))
        model.eval()
        assert model(x).equal(model(x))


def test_memory_format_and_batch_do_not_change_logits():
    torch.manual_seed(0)
    model = effcc.create("cc_pico_4e", num_classes=10).double().eval()
    x = torch.randn(3, 3, 64, 48, dtype=torch.float64)
    with torch.no_grad():
        together = model(x)
        last = model.to(memory_format=torch.channels_last)(
            x.contiguous(memory_format=torch.channels_last)
        )
        alone = torch.cat([model(image[None]) for image in x])
    torch.testing.assert_close(last, together, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(alone, together, rtol=1e-9, atol=1e-9)


def test_network_trains_under_bfloat16_autocast():
    torch.manual_seed(0)
    model = effcc.create("cc_pico_4e", num_classes=10)
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(model(torch.randn(4, 3, 32, 32)), torch.arange(4))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.dtype == torch.float32, name
        assert parameter.grad.isfinite().all(), name


def test_function_transforms_give_the_same_gradients():
    torch.manual_seed(0)
    model = effcc.create("cc_pico_4e", num_classes=5)
    model = model.eval().to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 40, 40).contiguous(memory_format=torch.channels_last)
    parameters = dict(model.named_parameters())

    def loss(parameters):
        return torch.func.functional_call(model, parameters, (images,)).square().sum()

    found = torch.func.grad(loss)(parameters)
    loss(parameters).backward()
    for name, parameter in parameters.items():
        largest = parameter.grad.abs().max()
        assert (found[name] - parameter.grad).abs().max() <= 1e-4 * largest + 1e-6, name


@pytest.mark.slow  # torch's compiler takes half a minute
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # that it uses what torch deprecates
@pytest.mark.parametrize("training", [False, True])
def test_torchs_compiler_takes_the_network_whole(training):
    torch.manual_seed(0)
    model = effcc.create("cc_pico_4e", num_classes=5, settings={"network.drop_path": 0})
    model = model.train(training).to(memory_format=torch.channels_last)
    model.dropout = 0
    images = torch.randn(4, 3, 40, 40).contiguous(memory_format=torch.channels_last)
    compiled = torch.compile(model, fullgraph=True)
    with torch.set_grad_enabled(training):
        expected, found = model(images), compiled(images)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
