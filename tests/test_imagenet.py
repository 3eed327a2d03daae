"""ImageNet in the layouts that people have, and its documented recipe with nothing else typed."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

import effcc
from effcc.cli import main
from effcc.sources.decode import MissingData
from effcc.sources.imagenet import ImageNet

WNIDS = ("n01440764", "n01443537", "n01484850")


def imagenet(root, **named):
    data = effcc.load("cc_pico_4e", source="digits").data
    return ImageNet(replace(data, source="imagenet", root=str(root), **named))


def photograph(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(number)
    Image.fromarray(random.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def ilsvrc(tmp_path):
    """The usual layout, as the two archives and a script that sorts leave it."""
    for number, wnid in enumerate(WNIDS):
        for n in range(4):
            photograph(tmp_path / f"ilsvrc/train/{wnid}/{wnid}_{n}.JPEG", 10 * number + n)
        for n in range(2):
            name = f"ILSVRC2012_val_{2 * number + n + 1:08d}.JPEG"
            photograph(tmp_path / f"ilsvrc/val/{wnid}/{name}", 100 + 2 * number + n)
    return tmp_path / "ilsvrc"


@pytest.fixture
def kaggle(ilsvrc, tmp_path):
    """The same images as Kaggle's archive unpacks: validation unsorted, test without labels."""
    inner = tmp_path / "kaggle/ILSVRC/Data/CLS-LOC"
    inner.mkdir(parents=True)
    (ilsvrc / "train").rename(inner / "train")
    rows = ["ImageId,PredictionString"]
    for image in sorted((ilsvrc / "val").rglob("*.JPEG"), reverse=True):
        rows.append(f"{image.stem},{image.parent.name} 1 2 3 4 {image.parent.name} 5 6 7 8")
        (inner / "val").mkdir(exist_ok=True)
        image.rename(inner / "val" / image.name)
    photograph(inner / "test/ILSVRC2012_test_00000001.JPEG", 9)
    (tmp_path / "kaggle/LOC_val_solution.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "kaggle"


def test_classes_are_wordnet_ids_in_order(ilsvrc):
    source = imagenet(ilsvrc)
    assert source.classes == WNIDS
    assert source.title == "3 of ImageNet's 1,000 classes"
    assert len(source.split("train")) == 12
    assert source.split("val").labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert source.split("test") is source.split("val")


def test_all_thousand_classes_are_imagenet(tmp_path):
    for number in range(1000):
        (tmp_path / f"train/n{number:08d}").mkdir(parents=True)
    assert imagenet(tmp_path).title == "ImageNet"


def test_kaggles_layout_holds_the_same_images(ilsvrc, kaggle, tmp_path):
    for root in (kaggle, kaggle / "ILSVRC", kaggle / "ILSVRC/Data/CLS-LOC"):
        source = imagenet(root)
        assert source.classes == WNIDS
        for name in ("val", "test"):  # the unlabelled test images are left alone
            split = source.split(name)
            assert split.name == "val"
            assert split.labels.tolist() == [0, 0, 1, 1, 2, 2]
            assert split.path(3).name == "ILSVRC2012_val_00000004.JPEG"
        assert split.pixels(3).shape == (40, 48, 3)


def test_unsorted_validation_images_need_their_classes(kaggle):
    solution = kaggle / "LOC_val_solution.csv"
    text = solution.read_text()
    solution.write_text(text.replace("ILSVRC2012_val_00000004,", "another,"))
    with pytest.raises(MissingData, match=r"val_00000004\.JPEG is not in .*LOC_val_solution\.csv"):
        imagenet(kaggle).split("val")
    solution.write_text("ImageId,PredictionString\nILSVRC2012_val_00000001\n")
    with pytest.raises(MissingData, match=r"LOC_val_solution\.csv:2: write ImageId,"):
        imagenet(kaggle).split("val")
    for content in (b"ImageId\n\xff\xfe,n01440764", b"ImageId\n" + b"x" * 200_000):
        solution.write_bytes(content)
        with pytest.raises(MissingData, match=r"LOC_val_solution\.csv.*; copy it again"):
            imagenet(kaggle).split("val")
    solution.unlink()
    with pytest.raises(MissingData, match=r"val has no folder per class; put Kaggle's LOC_val_sol"):
        imagenet(kaggle).split("val")


def test_other_images_are_told_from_imagenet(tmp_path):
    for kind in ("cat", "dog"):
        photograph(tmp_path / f"train/{kind}/1.png", 0)
    with pytest.raises(MissingData, match=r"cat is no WordNet id .*--data\.source folder"):
        imagenet(tmp_path)
    with pytest.raises(MissingData, match="has no train/ or val/ folder; it holds cat, dog"):
        imagenet(tmp_path / "train")
    with pytest.raises(MissingData, match="no folder"):
        imagenet(tmp_path / "nowhere")


def test_the_documented_recipe_needs_nothing_else_typed(ilsvrc, project, capsys):
    words = ["--data.source", "imagenet", "--data.root", str(ilsvrc)]
    assert main(["fit", "--config", "registry/cc_b0_4e.yaml", *words, "--print_config"]) == 0
    said = yaml.safe_load(capsys.readouterr().out)
    recipe = said["recipe"]
    assert (recipe["epochs"], recipe["batch_size"], recipe["lr"]) == (350, 2048, 0.128)
    assert (recipe["warmup_epochs"], recipe["decay_rate"], recipe["decay_epochs"]) == (5, 0.97, 2.4)
    assert (recipe["ema_decay"], recipe["weight_decay"]) == (0.9999, 1e-5)
    assert said["preprocessing"]["image_size"] == 224
    assert said["data"]["batch_size"] == 256


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # Lightning's hints to people at a terminal
def test_a_run_on_a_small_ilsvrc_is_recorded_as_such(ilsvrc, project, capsys):
    words = ["fit", "--config", "registry/cc_pico_4e.yaml", "--data.source", "imagenet"]
    words += ["--data.root", str(ilsvrc), "--data.workers", "0"]
    assert main(words) == 3
    said = capsys.readouterr().err
    assert "a batch of 256 on each of 1 device is more than the 12 training images; set" in said
    assert "--data.batch_size" in said
    short = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2"]
    small = ["--data.batch_size", "4", "--preprocessing.image_size", "32"]
    assert main([*words, *short, *small]) == 0
    out = capsys.readouterr().out
    assert "No data was named" not in out
    assert "on 3 of ImageNet's 1,000 classes, val" in out
    (record,) = (project.results / "cc_pico_4e").glob("*.json")
    assert '"name": "imagenet"' in record.read_text()
