"""A variant is its entry and its files, layer over layer, and every value remembers its line."""

from dataclasses import FrozenInstanceError

import pytest

import effcc
from effcc.catalog import registry
from effcc.catalog.layers import CLAIMED
from effcc.catalog.registry import UnknownVariant
from effcc.catalog.spec import Dispute, Weights
from effcc.ground.document import BadFile

VARIANTS = ("cc_b0_4e", "cc_b0_8e", "cc_b1_8e", "cc_pico_4e")
SMALL = """\
model: small
extends: condconv
network:
  experts: 4
"""
ENTRY = """\
Models:
- Name: small
  Metadata:
    LR: 0.10
    Epochs: '350'
    Crop Pct: '0.875'
    Momentum: 0.9
    Batch Size: 256
    Image Size: 224
    Weight Decay: 1.0e-05
    Interpolation: bicubic
    RMSProp Decay: 0.9
    Label Smoothing: 0.1
    BatchNorm Momentum: 0.99
"""


@pytest.fixture
def small(project):
    """A variant of few lines, to change."""

    def write(text="", entry=ENTRY, **how):
        (project.model_index / "small.yaml").write_text(entry)
        (project.registry / "small.yaml").write_text(SMALL + text)
        return registry.load("small", project, **how)

    return write


def line_of(path, text):
    lines = path.read_text("utf-8").splitlines()
    return 1 + next(number for number, line in enumerate(lines) if line.strip().startswith(text))


def layers(origin):
    """The layers of a value, the winning one first."""
    found = []
    while origin:
        found.append((origin.layer, origin.value))
        origin = origin.overrides
    return found


