"""Checkpoints in: what fits is loaded, what does not is named, nothing in a file is ever run."""

import dataclasses
import os
import pickle
from pathlib import Path

import pytest
import torch

import effcc
from effcc.nn import weights
from effcc.nn.efficientnet import build, unfilled
from effcc.nn.weights import BadCheckpoint


@pytest.fixture
def network():
    spec = effcc.load("cc_pico_4e", settings={"network.depth": 0.3, "network.head": 64})
    return dataclasses.replace(spec.network, num_classes=10)


@pytest.fixture
def state(network):
    return build(network).state_dict()


def save(path, state, *, variant="cc_pico_4e", network=None):
    """A checkpoint as training writes it; the settings only if `network` is given."""
    settings = {"network": dataclasses.asdict(network)} if network else {}
    torch.save(
        {
            "state_dict": {f"model.{name}": tensor for name, tensor in state.items()},
            "effcc": {"variant": variant, "classes": list("0123456789"), "settings": settings},
            "optimizer_states": [],
        },
        path,
    )
    return path


def plain(network):
    """A network's settings as they come back from a checkpoint: lists for tuples."""
    return dataclasses.asdict(network) | {
        "stages": [dataclasses.asdict(stage) for stage in network.stages]
    }


def test_our_checkpoint_brings_weights_settings_and_classes(tmp_path, network, state):
    checkpoint = weights.read(save(tmp_path / "last.ckpt", state, network=network))
    assert checkpoint.variant == "cc_pico_4e"
    assert checkpoint.classes == tuple("0123456789")
    assert checkpoint.settings["network"]["experts"] == 4
    assert set(checkpoint.weights) == set(state)


@pytest.mark.parametrize("ours", [True, False])
def test_weights_arrive_bit_for_bit(tmp_path, network, state, ours):
    path = tmp_path / "weights.pth"
    if ours:
        save(path, state)
    else:
        torch.save(state, path)
    model = build(network)
    weights.load(model, network, weights.read(path))
    assert all(tensor.equal(state[name]) for name, tensor in model.state_dict().items())


def test_an_unfilled_network_is_filled_bit_for_bit(tmp_path, network, state, poison):
    state = {name: tensor + 7 for name, tensor in state.items()}  # no counter at its beginning
    torch.save(state, tmp_path / "weights.pth")
    before, model = torch.get_rng_state(), unfilled(network)
    assert all(tensor.is_meta for tensor in model.state_dict().values())
    weights.load(model, network, weights.read(tmp_path / "weights.pth"))
    assert all(tensor.equal(state[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.get_rng_state().equal(before)  # nothing was drawn
    assert model(torch.zeros(2, 3, 32, 32)).isfinite().all()


def test_an_unfilled_network_keeps_its_precision_layout_and_memory_to_itself(network, state):
    given = {name: tensor.to(torch.float64) for name, tensor in state.items()}
    checkpoint = weights.Checkpoint(Path("given.pth"), given)
    one = unfilled(network).to(memory_format=torch.channels_last)
    one.conv_stem.requires_grad_(False)
    weights.load(one, network, checkpoint)
    assert {p.dtype for p in one.parameters()} == {torch.float32}
    assert one.conv_stem.weight.is_contiguous(memory_format=torch.channels_last)
    assert not one.conv_stem.weight.requires_grad
    other = unfilled(network)
    weights.load(other, network, weights.Checkpoint(Path("given.pth"), state))
    with torch.no_grad():
        other.conv_head.weight.zero_()
    assert state["conv_head.weight"].any()


def test_weights_that_do_not_fit_leave_an_unfilled_network_without_any(network, state):
    model, short = unfilled(network), {n: t for n, t in state.items() if n != "bn1.bias"}
    with pytest.raises(BadCheckpoint, match=r"has no bn1\.bias"):
        weights.load(model, network, weights.Checkpoint(Path("short.pth"), short))
    assert all(tensor.is_meta for tensor in model.state_dict().values())


def test_a_bare_state_dict_says_nothing_about_its_maker(tmp_path, state):
    torch.save(state, tmp_path / "bare.pth")
    checkpoint = weights.read(tmp_path / "bare.pth")
    assert (checkpoint.variant, checkpoint.classes, dict(checkpoint.settings)) == ("", (), {})


def test_the_format_of_2019_is_read(tmp_path, network, state):
    # The published files are of that time.
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    checkpoint = weights.read(tmp_path / "old.pth")
    assert all(checkpoint.weights[name].equal(tensor) for name, tensor in state.items())


def test_a_checkpoint_of_another_variant_is_named(tmp_path, network, state):
    other = dataclasses.replace(network, experts=8)
    path = save(tmp_path / "last.ckpt", build(other).state_dict(), variant="cc_x_8e")
    content = torch.load(path, weights_only=True)
    content["effcc"]["settings"] = {"network": plain(other)}
    torch.save(content, path)
    with pytest.raises(BadCheckpoint, match=r"cc_x_8e.*network\.experts.*8.*4"):
        weights.load(build(network), network, weights.read(path))


def test_weights_of_another_shape_are_named(tmp_path, network):
    other = build(dataclasses.replace(network, experts=8))
    torch.save(other.state_dict(), tmp_path / "bare.pth")
    with pytest.raises(BadCheckpoint, match=r"blocks\.4\.0\.\S+ has shape \(8"):
        weights.load(build(network), network, weights.read(tmp_path / "bare.pth"))


def test_another_number_of_classes_is_named(tmp_path, network):
    other = build(dataclasses.replace(network, num_classes=12))
    torch.save(other.state_dict(), tmp_path / "bare.pth")
    with pytest.raises(BadCheckpoint, match=r"12 classes, this run.* 10"):
        weights.load(build(network), network, weights.read(tmp_path / "bare.pth"))


def test_a_missing_tensor_and_one_too_many_are_named(tmp_path, network, state):
    path = tmp_path / "bare.pth"
    torch.save({name: t for name, t in state.items() if name != "bn1.bias"}, path)
    with pytest.raises(BadCheckpoint, match=r"has no bn1\.bias"):
        weights.load(build(network), network, weights.read(path))
    torch.save(state | {"bn9.bias": state["bn1.bias"]}, path)
    with pytest.raises(BadCheckpoint, match=r"has bn9\.bias, which this variant has not"):
        weights.load(build(network), network, weights.read(path))


def test_settings_that_weights_do_not_depend_on_may_differ(tmp_path, network, state):
    path = save(tmp_path / "last.ckpt", state)
    content = torch.load(path, weights_only=True)
    content["effcc"]["settings"] = {
        "network": plain(dataclasses.replace(network, dropout=0.9, drop_path=0.0, bn_momentum=0.5))
    }
    torch.save(content, path)
    weights.load(build(network), network, weights.read(path))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_short_is_refused(tmp_path, state, share, zipped):
    whole = tmp_path / "whole.pth"
    torch.save(state, whole, _use_new_zipfile_serialization=zipped)
    content = whole.read_bytes()
    cut = tmp_path / "cut.pth"
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BadCheckpoint, match=r"cut\.pth: "):
        weights.read(cut)


@pytest.mark.parametrize("content", [b"", b"a letter\n", b"\x89PNG\r\n\x1a\n", b"\x80\x02}q\x00."])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "something"
    path.write_bytes(content)
    with pytest.raises(BadCheckpoint, match="something: "):
        weights.read(path)


def test_no_file_is_said_to_be_no_file(tmp_path):
    with pytest.raises(BadCheckpoint, match=r"nowhere\.ckpt: no such checkpoint"):
        weights.read(tmp_path / "nowhere.ckpt")
    with pytest.raises(BadCheckpoint):
        weights.read(tmp_path)


@pytest.mark.parametrize("content", [[1, 2], "text", 3], ids=repr)
def test_data_that_is_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "data.pth")
    with pytest.raises(BadCheckpoint, match="not a state dict"):
        weights.read(tmp_path / "data.pth")


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False, None], ids=["zip", "legacy", "pickle"])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, state, zipped):
    path, trace = tmp_path / "evil.ckpt", tmp_path / "ran"
    content = {"state_dict": state, "callbacks": Payload(trace)}
    if zipped is None:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(BadCheckpoint):
        weights.read(path)
    assert not trace.exists()
    # The trap works: a reader that trusts the file falls into it.
    torch.load(path, weights_only=False) if zipped is not None else pickle.loads(path.read_bytes())
    assert trace.exists()


