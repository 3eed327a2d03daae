"""Packing folders into shards: the same bytes, however often it was stopped."""

import random
import resource
import signal
import subprocess
import sys
import tarfile
import time

import pytest
from images import photograph, photographs, source

from effcc.cli import main
from effcc.ground.errors import UsageError
from effcc.sources import index, manifest, pack
from effcc.sources.decode import MissingData


def quiet(split, done, images):
    """Progress that nobody watches."""


def packed(photos, out, report=quiet, *, kind="folder", asked=(), **how):
    folder = pack.opened(kind, photos)
    return pack.pack(folder, pack.splits(folder, asked), out, report, **how or {"per_shard": 4})


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def command(*words):
    return [sys.executable, "-m", "effcc", "shards", *map(str, words)]


@pytest.fixture
def photos(tmp_path):
    return photographs(tmp_path / "photos")


def test_a_shard_is_webdatasets_layout_of_the_files_as_they_are(photos, tmp_path):
    packed(photos, tmp_path / "out")
    found = {}
    for path in sorted((tmp_path / "out").glob("train-*.tar")):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            for member in members:
                assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
                found[member.name] = tar.extractfile(member).read()
        assert [m.name.rpartition(".")[0] for m in members[::2]] == [
            m.name.rpartition(".")[0] for m in members[1::2]
        ]
    assert len(found) == 2 * 21
    for number, kind in enumerate(("cat", "dog", "eel")):
        for file in (photos / "train" / kind).iterdir():
            assert found[f"{kind}/{file.name}"] == file.read_bytes()
            assert found[f"{kind}/{file.stem}.cls"] == str(number).encode()


def test_the_manifest_counts_what_there_is(photos, tmp_path):
    made = packed(photos, tmp_path / "out")
    assert manifest.read(tmp_path / "out") == made
    assert made.classes == ("cat", "dog", "eel")
    assert {name: split.images for name, split in made.splits.items()} == {"train": 21, "val": 9}
    assert [shard.images for shard in made.splits["train"].shards] == [4, 4, 4, 4, 4, 1]
    assert pack.check(tmp_path / "out", quiet) == (made, [])


