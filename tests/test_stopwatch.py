"""A record of time as people read it in a terminal."""

import records

from effcc import stopwatch
from effcc.train.bench import Plan


def test_a_record_is_told_in_80_columns(project):
    made = records.bench(project, "cc_b0_4e", engines=("torch", "onnxruntime", "openvino"))
    lines = stopwatch.text(made).splitlines()
    assert max(map(len, lines)) <= 80
    assert "of plain" in lines[0]
    (first, second) = lines[1:3]
    assert first.split() == ["torch", "1", "100", "90.9", "to", "111", "125", "0.80x", "79", "%"]
    assert second.split()[:2] == ["16", "100"]
    text = "\n".join(lines)
    assert "100 GFLOP/s in a matrix product, 10 GB/s in a copy" in text
    assert "396,513,888 multiply-accumulates an image, at that speed: 7.93 ms" in text
    assert "noise hits all alike" in text
    assert "fresh; 224 pixels" in text


def test_latency_has_percentiles_and_stands_only_where_one_image_was_timed(project):
    told = stopwatch.text(records.bench(project))
    (line,) = [line for line in told.splitlines() if line.startswith("openvino  ") and "9" in line
               and "15" in line]  # fmt: skip
    assert line.split() == ["openvino", "10", "9", "to", "11", "15", "500", "8", "12"]
    assert "one image, ms" not in stopwatch.text(records.bench(project, batches=(4, 16)))


def test_it_says_before_what_it_will_measure_and_how_long_that_takes():
    said = stopwatch.announced(Plan(["torch", "openvino"], [1, 16], 2, 5.0))
    assert said == (
        "torch, openvino; images a call: 1, 16; 2 threads; at least 45 s once everything is loaded"
    )
