"""What one position gives when its image cannot be decoded, in this process or another."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import effcc
from effcc.data import loader
from effcc.data.loader import Evaluation, Training, Unlabelled
from effcc.data.unreadable import Unreadable
from effcc.ground.errors import UserError
from effcc.sources import decode
from effcc.sources.decode import BadImage
from effcc.sources.split import Files


def settings(**changed):
    changed = {f"data.{name}": value for name, value in changed.items()}
    return effcc.load("cc_pico_4e", source="digits", settings=changed)


@pytest.fixture
def files(tmp_path):
    """Eight images of one grey level each, labelled by position; 2, 3 and 7 are broken."""
    for position in range(8):
        path = tmp_path / f"{position}.png"
        Image.new("RGB", (40, 40), (position * 30,) * 3).save(path)
        if position in (2, 3, 7):
            path.write_bytes(path.read_bytes()[:50])
    names = [f"{position}.png" for position in range(8)]
    return Files("train", tmp_path, names, range(8), "sha256:" + "0" * 64)


def training(files, **changed):
    spec = settings(**changed)
    return Training(files, spec.preprocessing, spec.recipe, spec.data, seed=0)


def evaluation(files, **changed):
    spec = settings(**changed)
    return Evaluation(files, range(8), spec.preprocessing, spec.data)


def test_the_next_readable_image_stands_in_with_its_own_label(files, capsys):
    samples = training(files, on_error="skip")
    for position, shown in ((1, 1), (2, 4), (3, 4), (7, 0)):
        for _ in range(2):
            one = samples[5, position]
            assert int(one.labels) == int(one.positions) == shown
            assert one.images.unique().tolist() == [shown * 30]
            assert bool(one.unreadable) == (shown != position)
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0][-5:] for line in said] == ["2.png", "3.png", "7.png"]
    assert all(line.endswith("; skipped") for line in said)


def test_a_place_that_cannot_be_measured_is_black_and_marked(files):
    samples = evaluation(files, on_error="skip")
    marked = [bool(samples[position].unreadable) for position in range(8)]
    assert marked == [position in (2, 3, 7) for position in range(8)]
    one = samples[3]
    assert (int(one.labels), int(one.positions)) == (3, 3)
    assert not one.images.any()
    assert one.images.shape == samples[0].images.shape


@pytest.mark.parametrize("make", [training, evaluation])
def test_an_image_that_cannot_be_decoded_stops_a_run_that_was_not_told_to_skip(files, make):
    samples = make(files)
    with pytest.raises(BadImage, match=r"2\.png: cannot be decoded: .*; --data\.on_error skip"):
        samples[(0, 2) if make is training else 2]


def test_an_error_in_a_loader_process_is_one_line(files):
    batches = iter(DataLoader(evaluation(files), batch_size=2, num_workers=2))
    with pytest.raises(BadImage) as caught:
        list(batches)
    batches._shutdown_workers()  # before other tests fork with its pipes open
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith(str(files.path(2)))


def test_several_processes_report_an_image_once_over_several_epochs(files, capfd):
    samples = evaluation(files, on_error="skip")
    for _ in range(2):
        batches = list(DataLoader(samples, batch_size=2, num_workers=2))
    assert sum(int(batch.unreadable.sum()) for batch in batches) == 3
    assert len(capfd.readouterr().err.splitlines()) == 3
    assert samples.unreadable.positions() == [2, 3, 7]


def test_the_same_images_under_two_names_are_reported_once(files, capsys):
    spec, shared = settings(on_error="skip"), Unreadable("skip", 8)
    for _ in range(2):
        Evaluation(files, range(8), spec.preprocessing, spec.data, shared)[2]
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_many_broken_images_in_a_row_are_no_accident(files, monkeypatch):
    monkeypatch.setattr(loader, "BROKEN_IN_A_ROW", 2)
    samples = training(files, on_error="skip")
    assert int(samples[0, 7].positions) == 0
    with pytest.raises(BadImage, match=r"2\.png: .* 2 in a row cannot be decoded"):
        samples[0, 2]


def test_a_split_without_any_readable_image_is_said(files):
    for position in range(8):
        files.path(position).write_text("no image")
    with pytest.raises(BadImage, match="8 in a row cannot be decoded"):
        training(files, on_error="skip")[0, 0]


def test_files_to_predict_are_skipped_only_if_asked_for(files):
    paths, how = [files.path(position) for position in (1, 2)], settings().preprocessing
    with pytest.raises(BadImage, match=r"2\.png"):
        Unlabelled(paths, how)[1]
    some = Unlabelled(paths, how, on_error="skip")
    assert some[0].any()
    assert not some[1].any()
    assert some.unreadable.positions() == [1]


def test_a_decoder_that_is_missing_is_said_before_any_image_is_read(files, monkeypatch):
    monkeypatch.setattr(decode, "_simplejpeg", lambda: None)
    with pytest.raises(UserError, match="simplejpeg"):
        training(files, decoder="simplejpeg")


def test_batches_of_tensorflows_resize_are_not_rounded(files):
    spec = effcc.load(
        "cc_pico_4e", source="digits", settings={"preprocessing.interpolation": "tf_bicubic"}
    )
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (50, 40, 3), dtype=np.uint8)).save(files.path(0))
    skip = settings(on_error="skip").data
    batch = next(
        iter(DataLoader(Evaluation(files, range(8), spec.preprocessing, skip), batch_size=8))
    )
    assert batch.images.dtype == torch.float32
    assert not batch.images.equal(batch.images.round())
    trained = Training(files, spec.preprocessing, spec.recipe, skip, 0)[0, 0]
    assert trained.images.dtype == torch.uint8
