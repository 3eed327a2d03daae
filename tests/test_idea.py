"""Pages that explain are held to the code: their numbers, their formulas, their snippets."""

import re
from dataclasses import replace

import pytest
from conftest import ROOT

import effcc
from effcc.catalog.cost import count, layers
from effcc.catalog.spec import layout
from effcc.claims import modelindex

IDEA = (ROOT / "docs" / "condconv.md").read_text("utf-8")
HOME = (ROOT / "docs" / "index.md").read_text("utf-8")


def plain(network):
    stages = (replace(stage, conditional=False) for stage in network.stages)
    return replace(network, stages=tuple(stages))


def test_the_table_of_costs_is_what_the_code_computes():
    four, eight = (effcc.load(name).network for name in ("cc_b0_4e", "cc_b0_8e"))
    names = {"the plain network": plain(four), "four experts": four, "eight experts": eight}
    for name, network in names.items():
        cost = count(network, 224)
        mixing = f" {cost.mixing_macs:,}" if cost.mixing_macs else ""
        assert f"| {name} | {cost.parameters:,} | {cost.macs:,} |{mixing} |" in IDEA
    cost, without = count(eight, 224), count(plain(eight), 224)
    assert f"for {cost.macs / without.macs - 1:.1%} more".replace("%", " %") in IDEA
    assert round(cost.parameters / without.parameters, 1) == 4.5


def test_the_share_of_mixing_is_experts_over_pixels():
    network = effcc.load("cc_b0_8e").network
    found = list(layers(network, 224, 224))
    shares = {}
    for mixing in (layer for layer in found if layer.kind == "mixing"):
        conv = next(each for each in found if each.name == mixing.name and each.kind == "condconv")
        pixels = conv.macs // mixing.outputs
        assert mixing.macs / conv.macs == network.experts / pixels
        shares[pixels] = mixing.macs / conv.macs
    said = f"that is {shares[196]:.1%} on a map of 14 × 14, and {shares[49]:.1%} on one of 7 × 7"
    assert said.replace("%", " %") in IDEA


def test_the_last_stages_hold_what_the_page_says():
    spec = effcc.load("cc_b0_4e")
    blocks = layout(spec.network)
    assert [stage.conditional for stage in spec.network.stages] == [False] * 4 + [True] * 3
    conditional = sum(block.experts > 0 for block in blocks)
    assert f"{conditional} of B0's {len(blocks)} blocks" in IDEA
    found = list(layers(plain(spec.network), 224, 224))
    last = [each for each in found if each.name.startswith(("blocks.4", "blocks.5", "blocks.6"))]

    def convolutional(of):
        return sum(each.parameters for each in of if each.kind in ("conv", "strided"))

    assert 0.75 < convolutional(last) / convolutional(found) < 0.85  # four fifths
    assert 0.45 < sum(each.macs for each in last) / sum(each.macs for each in found) < 0.55  # half


def test_the_front_page_says_what_is_claimed_and_what_is_computed(shipped):
    claims = modelindex.load(shipped.model_index, shipped.root)
    claimed = int(claims["tf_efficientnet_cc_b0_4e"].facts["FLOPs"].text)
    spec = effcc.load("cc_b0_4e")
    computed = count(spec.network, spec.preprocessing.image_size).macs
    for kind, figure in (("claimed", claimed), ("computed", computed)):
        assert f'<span class="mark {kind}">{kind}</span> **{figure:,}**' in HOME


def test_the_snippet_of_the_idea_is_the_definition():
    import torch
    from torch.nn import functional

    from effcc.nn.condconv import condconv_loop

    snippet = re.search(r"```python\n(.*?)\n```", IDEA, re.DOTALL)[1]
    x, experts = torch.randn(1, 3, 6, 6), torch.randn(4, 5, 3, 1, 1)
    routing_fn = torch.nn.Linear(3, 4)
    names = {"torch": torch, "F": functional, "x": x, "experts": experts, "routing_fn": routing_fn}
    exec(snippet, names)
    expected = condconv_loop(
        x,
        experts.flatten(1),
        routing_fn(x.mean((2, 3))).sigmoid(),
        kernel=1,
        stride=1,
        groups=1,
        padding="same",
    )
    torch.testing.assert_close(names["y"], expected)


def test_gradients_are_those_of_the_pages_formulas():
    import torch

    from effcc.nn.condconv import condconv_loop

    x, dense = torch.randn(3, 2, 5, 5).double(), {"kernel": 1, "stride": 1, "groups": 1}
    experts = torch.randn(4, 6).double().requires_grad_()
    routing = torch.rand(3, 4).double().requires_grad_()
    kernels = (routing @ experts).detach().requires_grad_()  # one for each picture

    def loss(weight, weights):
        return condconv_loop(x, weight, weights, **dense, padding="same").square().sum()

    loss(experts, routing).backward()
    loss(kernels, torch.eye(3).double()).backward()
    own = kernels.grad  # G(x), (pictures, weights)
    torch.testing.assert_close(experts.grad, routing.detach().t() @ own)
    torch.testing.assert_close(routing.grad, own @ experts.detach().t())


# A Trainer of Lightning's own warns of its own ways; `effcc fit` builds one that does not.
TRAIN = pytest.param("train", marks=[pytest.mark.slow, pytest.mark.filterwarnings("ignore")])
EXAMPLES = ["index", "claims", "catalog", "nn", TRAIN]


@pytest.mark.parametrize("page", EXAMPLES)
def test_the_examples_of_the_reference_run_as_they_stand(page, project, capsys):
    text = (ROOT / "docs" / "reference" / f"{page}.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)
    exec(example, {})
    printed = capsys.readouterr().out
    if page == "claims":
        assert "224153788 224153788.0" in printed
    if page == "catalog":
        assert printed.startswith("396,513,888 multiply-accumulates, 10,694,400")
        assert "registry/cc_b0_4e.yaml:" in printed
