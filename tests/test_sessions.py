"""A graph is made once for what it is of, and made anew for anything else."""

import os
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