def test_what_torch_reads_is_what_was_screened(tmp_path, monkeypatch, state):
    path, other, load = tmp_path / "weights.pth", tmp_path / "other.pth", torch.load
    torch.save({"a": torch.ones(3)}, path)
    torch.save({"a": torch.zeros(3)}, other)

    def replaced(place, **how):
        os.replace(other, path)
        return load(place, **how)

    monkeypatch.setattr(torch, "load", replaced)
    found = weights.read(path).weights["a"]
    assert found.tolist() == [1, 1, 1]


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("linux", [False, True])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, old, linux):
    path, load = tmp_path / "weights.pth", torch.load
    torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=not old)

    def changed(place, **how):
        if linux or old:
            os.utime(path, (1, 1))  # as of a writer that went on
        else:
            torch.save({"a": torch.zeros(3)}, tmp_path / "other")
            os.replace(tmp_path / "other", path)
        return load(place, **how)

    if not linux:
        monkeypatch.setattr(weights, "_OPENED", tmp_path / "none")
    assert weights.read(path).weights["a"].tolist() == [1, 1, 1]
    monkeypatch.setattr(torch, "load", changed)
    with pytest.raises(BadCheckpoint, match="it changed while it was read"):
        weights.read(path)


def test_what_is_refused_for_its_kind_says_so(tmp_path):
    path, with_more = tmp_path / "weights.pth", torch.nn.Parameter(torch.ones(3))
    with_more.note = "kept"
    for content, how, match in (
        (
            with_more,
            {},
            r"weights\.pth: cannot be read: it names torch\._utils\._rebuild_parameter_w",
        ),
        (torch.eye(2).to_sparse(), {}, r"cannot be read: .*; save plain tensors"),
        (torch.ones(2), {"pickle_protocol": 4}, "cannot be read: a pickle of protocol 4, which"),
    ):
        torch.save({"a": content}, path, **how)
        with pytest.raises(BadCheckpoint, match=match):
            weights.read(path)
    torch.save({"a": torch.ones(3, 1).expand(3, 4), "b": torch.ones(2).to(torch.uint16)}, path)
    assert {t.numel() for t in weights.read(path).weights.values()} == {12, 2}