def test_images_are_shuffled_once_and_always_alike(photos, tmp_path):
    packed(photos, tmp_path / "one")
    packed(photos, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    labels = source("shards", tmp_path / "one").split("train").labels.tolist()
    assert labels != sorted(labels)


def test_a_saved_index_is_that_of_the_headers(photos, tmp_path):
    packed(photos, tmp_path / "out")
    for shard in (tmp_path / "out").glob("*.tar"):
        saved = index.load(index.beside(shard), shard.stat().st_size)
        assert saved.tobytes() == index.read(shard).tobytes()


def test_shards_have_at_most_the_size_that_was_asked_for(photos, tmp_path):
    size = 12_000
    made = packed(photos, tmp_path / "out", size=size)
    shards = made.splits["train"].shards
    assert len(shards) > 3
    for shard in shards:  # tar files end with up to ten kilobytes of padding
        with tarfile.open(tmp_path / "out" / shard.name) as tar:
            assert sum(member.size for member in tar) <= size
    tiny = packed(photos, tmp_path / "tiny", size=1)
    assert {shard.images for shard in tiny.splits["train"].shards} == {1}


def test_names_that_one_sample_would_share_are_told_apart(tmp_path):
    names = ("a/x.png", "a/x.jpg", "a/x.y.png", "a/x_y.png", "b/x.png", "b/X~1.PNG", "b/é.png")
    for seed, name in enumerate(names):
        photograph(tmp_path / "photos/train" / name, seed)
    packed(tmp_path / "photos", tmp_path / "out", per_shard=99)
    found = source("shards", tmp_path / "out").split("train")
    keys = {found.where(i).partition(": ")[2].rpartition(".")[0] for i in range(len(found))}
    assert len(keys) == len(names)
    assert {"b/x", "b/X_1", "b/é"} <= keys
    read = index.read(tmp_path / "out/train-000000.tar")
    assert len(read) == len(names)


def test_lists_are_packed_too(photos, tmp_path):
    (photos / "train").rename(photos / "pictures")
    (photos / "train.txt").write_text("pictures/cat/1.jpg 10\npictures/dog/1.jpg 9\n")
    (photos / "val").rename(photos / "others")
    (photos / "val.csv").write_text(
        f"path,label\n{photos}/others/cat/1.jpg,9\n../photos/others/cat/2.jpg,9\n"
    )
    assert packed(photos, tmp_path / "out").classes == ("9", "10")
    shards = source("shards", tmp_path / "out")
    assert sorted(shards.split("train").labels.tolist()) == [0, 1]
    where = {shards.split("val").where(i).partition(": ")[2] for i in range(2)}
    assert where == {f"{photos}/others/cat/1.jpg"[1:], "photos/others/cat/2.jpg"}
    assert pack.check(tmp_path / "out", quiet)[1] == []


def test_imagenet_is_packed_in_its_order_of_classes(tmp_path):
    for seed, wnid in enumerate(("n01443537", "n01440764")):
        photograph(tmp_path / f"in/train/{wnid}/{wnid}_1.JPEG", seed)
    made = packed(tmp_path / "in", tmp_path / "out", kind="imagenet", asked=["train"])
    assert made.classes == ("n01440764", "n01443537")
    assert source("shards", tmp_path / "out").title == "2 of ImageNet's 1,000 classes"


def test_only_what_is_asked_for_is_packed_and_more_may_follow(photos, tmp_path):
    packed(photos, tmp_path / "out", asked=["val"])
    assert not list((tmp_path / "out").glob("train-*"))
    packed(photos, tmp_path / "out", asked=["train"])
    packed(photos, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    with pytest.raises(MissingData, match="has no test images of its own"):
        packed(photos, tmp_path / "out", asked=["test"])


def test_killed_at_any_moment_it_goes_on_and_ends_with_the_same_bytes(photos, tmp_path):
    packed(photos, tmp_path / "whole", per_shard=1)
    chance, kills = random.Random(0), 0
    words = command(photos, tmp_path / "out", "--per-shard", 1)
    for goal in (0, 3, 9, 14, 20, 99):
        running = subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)
        while running.poll() is None:
            if len(list(tmp_path.glob("out/*.tar"))) >= goal:
                time.sleep(chance.uniform(0, 0.004))
                running.send_signal(signal.SIGKILL)
                break
        kills += running.wait() == -signal.SIGKILL
    assert kills >= 3
    assert running.returncode == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["gone", "longer", "flipped", "index"])
def test_a_finished_shard_that_was_damaged_is_found_and_packed_again(photos, tmp_path, damage):
    out = tmp_path / "out"
    packed(photos, out)
    whole, shard = contents(out), out / "train-000001.tar"
    said = {
        "gone": "train-000001.tar: is missing",
        "longer": "train-000001.tar: has 20,481 bytes instead of 20,480",
        "flipped": "train-000001.tar: is not what was packed: its SHA-256 differs",
        "index": "train-000001.tar: its index is missing or of another shard",
    }[damage]
    if damage == "gone":
        shard.unlink()
    elif damage == "longer":
        shard.write_bytes(whole[shard.name] + b"x")
        said = said.replace("20,481", f"{len(whole[shard.name]) + 1:,}")
        said = said.replace("20,480", f"{len(whole[shard.name]):,}")
    elif damage == "flipped":
        flipped = bytearray(whole[shard.name])
        flipped[700] ^= 1
        shard.write_bytes(flipped)
    else:
        (out / "train-000001.index").write_bytes(whole["train-000002.index"])
    assert pack.check(out, quiet)[1] == [f"{out}/{said}"]
    packed(photos, out)
    assert contents(out) == whole
    assert pack.check(out, quiet)[1] == []