def message(call, *args, **how):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (both kinds of users' mistakes are)
        call(*args, **how)
    return str(caught.value)


# What is shipped


@pytest.mark.parametrize("source", [None, "digits"])
def test_every_shipped_variant_resolves(shipped, source):
    found = registry.entries(shipped, source=source)
    assert [entry.spec.name for entry in found] == registry.names(shipped)
    assert set(VARIANTS) <= set(registry.names(shipped))
    for entry in found:
        assert entry.claim.name == entry.spec.entry
        assert entry.spec.summary


def test_the_published_variants_are_as_the_authors_built_them(shipped):
    found = {}
    for name in VARIANTS[:3]:
        spec = registry.load(name, shipped)
        net, prep = spec.network, spec.preprocessing
        assert (net.stem, net.head, net.se_ratio, net.bn_eps) == (32, 1280, 0.25, 0.001)
        assert (net.padding, net.drop_path, net.num_classes) == ("same", 0.2, 1000)
        assert [stage.conditional for stage in net.stages] == [False] * 4 + [True] * 3
        assert prep.mean == (127 / 255,) * 3
        assert prep.std == (128 / 255,) * 3
        assert (spec.recipe.rmsprop_eps, spec.recipe.decay_epochs) == (0.001, 2.4)
        found[name] = (net.width, net.depth, prep.image_size, net.dropout, net.experts)
    assert found == {
        "cc_b0_4e": (1.0, 1.0, 224, 0.25, 4),
        "cc_b0_8e": (1.0, 1.0, 224, 0.25, 8),
        "cc_b1_8e": (1.0, 1.1, 240, 0.25, 8),
    }


def test_the_stage_table_is_the_papers(shipped):
    rows = registry.load("cc_b0_4e", shipped).network.stages
    written = [f"r{s.repeats}_k{s.kernel}_s{s.stride}_e{s.expand}_{s.out}" for s in rows]
    assert written == [
        "r1_k3_s1_e1_16",
        "r2_k3_s2_e6_24",
        "r2_k5_s2_e6_40",
        "r3_k3_s2_e6_80",
        "r3_k5_s1_e6_112",
        "r4_k5_s2_e6_192",
        "r1_k3_s1_e6_320",
    ]


# Origins


def test_every_value_of_a_shipped_variant_stands_on_the_line_it_names(shipped):
    for name in VARIANTS:
        for source in (None, "digits"):
            spec = registry.load(name, shipped, source=source)
            for setting, origin in spec.origins.items():
                while origin:
                    check_origin(shipped, setting, origin)
                    origin = origin.overrides


def check_origin(home, setting, origin):
    if origin.layer == "default":
        assert origin.place == "default"
        return
    file, _, number = origin.place.partition(":")
    line = (home.root / file).read_text("utf-8").splitlines()[int(number) - 1]
    if origin.layer == "claim":
        key = next(key for key, target in CLAIMED.items() if target == setting)
    else:
        key = setting.rpartition(".")[2]
    assert line.strip().startswith(f"{key}:")


def test_the_layers_lie_over_each_other_in_the_documented_order(project, small):
    (project.shared / "digits.yaml").write_text("recipe: {lr: 5}\n")
    shared = project.shared / "condconv.yaml"
    shared.write_text(shared.read_text("utf-8").replace("recipe:\n", "recipe:\n  lr: 2\n"))
    for number, name in ((8, "first"), (9, "second")):
        (project.root / f"{name}.yaml").write_text(f"recipe: {{lr: {number}}}\n")
    spec = small(
        "recipe: {lr: 4}\nprofiles: {digits: {recipe: {lr: 6}}}\n",
        entry=ENTRY.replace("LR: 0.10", "LR: 3"),
        source="digits",
        checkpoint=("last.ckpt", {"recipe": {"lr": 7}}),
        overlays=[project.root / "first.yaml", project.root / "second.yaml"],
        flags={"recipe.lr": 10},
    )
    origin = spec.origins["recipe.lr"]
    assert layers(origin) == [
        ("flag", 10),
        ("overlay", 9),
        ("overlay", 8),
        ("checkpoint", 7),
        ("profile", 6),
        ("profile", 5),
        ("variant", 4),
        ("claim", 3),
        ("shared", 2),
    ]
    places = []
    while origin:
        places.append(origin.place)
        origin = origin.overrides
    assert places == [
        "--recipe.lr",
        "second.yaml:1",
        "first.yaml:1",
        "last.ckpt",
        "registry/small.yaml:6",
        "registry/shared/digits.yaml:1",
        "registry/small.yaml:5",
        "model-index/small.yaml:4",
        f"registry/shared/condconv.yaml:{line_of(shared, 'lr: 2')}",
    ]
    assert spec.recipe.lr == 10


def test_a_schema_default_is_the_lowest_layer(small):
    origin = small("data: {workers: 2}\n").origins["data.workers"]
    assert layers(origin) == [("variant", 2), ("default", None)]


def test_the_registered_value_is_what_lies_under_flags_files_and_checkpoints(project, small):
    (project.root / "over.yaml").write_text("recipe: {lr: 8}\n")
    spec = small(
        overlays=[project.root / "over.yaml"],
        checkpoint=("last.ckpt", {"recipe": {"lr": 7}}),
        flags={"recipe.lr": 9, "trainer.max_epochs": 1},
    )
    assert spec.origins["recipe.lr"].registered == 0.1
    assert spec.origins["trainer.max_epochs"].registered is None


def test_a_claimed_figure_is_a_number_however_it_was_written(small):
    spec = small()
    assert (spec.recipe.epochs, spec.preprocessing.crop_pct) == (350, 0.875)
    assert (spec.recipe.weight_decay, spec.preprocessing.interpolation) == (1e-5, "bicubic")


def test_a_profile_applies_with_its_source_only(small):
    text = "profiles: {digits: {recipe: {lr: 6}}, folder: {recipe: {lr: 7}}}\n"
    assert small(text).recipe.lr == 0.1
    assert small(text, source="digits").recipe.lr == 6
    flags = {"data.source": "folder", "data.root": "."}
    assert small(text, flags=flags).recipe.lr == 7


def test_a_source_named_in_a_file_wins_over_the_one_assumed(small):
    text = "data: {source: folder, root: .}\nprofiles: {folder: {recipe: {lr: 7}}}\n"
    spec = small(text, source="digits")
    assert (spec.data.source, spec.recipe.lr) == ("folder", 7)
    assert spec.origins["data.source"].layer == "variant"


def test_an_assumed_source_is_marked_as_nobodys_choice(small):
    assert small().data.source is None
    assert small(source="digits").origins["data.source"].layer == "default"


def test_the_profile_shipped_for_digits_leaves_the_architecture_alone(shipped):
    for name in VARIANTS:
        documented = registry.load(name, shipped).network
        digits = registry.load(name, shipped, source="digits").network
        for key in ("stem", "stages", "head", "width", "depth", "experts", "se_ratio", "padding"):
            assert getattr(digits, key) == getattr(documented, key)


def test_a_checkpoint_brings_its_settings_but_not_its_architecture(small):
    theirs = small("seed: 3\n", flags={"network.experts": 2, "recipe.lr": 0.5}).settings()
    spec = small(checkpoint=("last.ckpt", theirs))
    assert (spec.network.experts, spec.recipe.lr) == (4, 0.5)
    assert spec.origins["recipe.lr"].place == "last.ckpt"
    assert spec.origins["network.experts"].layer == "variant"


def test_published_weights_are_the_entrys_unless_the_registry_says_otherwise(small):
    entry = f"{ENTRY}  Weights: https://example.org/a-0123abcd.pth\n"
    plain = small(entry=entry)
    assert plain.weights == Weights("https://example.org/a-0123abcd.pth", None)
    hashed = small(f"weights: {{sha256: {'a' * 64}}}\n", entry)
    assert hashed.weights == Weights("https://example.org/a-0123abcd.pth", "a" * 64)
    assert small("weights: {url: 'https://mirror.org/b'}\n", entry).weights.url.endswith("/b")
    assert small().weights == Weights(None, None)
    # Where a file lies is no setting: it changes no digest and no record.
    assert hashed.digest == small().digest
    assert "64 digits" in message(small, "weights: {sha256: abc}\n")
    assert "begins with https://" in message(small, "weights: {url: /tmp/a}\n")


def test_augmentation_is_changed_part_by_part(small):
    spec = small(flags={"recipe.augment.hflip": 0.25})
    assert spec.recipe.augment.hflip == 0.25
    assert spec.recipe.augment.crop_area == (0.08, 1.0)
    assert spec.origins["recipe.augment.crop_area"].layer == "shared"


def test_a_dispute_stated_again_replaces_the_shared_one_and_keeps_the_rest(small):
    shared = small().disputes
    spec = small("disputes: {FLOPs: {claimed: [1.0e+3, 5M], reason: Counted on paper.}}\n")
    assert spec.disputes == {**shared, "FLOPs": Dispute(("1.0e+3", "5M"), "Counted on paper.")}
    assert {"FLOPs", "Citation"} <= set(shared)


# Compound scaling


@pytest.mark.parametrize(
    ("phi", "depth", "width", "size"),
    [(0, 1, 1, 224), (1, 1.2, 1.1, 256), (2, 1.44, 1.21, 296), (-4, 0.482253, 0.683013, 128)],
)
def test_compound_scaling_is_equation_3(small, phi, depth, width, size):
    spec = small(f"  compound: {{phi: {phi}}}\n")
    found = (spec.network.depth, spec.network.width, spec.preprocessing.image_size)
    assert found == pytest.approx((depth, width, size), abs=1e-6)


def test_compound_scaling_takes_its_constants_from_the_file(small):
    spec = small("  compound: {phi: 2, alpha: 1.5, beta: 1, gamma: 2, image_size: 100}\n")
    assert (spec.network.depth, spec.network.width) == (2.25, 1.0)
    assert spec.preprocessing.image_size == 400


def test_a_value_stated_beside_compound_wins_and_remembers_it(project, small):
    spec = small("  compound: {phi: 1}\n  depth: 2\npreprocessing: {image_size: 64}\n")
    assert (spec.network.width, spec.network.depth, spec.preprocessing.image_size) == (1.1, 2, 64)
    origin = spec.origins["network.depth"]
    assert layers(origin) == [("variant", 2), ("variant", 1.2), ("default", 1.0)]
    assert origin.overrides.place == "registry/small.yaml:5"


# One problem is not enough


def test_an_unknown_variant_is_answered_with_the_nearest(project):
    found = message(registry.load, "cc_b0_4", project)
    assert found == "no variant 'cc_b0_4' in registry/; did you mean 'cc_b0_4e'?"
    with pytest.raises(UnknownVariant, match="there are: cc_b0_4e, cc_b0_8e"):
        effcc.load("resnet50")


def test_the_problems_of_all_variants_are_reported_at_once(project):
    for name, text in (("one", "network: {expert: 4}\n"), ("two", "seed: -1\n")):
        (project.registry / f"{name}.yaml").write_text(text)
    found = message(registry.entries, project).splitlines()
    assert [line.partition(": ")[0] for line in found] == [
        "registry/one.yaml:1:11",
        "registry/two.yaml:1:7",
    ]


def test_everything_that_is_not_set_is_listed(project):
    (project.model_index / "bare.yaml").write_text("Models: [{Name: bare}]")
    (project.registry / "bare.yaml").write_text("model: bare\n")
    found = message(registry.load, "bare", project)
    for setting in ("network.stages", "recipe.lr", "recipe.augment.hflip", "preprocessing.mean"):
        assert f"registry/bare.yaml: {setting}: is not set here" in found


def test_a_problem_in_a_shared_file_is_placed_there(project, small):
    with (project.shared / "condconv.yaml").open("a") as file:
        file.write("sumary: x\n")
    assert message(small).startswith("registry/shared/condconv.yaml:")


def test_a_shared_file_builds_on_nothing(project, small):
    with (project.shared / "condconv.yaml").open("a") as file:
        file.write("extends: digits\n")
    assert "a shared file builds on nothing; remove it" in message(small)


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ({"recipe.lrr": 1}, "command line: --recipe.lrr: unknown key; did you mean 'lr'?"),
        ({"recipe.lr": "x"}, 'command line: --recipe.lr: expected a number, found "x"'),
        ({"recipe": 5}, "command line: --recipe: expected a mapping (key: value), found 5"),
        ({"seed": 1, "seed.x": 2}, "command line: --seed.x: 'seed' is a value already"),
        ({"network.experts": 0}, "command line: --network.experts: must be at least 1, found 0"),
    ],
)
def test_a_wrong_flag_is_named_as_it_was_typed(small, flags, found):
    assert message(small, flags=flags) == found


