"""Weights that leave compute what was measured, whoever reads them."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import golden
import numpy as np
import onnxruntime
import pytest
import torch
from learned import SETTINGS
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_transfer import TINY

import effcc
from effcc import cli
from effcc.ground import files
from effcc.ground.errors import UsageError
from effcc.nn import export, weights
from effcc.nn.export import BadExport


@pytest.fixture(scope="module")
def trained(learned):
    """A small variant, trained on digits: its record, checkpoint, network and spec."""
    return learned


@pytest.fixture(scope="module")
def graph(trained, tmp_path_factory):
    """Its ONNX file, with routing."""
    path = tmp_path_factory.mktemp("graph") / "net.onnx"
    classes = trained.checkpoint.classes
    off = export.to_onnx(trained.model, trained.spec, classes, path, routing=True)
    assert off <= 1e-4
    return path


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def digits(trained):
    """The test images as a network takes them, and their classes."""
    from effcc.train.data import ImageData

    normalise = effcc.create_module("cc_pico_4e", settings=SETTINGS, num_classes=10).normalise
    for batch in ImageData(trained.spec, trained.source).test_dataloader():
        yield normalise(batch.images), batch.labels


def test_onnx_is_right_on_as_many_digits_as_were_measured(trained, graph):
    runtime, right = session(graph), 0
    for images, labels in digits(trained):
        logits, _ = runtime.run(None, {"images": images.contiguous().numpy()})
        right += int((logits.argmax(1) == labels.numpy()).sum())
    measured = trained.record.metrics["top1"]
    assert right == measured.correct
    assert measured.n == 360
    assert right > 180  # five times as many as chance: it has learned something


def test_onnx_takes_any_batch_and_says_how_each_block_routed(trained, graph):
    images = torch.randn(7, 3, 32, 32)
    seen = []
    blocks = {n: m for n, m in trained.model.named_modules() if hasattr(m, "routing_fn")}
    hooks = [
        block.register_forward_hook(lambda m, inputs, _: seen.append(m.route(inputs[0])))
        for block in blocks.values()
    ]
    with torch.no_grad():
        expected = trained.model(images)
    for hook in hooks:
        hook.remove()
    logits, routing = session(graph).run(None, {"images": images.numpy()})
    assert routing.shape == (7, len(blocks), 4) == (7, 3, 4)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    np.testing.assert_allclose(routing, torch.stack(seen, 1), atol=1e-5)
    assert np.ptp(routing, axis=0).max() > 1e-4  # samples differ, so a batch is no single image


def test_onnx_says_what_it_is_of(trained, graph):
    runtime = session(graph)
    (images,) = runtime.get_inputs()
    assert (images.name, images.shape, images.type) == (
        "images",
        ["batch", 3, 32, 32],
        "tensor(float)",
    )
    assert [output.name for output in runtime.get_outputs()] == ["logits", "routing"]
    said = runtime.get_modelmeta().custom_metadata_map
    assert json.loads(said["effcc.classes"]) == list("0123456789")
    assert json.loads(said["effcc.mean"]) == list(trained.spec.preprocessing.mean)
    assert json.loads(said["effcc.routing"]) == ["blocks.1.0", "blocks.2.0", "blocks.2.1"]
    assert not list(graph.parent.glob(".*"))


def test_onnx_that_computes_something_else_is_not_kept(trained, graph, tmp_path, monkeypatch):
    # A graph that is right, and a runtime that is not, on the last image of the largest batch.
    right = session(graph)

    def load(path, **how):
        def compute(names, inputs):
            logits = right.run(["logits"], inputs)[0]
            logits[4:] += 2e-4 * max(1, abs(logits).max())
            return [logits]

        return SimpleNamespace(run=compute)

    monkeypatch.setattr(onnxruntime, "InferenceSession", load)
    with pytest.raises(BadExport, match=r"0\.0002 from torch on a batch of 5"):
        export.to_onnx(trained.model, trained.spec, (), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_routing_of_a_network_without_experts_is_a_wrong_wish(tmp_path):
    plain = [
        {k: v for k, v in stage.items() if k != "conditional"} for stage in TINY["network.stages"]
    ]
    settings = TINY | {"network.stages": plain}
    spec, model = (
        effcc.load("cc_pico_4e", settings=settings),
        effcc.create("cc_pico_4e", settings=settings),
    )
    with pytest.raises(UsageError, match="has no conditional block"):
        export.to_onnx(model, spec, (), tmp_path / "net.onnx", routing=True)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(UsageError, match=r"needs onnxruntime: pip install 'effcc\[onnx\]'"):
        export.check_installed()


def test_safetensors_hold_the_averages_and_bring_names_and_settings_back(trained, tmp_path):
    classes = trained.checkpoint.classes
    path = export.to_safetensors(trained.model, trained.spec, classes, tmp_path / "net.safetensors")
    averages = torch.load(trained.checkpoint.path, weights_only=True)["state_dict"]
    found = load_file(path)
    assert {f"model.{name}" for name in found} == set(averages)
    assert all(tensor.equal(averages[f"model.{name}"]) for name, tensor in found.items())
    read = weights.read(path)
    assert (read.variant, read.classes) == ("cc_pico_4e", classes)
    assert read.settings["network"]["stages"] == trained.spec.settings()["network"]["stages"]
    weights.load(export.network(trained.spec, trained.checkpoint), trained.spec.network, read)
    with safe_open(path, "pt") as file:
        assert file.metadata()["format"] == "pt"


def test_what_leaves_does_not_say_where_the_data_lay(trained, tmp_path):
    settings = SETTINGS | {
        "data.source": "folder",
        "data.root": "/home/somebody/pictures",
        "trainer.default_root_dir": "/home/somebody/runs",
    }
    spec = effcc.load("cc_pico_4e", settings=settings)
    path = export.to_safetensors(trained.model, spec, (), tmp_path / "net.safetensors")
    assert b"somebody" not in path.read_bytes()


def test_timms_file_is_a_bare_state_dict_with_its_hash_in_its_name(trained, tmp_path):
    path = export.to_timm(trained.model, "cc_pico_4e", tmp_path)
    assert path.name == f"cc_pico_4e-{files.sha256(path)[:8]}.pth"
    state = torch.load(path, weights_only=True)
    assert all(torch.is_tensor(value) for value in state.values())
    fresh = effcc.create("cc_pico_4e", num_classes=10, settings=TINY)
    fresh.load_state_dict(state)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert fresh.eval()(images).equal(trained.model(images))
    assert export.to_timm(trained.model, "cc_pico_4e", tmp_path) == path


@pytest.mark.parametrize("content", [b"", b"letters", b"\x08\0\0\0\0\0\0\0{}      "[:12]])
def test_safetensors_that_are_none_are_refused(tmp_path, content):
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    with pytest.raises(weights.BadCheckpoint, match="not safetensors, or cut short"):
        weights.read(path)
    with pytest.raises(weights.BadCheckpoint, match="no such checkpoint"):
        weights.read(tmp_path / "none.safetensors")


def test_safetensors_of_others_say_nothing_of_their_maker(trained, tmp_path):
    path = tmp_path / "net.safetensors"
    for metadata in (None, {"effcc": "[1]"}, {"effcc": '{"classes": 3, "settings": []}'}):
        save_file({"a": torch.zeros(1)}, path, metadata)
        read = weights.read(path)
        assert (read.variant, read.classes, dict(read.settings)) == ("", (), {})
    save_file({"a": torch.zeros(1)}, path, {"effcc": "{"})
    with pytest.raises(weights.BadCheckpoint):
        weights.read(path)


def test_the_command_exports_and_reads_back_what_it_wrote(trained, project, capsys):
    source = ("--config", "registry/cc_pico_4e.yaml")
    stages = ("--config", str(project.root / "tiny.yaml"))
    content = json.dumps({"network": {"stages": TINY["network.stages"], "head": 64}})
    (project.root / "tiny.yaml").write_text(content)
    words = ["export", *source, *stages, "--ckpt_path", str(trained.checkpoint.path)]
    assert cli.main([*words, "--to", "out", "--format", "safetensors", "timm", "hub"]) == 0
    wrote = [Path(line.removeprefix("wrote ")) for line in capsys.readouterr().out.splitlines()]
    assert [path.name[:10] for path in wrote] == ["cc_pico_4e", "cc_pico_4e", "hub"]
    assert all(path.exists() for path in wrote)
    Path("seven.png").write_bytes(png(trained))
    command = ["predict", *source, *stages, "--json", "--ckpt_path"]
    answers = []
    for path in (trained.checkpoint.path, wrote[0], wrote[2] / "model.safetensors"):
        assert cli.main([*command, str(path), "seven.png"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0][0]["classes"]) == 5


def png(trained):
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(trained.source.split("test").pixels(0)).save(out, "png")
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["cc_b0_4e", "cc_b1_8e"])
def test_the_real_networks_leave_as_onnx_at_their_real_size(variant, tmp_path):
    torch.manual_seed(0)
    model, spec = effcc.create(variant), effcc.load(variant)
    size = spec.preprocessing.image_size
    with torch.no_grad():  # norms that have seen pictures, and logits as large as trained ones
        for _ in range(3):
            model.train()(golden.inputs(size, torch.float32))
        model.classifier.weight.mul_(1000)
        assert model.eval()(golden.inputs(size, torch.float32)).abs().max() > 1
    off = export.to_onnx(model, spec, (), tmp_path / "net.onnx", routing=True)
    assert off <= 1e-5