def test_a_check_names_what_is_not_packed_yet_and_what_does_not_belong(photos, tmp_path):
    def stop(split, done, images):
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(pack.Stopped):
        packed(photos, tmp_path / "out", stop)
    (tmp_path / "out/train-000009.tar").write_bytes(b"")
    wrong = pack.check(tmp_path / "out", quiet)[1]
    assert [line.partition(": ")[2] for line in wrong] == [
        "8 of 21 train images; packing goes on",
        "0 of 9 val images; packing goes on",
        "is not in manifest.json",
    ]
    with pytest.raises(MissingData, match=r"no manifest\.json here; effcc shards DIR OUT writes"):
        pack.check(photos, quiet)


def test_class_names_of_every_script_are_packed_and_read_again(photos, tmp_path):
    spaced, joined = "house\u00a0cat", "\u0645\u06cc\u200c\u062e\u0648\u0627"  # no-break, ZWNJ
    for split in ("train", "val"):
        (photos / split / "cat").rename(photos / split / spaced)
        (photos / split / "dog").rename(photos / split / joined)
    out = tmp_path / "out"
    packed(photos, out)
    packed(photos, out)
    found, wrong = pack.check(out, quiet)
    assert set(found.classes) == {spaced, joined, "eel"}
    assert wrong == []


@pytest.mark.parametrize("name", ["a\nb", "a\u202eb", "a\x1b[31m"])
def test_a_class_name_that_no_line_can_show_is_refused_before_packing(photos, tmp_path, name):
    for split in ("train", "val"):
        (photos / split / "cat").rename(photos / split / name)
    with pytest.raises(MissingData, match=r"the class a.* in its name .* rename it"):
        packed(photos, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.tar"))


def test_a_folder_of_something_else_is_left_alone(photos, tmp_path):
    out = tmp_path / "out"
    packed(photos, out)
    before = contents(out)
    with pytest.raises(UsageError, match="was begun from other images or with other sizes"):
        packed(photos, out, per_shard=5)
    photograph(photos / "train/cat/new.png", 1)
    with pytest.raises(UsageError, match="the train images have changed since packing began"):
        packed(photos, out)
    assert contents(out) == before
    (out / "manifest.json").unlink()
    with pytest.raises(UsageError, match="holds other shards; choose another folder"):
        packed(photos, out)
    (out / "manifest.json").write_text("{}")
    with pytest.raises(MissingData, match=r"manifest\.json: is no manifest of effcc shards"):
        packed(photos, out)


def test_a_moved_folder_is_still_the_same_images(photos, tmp_path):
    packed(photos, tmp_path / "out", asked=["val"])
    moved = photos.rename(tmp_path / "moved")
    made = packed(moved, tmp_path / "out")
    assert made.title == "images of photos"


def test_two_processes_do_not_pack_into_one_folder(photos, tmp_path):
    def again(split, done, images):
        if done == 1:
            with pytest.raises(UsageError, match="is being packed by another process"):
                packed(photos, tmp_path / "out")

    packed(photos, tmp_path / "out", again)


def test_an_image_that_is_gone_or_no_image_stops_with_its_path(photos, tmp_path):
    lost = photos / "train/cat/1.jpg"

    def lose(split, done, images):
        lost.unlink(missing_ok=True)

    with pytest.raises(MissingData, match=r"train/cat/1\.jpg: no such image"):
        packed(photos, tmp_path / "out", lose, per_shard=1)
    (photos / "train.list").write_text("train/cat/0.png 0\ntrain/words.doc 1\n")
    (photos / "train/words.doc").write_text("words")
    folder = source("folder", photos, train="train.list")
    with pytest.raises(MissingData, match=r"words\.doc: has no suffix of an image .*; rename it"):
        pack.pack(folder, ["train"], tmp_path / "list", quiet, per_shard=4)


def limited():
    resource.setrlimit(resource.RLIMIT_FSIZE, (25_000, 25_000))


def test_without_room_it_says_how_to_go_on(photos, tmp_path):
    """The limit on a file's size stands in for a full disk: writing fails in the same way."""
    out = tmp_path / "out"
    words = command(photos, out, "--per-shard", 12)
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=limited)
    assert done.returncode == 3
    again = "make room, then the same command goes on after the last finished shard"
    assert done.stderr.strip() == f"{out}: File too large; {again}"
    assert [path.name for path in out.iterdir()] == ["manifest.json"]
    assert subprocess.run(words, capture_output=True).returncode == 0
    packed(photos, tmp_path / "whole", per_shard=12)
    assert contents(out) == contents(tmp_path / "whole")