def test_all_wrong_flags_are_named_at_once(small):
    found = message(small, flags={"recipe.lrr": 1, "network.experts": 0})
    assert len(found.splitlines()) == 2


@pytest.mark.parametrize("name", ["Small", "small.v2", "klein-er", "ü", "_x", "x" * 65])
def test_a_variants_name_is_safe_everywhere(project, name):
    path = project.registry / f"{name}.yaml"
    path.write_text((project.registry / "cc_b0_4e.yaml").read_text())
    assert "rename the file" in message(registry.load_file, path, project)


@pytest.mark.parametrize("rate", ["1e400", "'1e400'"])
def test_a_claimed_figure_beyond_all_numbers_is_a_problem_with_its_line(small, rate):
    found = message(small, entry=ENTRY.replace("LR: 0.10", f"LR: {rate}"))
    assert found.startswith("model-index/small.yaml:4:")


@pytest.mark.parametrize(
    "flags",
    [
        {"network.experts": 4.0},
        {"recipe.epochs": 3.0},
        {"data.batch_size": 8.0},
        {"preprocessing.image_size": 64.0},
        {"network.stages": [{"repeats": 1, "kernel": 3.0, "stride": 1, "expand": 6, "out": 16}]},
    ],
)
def test_a_whole_number_is_whole_in_the_spec_however_it_was_written(small, flags):
    try:
        spec = small(flags=flags)
    except BadFile:
        return
    numbers = (
        *(spec.network.experts, spec.recipe.epochs, spec.batch_size),
        *(spec.preprocessing.image_size, spec.network.stages[0].kernel),
    )
    assert [type(number) for number in numbers] == [int] * 5


