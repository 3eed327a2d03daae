"""A spec is complete: its layout, its digest and what was changed in it follow from it alone."""

from dataclasses import replace
from itertools import pairwise

import pytest

from effcc.catalog import registry
from effcc.catalog.spec import SECTIONS, architecture, layout, scale_width


@pytest.fixture
def spec(shipped):
    return registry.load("cc_b0_4e", shipped)


@pytest.mark.parametrize(
    ("channels", "width", "scaled"),
    [
        (32, 1.0, 32),
        (20, 1.0, 20),  # an unscaled width is left as it is, a multiple of 8 or not
        (32, 1.1, 32),
        (16, 1.1, 16),
        (80, 1.1, 88),
        (24, 1.4, 32),
        (16, 0.25, 8),
        (40, 0.25, 16),  # 8 would be below 90 % of 10
        (24, 0.25, 8),
        (112, 0.25, 32),
        (1280, 0.25, 320),
        (32, 2.0, 64),
    ],
)
def test_a_width_is_rounded_to_a_multiple_of_8_and_hardly_down(channels, width, scaled):
    assert scale_width(channels, width) == scaled


def test_no_width_is_rounded_below_nine_tenths():
    for channels in range(8, 400, 8):
        for width in (0.1, 0.25, 0.33, 0.5, 0.75, 1.1, 1.2, 1.8, 3.1):
            scaled = scale_width(channels, width)
            assert scaled % 8 == 0
            assert scaled >= 0.9 * channels * width


def test_the_layout_is_efficientnet_b0s(spec):
    blocks = layout(spec.network)
    assert [block.out_channels for block in blocks] == (
        [16] + [24] * 2 + [40] * 2 + [80] * 3 + [112] * 3 + [192] * 4 + [320]
    )
    assert [block.stride for block in blocks] == [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    assert [block.kernel for block in blocks] == [3] * 3 + [5] * 2 + [3] * 3 + [5] * 7 + [3]
    assert [block.experts for block in blocks] == [0] * 8 + [4] * 8
    assert blocks[0].in_channels == 32
    for before, block in pairwise(blocks):
        assert block.in_channels == before.out_channels
    for block in blocks:
        assert block.mid_channels == block.expand * block.in_channels
        # The squeeze is a share of the block's input.
        assert block.se_channels == block.in_channels // 4


def test_block_names_are_those_of_published_weights(spec):
    names = [block.name for block in layout(spec.network)]
    assert names[:3] == ["blocks.0.0", "blocks.1.0", "blocks.1.1"]
    assert names[-1] == "blocks.6.0"


def test_depth_is_rounded_up_stage_by_stage(spec):
    deeper = replace(spec.network, depth=1.1)
    counts = [sum(block.stage == stage for block in layout(deeper)) for stage in range(7)]
    assert counts == [2, 3, 3, 4, 4, 5, 2]


def test_drop_path_grows_from_nothing_and_never_reaches_its_rate(spec):
    rates = [block.drop_path for block in layout(spec.network)]
    assert rates == [pytest.approx(0.2 * index / 16) for index in range(16)]
    assert rates[0] == 0


def test_a_narrow_gate_keeps_one_channel(spec):
    narrow = replace(spec.network, se_ratio=0.001)
    assert {block.se_channels for block in layout(narrow)} == {1}


def load(shipped, **settings):
    flags = {name.replace("__", "."): value for name, value in settings.items()}
    return registry.load("cc_b0_4e", shipped, source="digits", flags=flags)


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": 7},
        {"data__workers": 3},
        {"network__num_classes": 10},
        {"data__source": "digits"},
        {"trainer__logger": ["csv", "wandb"]},
        {"trainer__log_every_n_steps": 7},
    ],
)
def test_what_does_not_decide_a_result_leaves_the_digest_alone(shipped, settings):
    assert load(shipped, **settings).digest == load(shipped).digest