def test_ctrl_c_says_how_to_go_on(photos, tmp_path):
    out = tmp_path / "out"
    photographs(photos, train=40, val=1)
    words = command(photos, out, "--per-shard", 1)
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not list(out.glob("*.tar")):
        time.sleep(0.002)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert said == "stopped; the same command goes on after the last finished shard\n"
    assert not list(out.glob(".*"))
    assert subprocess.run(words, capture_output=True).returncode == 0
    assert pack.check(out, quiet)[1] == []


def test_the_command_packs_checks_and_says_what_to_do_next(photos, tmp_path, capsys):
    words = ["shards", str(photos), str(tmp_path / "out dir")]
    assert main([*words, "--per-shard", "8"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-3].split() == ["train", "21", "images", "in", "3", "shards"]
    assert said[-1].endswith(f"--data.source shards --data.root '{tmp_path}/out dir'")
    assert main(["shards", str(tmp_path / "out dir"), "--check"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "5 shards, 30 images: no problem"
    (tmp_path / "out dir/val-000000.tar").unlink()
    assert main(["shards", str(tmp_path / "out dir"), "--check"]) == 1
    out, err = capsys.readouterr()
    assert err == f"{tmp_path}/out dir/val-000000.tar: is missing\n"
    assert out.splitlines()[-1] == "5 shards, 30 images: 1 problem"
    assert main(["shards", str(photos)]) == 2
    assert "name the folder for the shards too, or --check" in capsys.readouterr().err
    assert main(["shards", str(tmp_path / "nowhere"), str(tmp_path / "o")]) == 3
    assert "no folder" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--per-shard", "0"])


def test_packing_needs_no_torch(photos, tmp_path):
    code = (
        "import sys; from effcc.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "assert not {'torch', 'lightning', 'sklearn'} & set(sys.modules)"
    )
    words = ["shards", str(photos), str(tmp_path / "out")]
    subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # Lightning's hints to people at a terminal
def test_a_run_trains_on_what_was_packed(photos, tmp_path, project, capsys):
    packed(photos, tmp_path / "out")
    words = ["--data.source", "shards", "--data.root", str(tmp_path / "out")]
    words += ["--data.batch_size", "7", "--preprocessing.image_size", "32", "--data.workers", "0"]
    words += ["--trainer.max_epochs", "1"]
    assert main(["fit", "--config", "registry/cc_pico_4e.yaml", *words]) == 0
    out = capsys.readouterr().out
    assert "images of photos: 3 classes; 21 images to train on, 9 to validate, 9 to test" in out
    (record,) = (project.results / "cc_pico_4e").glob("*.json")
    assert '"name": "shards"' in record.read_text()


def test_of_what_is_hidden_in_the_folder_only_its_own_is_removed(photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    left = (".train-000000.tar.partial", ".val-000001.index.12.partial", ".manifest.json.a1b2c3d_")
    others = (".photo.partial", ".manifest.json.bak", ".train-notes.partial")
    for name in (*left, *others):
        (out / name).write_text("x")
    packed(photos, out)
    assert {path.name for path in out.glob(".*")} == set(others)