# The result


def test_a_spec_is_frozen(small):
    spec = small()
    for part, key in ((spec, "name"), (spec.recipe, "lr"), (spec.network.stages[0], "out")):
        with pytest.raises(FrozenInstanceError):
            setattr(part, key, 1)


def test_two_readings_of_the_same_files_are_equal_and_share_nothing(small):
    first, second = small(), small()
    assert first == second
    assert first.trainer is not second.trainer
    assert first.origins is not second.origins


def test_epochs_that_are_stated_anew_outlast_those_of_a_checkpoint(small):
    began = ("last.ckpt", {"recipe": {"epochs": 3}, "trainer": {"max_epochs": 1, "devices": 1}})
    assert small(checkpoint=began).trainer == {"max_epochs": 1, "devices": 1}
    typed = small(checkpoint=began, flags={"recipe.epochs": 5})
    assert (typed.recipe.epochs, typed.trainer) == (5, {"devices": 1})
    both = small(checkpoint=began, flags={"recipe.epochs": 5, "trainer.max_epochs": 2})
    assert both.trainer == {"max_epochs": 2, "devices": 1}
    assert small(checkpoint=began, flags={"recipe.lr": 1}).trainer["max_epochs"] == 1


def test_only_what_reads_data_must_say_where_it_lies(small):
    flags = {"data.source": "folder"}
    assert "add --data.root DIR" in message(small, flags=flags)
    assert small(flags=flags, located=False).data.source == "folder"


