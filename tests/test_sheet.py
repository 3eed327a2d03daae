"""A contact sheet shows what training would see, and says what it shows."""

import numpy as np
import pytest
from PIL import Image

import effcc
from effcc import cli
from effcc.data import sheet
from effcc.data.augment import Change
from effcc.data.loader import Training
from effcc.data.resize import for_evaluation, tensor
from effcc.sources.split import Arrays


@pytest.fixture
def photo(project):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    path = project.root / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def show(*words):
    return cli.main(["show", *map(str, words)])


@pytest.mark.parametrize("policy", ["v0", "rand", None])
def test_a_tile_is_what_training_makes_of_the_image(photo, policy):
    spec = effcc.load("cc_b0_4e", settings={"recipe.augment.policy": policy, "seed": 3})
    pixels = np.asarray(Image.open(photo))
    split = Arrays("train", [pixels], [0], "")
    samples = Training(split, spec.preprocessing, spec.recipe, spec.data, spec.seed)
    for epoch in range(8):
        image, _ = sheet.training(pixels, spec, epoch)
        assert tensor(image).equal(samples[epoch, 0].images)


def test_the_sheet_begins_with_the_evaluations_crop(photo):
    spec = effcc.load("cc_b0_4e")
    pixels = np.asarray(Image.open(photo))
    paper = np.asarray(sheet.sheet(pixels, spec))
    crop = for_evaluation(pixels, spec.preprocessing).permute(1, 2, 0).numpy()
    assert (paper[8:232, 8:232] == crop).all()
    assert (paper[8:232, 240:464] == sheet.training(pixels, spec, 0)[0]).all()


@pytest.mark.parametrize("size", [8, 32, 300])
def test_every_size_of_input_gives_the_same_sheet_size(photo, size):
    spec = effcc.load("cc_b0_4e", settings={"preprocessing.image_size": size})
    pixels = np.asarray(Image.open(photo))
    assert sheet.sheet(pixels, spec).size == (8 * 232 + 8, 4 * 254 + 8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ((), "crop only"),
        ((Change("Equalize", ()), Change("Rotate", (-24.0,))), "Equalize, Rotate -24"),
        ((Change("Color", (1.7200000000000002,)),), "Color 1.72"),
        ((Change("Cutout", (36, 0.5, 0.25)), Change("Erase", (0, 0, 1, 1, 5))), "Cutout 36, Erase"),
    ],
)
def test_captions_say_what_was_done(changes, words):
    assert sheet.caption(changes) == words


def test_show_writes_the_sheet_and_says_where(photo, project, capsys):
    assert show("cc_b0_4e", "--augmentations", photo) == 0
    assert capsys.readouterr().out == "wrote cc_b0_4e-augmentations.png\n"
    first = (project.root / "cc_b0_4e-augmentations.png").read_bytes()
    named = project.root / "sheets" / "other.png"
    rand = ("--recipe.augment.policy", "rand", "--recipe.augment.erase", "0.5")
    assert show("cc_b0_4e", "--augmentations", photo, "--out", named, *rand) == 0
    assert capsys.readouterr().out == f"wrote {named}\n"
    with Image.open(named) as image:
        assert image.format == "PNG"
    assert named.read_bytes() != first
    assert show("cc_b0_4e", "--augmentations", photo) == 0
    assert (project.root / "cc_b0_4e-augmentations.png").read_bytes() == first


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--augmentations", "nowhere.png"), 3, "nowhere.png: no such image"),
        (("--augmentations", "registry"), 3, "registry: cannot be read"),
        (("--augmentations", "mkdocs.yml"), 3, "mkdocs.yml: cannot be decoded"),
        (("--augmentations", "photo.png", "--out", "a.jpg"), 2, "name it a.png"),
        (("--out", "a.png"), 2, "--augmentations IMAGE"),
    ],
)
def test_a_wrong_command_is_one_line_and_leaves_nothing(
    photo, project, capsys, words, code, message
):
    before = sorted(project.root.rglob("*"))
    assert show("cc_b0_4e", *words) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(project.root.rglob("*")) == before
