"""A graph is made once for what it is of, and made anew for anything else."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from test_transfer import TINY

import effcc
from effcc.nn import export, sessions


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Paths of graphs asked for, where making one leaves an empty file; and how many were made."""
    monkeypatch.setenv("EFFCC_CACHE", str(tmp_path))
    seen = []

    def leave(model, spec, classes, path, engine):
        seen.append(path)
        path.parent.mkdir(exist_ok=True)
        path.touch()

    monkeypatch.setattr(export, "to_onnx", leave)
    return seen


def network():
    return effcc.create("cc_pico_4e", settings=TINY).eval(), effcc.load("cc_pico_4e", settings=TINY)


def test_a_graph_is_kept_for_the_next_time(made):
    model, spec = network()
    assert sessions.graph(model, spec, "openvino") == sessions.graph(model, spec, "openvino")
    assert len(made) == 1


def test_other_weights_sizes_and_networks_have_graphs_of_their_own(made):
    model, spec = network()
    paths = {sessions.graph(model, spec, "openvino")}
    with torch.no_grad():
        model.classifier.bias[0] += 1e-7
    paths.add(sessions.graph(model, spec, "openvino"))
    look = replace(spec.preprocessing, image_size=64)
    paths.add(sessions.graph(model, replace(spec, preprocessing=look), "openvino"))
    paths.add(
        sessions.graph(model, replace(spec, network=replace(spec.network, bn_eps=0.01)), "openvino")
    )
    paths.add(sessions.graph(model, spec, "onnxruntime"))
    assert len(paths) == len(made) == 5


def test_the_layout_of_weights_in_memory_makes_no_other_graph(made):
    model, spec = network()
    sessions.graph(model, spec, "openvino")
    sessions.graph(model.to(memory_format=torch.channels_last), spec, "openvino")
    assert len(made) == 1


def test_the_cache_keeps_those_that_were_used_last(made):
    model, spec = network()
    first = sessions.graph(model, spec, "openvino")
    os.utime(first, (1, 1))
    for number in range(sessions.KEPT):
        with torch.no_grad():
            model.classifier.bias[0] += 1 + number
        os.utime(sessions.graph(model, spec, "openvino"), (2 + number, 2 + number))
    assert not first.exists()
    assert len(list(first.parent.glob("*.onnx"))) == sessions.KEPT


def external(location):
    """A graph whose weights lie in another file."""
    onnx = pytest.importorskip("onnx")
    kept = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=1)
    kept.external_data.add(key="location", value=location)
    kept.external_data.add(key="length", value="16")
    ends = [onnx.helper.make_tensor_value_info(name, 1, [4]) for name in ("images", "logits")]
    add = onnx.helper.make_node("Add", ["images", "w"], ["logits"])
    made = onnx.helper.make_model(onnx.helper.make_graph([add], "g", ends[:1], ends[1:], [kept]))
    made.ir_version = 9
    made.opset_import[0].version = 17
    return made.SerializeToString()


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "link"])
def test_a_graph_that_reads_other_files_is_made_anew_and_refused_by_itself(
    made, tmp_path, location
):
    model, spec = network()
    path = sessions.graph(model, spec, "onnxruntime")
    (tmp_path / "secret").write_bytes(bytes(16))
    (path.parent / "link").symlink_to(tmp_path / "secret")
    path.write_bytes(external(location))
    runtime = pytest.importorskip("onnxruntime")
    with pytest.raises(Exception, match="External data path"):
        runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert sessions.graph(model, spec, "onnxruntime") == path
    assert len(made) == 2
    assert path.read_bytes() == b""  # what `made` leaves


def test_a_graph_cut_short_in_the_cache_is_made_anew(made):
    model, spec = network()
    path = sessions.graph(model, spec, "openvino")
    path.write_bytes(b"half of one")
    sessions.graph(model, spec, "openvino")
    path.with_suffix(".sha256").unlink()
    sessions.graph(model, spec, "openvino")
    assert len(made) == 3


def test_two_that_want_a_graph_at_once_make_it_once(made, monkeypatch):
    model, spec = network()
    second_makes, first_is_done = threading.Event(), threading.Event()
    pool, asked, leave = ThreadPoolExecutor(1), [], export.to_onnx

    def make(*arguments, engine):
        if asked:
            second_makes.set()
            first_is_done.wait(10)
        leave(*arguments, engine=engine)
        if not asked:  # the graph is there, its digest is not yet
            asked.append(pool.submit(sessions.graph, model, spec, engine))
            second_makes.wait(1)  # it had better not

    monkeypatch.setattr(export, "to_onnx", make)
    with pool:
        path = sessions.graph(model, spec, "openvino")
        first_is_done.set()
        assert asked[0].result(10) == path
    assert len(made) == 1
    assert path.is_file()