def test_the_front_door_leads_here(project):
    spec = effcc.load("cc_b0_4e", source="digits", settings={"recipe.lr": 0.5})
    assert spec == registry.load("cc_b0_4e", project, source="digits", flags={"recipe.lr": 0.5})
    assert effcc.list_variants() == registry.names(project)


@pytest.mark.parametrize("name", ["cc_b0_4e", "cc_b0_8e", "cc_b1_8e"])
def test_imagenet_named_is_the_documented_recipe_with_nothing_else_typed(shipped, name):
    flags = {"data.source": "imagenet", "data.root": "/data/imagenet"}
    spec = registry.load(name, shipped, flags=flags)
    recipe = spec.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (350, 2048, 0.128)
    assert (recipe.warmup_epochs, recipe.decay_rate, recipe.decay_epochs) == (5, 0.97, 2.4)
    assert (recipe.ema_decay, recipe.weight_decay, recipe.label_smoothing) == (0.9999, 1e-5, 0.1)
    assert (spec.network.dropout, spec.network.drop_path) == (0.25, 0.2)
    assert 8 * spec.batch_size == recipe.batch_size
    assert spec.overrides() == {}


@pytest.mark.parametrize("name", ["cc_b0_4e", "cc_b0_8e", "cc_b1_8e", "cc_pico_4e"])
def test_on_digits_one_device_takes_the_whole_batch(shipped, name):
    spec = registry.load(name, shipped, source="digits")
    assert spec.data.batch_size is None
    assert spec.batch_size == spec.recipe.batch_size


@pytest.mark.parametrize("value", ["{a: 1}", "[1, 2]", "'far too long'", "true"])
def test_a_claim_that_is_no_setting_is_told_at_its_line(project, value):
    entry = next(p for p in project.model_index.glob("*.md") if "effcc_cc_pico_4e" in p.read_text())
    entry.write_text(entry.read_text("utf-8").replace("LR: 0.016", f"LR: {value}"), "utf-8")
    line = next(n for n, t in enumerate(entry.read_text("utf-8").splitlines(), 1) if "LR:" in t)
    said = message(registry.entries, project)
    assert f"{project.shown(entry)}:{line}" in said