@pytest.mark.parametrize(
    "settings",
    [
        {"recipe__lr": 0.004},
        {"recipe__augment__hflip": 0.5},
        {"network__experts": 8},
        {"preprocessing__image_size": 64},
        {"data__batch_size": 16},
        {"trainer__precision": "16-mixed"},
        {"trainer__limit_train_batches": 2},
    ],
)
def test_what_decides_a_result_changes_the_digest(shipped, settings):
    assert load(shipped, **settings).digest != load(shipped).digest


@pytest.mark.parametrize("settings", [{"network__dropout": 0}, {"recipe__warmup_epochs": 2.0}])
def test_the_digest_does_not_depend_on_how_a_number_is_written(shipped, settings):
    spec = load(shipped, **settings)
    assert spec.overrides() == {}
    assert spec.digest == load(shipped).digest


def test_a_digest_is_64_hex_digits_and_the_same_tomorrow(spec, shipped):
    assert len(spec.digest) == 64
    assert int(spec.digest, 16)
    assert spec.digest == registry.load("cc_b0_4e", shipped).digest


def test_no_two_variants_share_a_digest(shipped):
    digests = [registry.load(name, shipped).digest for name in registry.names(shipped)]
    assert len(set(digests)) == len(digests)


def test_as_registered_there_is_nothing_to_tell(shipped):
    assert load(shipped).overrides() == {}


def test_what_was_typed_is_told_by_its_name(shipped):
    spec = load(shipped, recipe__lr=0.5, trainer__max_epochs=1)
    assert spec.overrides() == {"recipe.lr": 0.5, "trainer.max_epochs": 1}


def test_typing_what_the_registry_says_is_no_change(shipped):
    registered = load(shipped).recipe
    spec = load(
        shipped,
        recipe__lr=registered.lr,
        recipe__augment__crop_area=list(registered.augment.crop_area),
    )
    assert spec.overrides() == {}


def test_a_stage_with_its_defaults_written_out_is_no_change(shipped):
    """A record has every value of a stage; a file leaves out what is at its default."""
    registered = load(shipped)
    stages = registered.settings()["network"]["stages"]
    assert stages != registered.origins["network.stages"].value
    assert load(shipped, network__stages=stages).overrides() == {}
    stages[0]["kernel"] += 2
    assert load(shipped, network__stages=stages).overrides() == {"network.stages": stages}


def test_where_the_data_lies_is_no_change_of_the_variant(shipped):
    folders = [
        load(shipped, seed=3, data__workers=1, data__source="folder", data__root=root)
        for root in ("x", "/elsewhere")
    ]
    assert folders[0].digest == folders[1].digest
    assert folders[0].overrides() == {}
    assert load(shipped, network__num_classes=10).overrides() == {}


def test_where_figures_are_logged_is_no_change_of_the_variant(shipped):
    assert load(shipped, trainer__logger="wandb").overrides() == {}


def test_the_batch_is_the_devices_or_else_the_recipes(shipped):
    assert load(shipped).batch_size == load(shipped).recipe.batch_size
    assert load(shipped, data__batch_size=5).batch_size == 5


def test_settings_are_plain_data_in_reading_order(spec):
    settings = spec.settings()
    assert list(settings) == [*SECTIONS, "trainer"]
    assert settings["preprocessing"]["mean"] == list(spec.preprocessing.mean)
    assert settings["network"]["stages"][0]["out"] == 16


def test_more_classes_make_another_spec_of_the_same_architecture(spec):
    other = spec.with_classes(10)
    assert (other.network.num_classes, spec.network.num_classes) == (10, 1000)
    assert architecture(other.network) == architecture(spec.network)
    assert other.digest == spec.digest


def test_an_architecture_is_what_weights_depend_on(spec):
    changed = replace(spec.network, dropout=0.0, drop_path=0.0, bn_momentum=0.5)
    assert architecture(changed) == architecture(spec.network)
    for change in ({"experts": 8}, {"padding": "symmetric"}, {"bn_eps": 1e-5}, {"width": 0.5}):
        assert architecture(replace(spec.network, **change)) != architecture(spec.network)
