"""Rows: what is claimed, computed and measured of a variant, for terminal, JSON and page."""

import json
from dataclasses import replace

from records import bench, record

from effcc import cli
from effcc.catalog import results, rows, timings
from effcc.catalog.timings import VARIANT


def row(home, name="cc_b0_4e"):
    (found,) = [row for row in rows.load(home)[0] if row.name == name]
    return found


def test_a_row_holds_each_kind_of_figure_apart(project):
    results.save(record(project, "cc_b0_4e", correct=350), project)
    timings.save(bench(project, "cc_b0_4e"), project)
    found = row(project)
    assert (found.experts, found.pixels) == (4, 224)
    assert (found.params, found.macs) == (13_314_116, 396_513_888)
    assert (found.claimed_params, found.claimed_flops) == (13_310_000, 224_153_788)
    (claimed,) = found.of_kind("claimed")
    assert (claimed.dataset, claimed.top1, claimed.top5) == ("ImageNet", 0.7732, 0.9332)
    assert claimed.text == "77.32%"
    (measured,) = found.of_kind("measured")
    assert (measured.dataset, measured.top1) == ("scanned digits", 350 / 360)
    assert measured.low < measured.top1 < measured.high
    assert (found.latency.seconds, found.latency.threads) == (0.010, 2)


def test_what_nobody_claimed_or_measured_is_none(project):
    found = row(project, "cc_pico_4e")
    assert (found.claimed_params, found.claimed_flops, found.latency) == (None, None, None)
    assert found.results == ()


def test_an_accuracy_in_percent_without_its_sign_is_the_same_share(project):
    page = project.model_index / "tf-efficientnet-condconv.md"
    page.write_text(page.read_text("utf-8").replace("77.32%", "77.32"), "utf-8")
    assert row(project).of_kind("claimed")[0].top1 == 0.7732


def test_only_the_newest_result_of_the_registered_variant_counts_on_each_data_set(project):
    results.save(record(project, correct=100), project)
    results.save(record(project, correct=200, id="20260201T120000Z-fit-digits-1"), project)
    other = record(project, correct=300, id="20260202T120000Z-fit-digits-1", overrides={"seed": 1})
    results.save(other, project)
    assert [r.top1 for r in row(project, "cc_pico_4e").results] == [200 / 360]


def test_latency_is_of_one_image_by_the_fastest_engine(project):
    made = bench(project)
    faster = tuple(
        replace(timing, median=timing.low) if timing.engine == "openvino" else timing
        for timing in made.timings
    )
    timings.save(replace(made, timings=faster), project)
    latency = row(project, "cc_pico_4e").latency
    assert (latency.engine, latency.seconds) == (
        "openvino",
        made.timing("openvino", VARIANT, 1).low,
    )


def test_a_variant_that_was_timed_in_batches_alone_has_no_latency(project):
    timings.save(bench(project, batches=(16,)), project)
    assert row(project, "cc_pico_4e").latency is None


def test_text_of_several_lines_is_one_line(project):
    path = project.registry / "cc_pico_4e.yaml"
    path.write_text(path.read_text("utf-8").replace("summary: A", 'summary: "a\\n  b" #'), "utf-8")
    assert row(project, "cc_pico_4e").summary == "a b"


def test_json_says_all_that_a_row_does(project, capsys):
    results.save(record(project, "cc_b0_4e"), project)
    timings.save(bench(project, "cc_b0_4e"), project)
    assert cli.main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == [json.loads(json.dumps(rows.plain(row))) for row in rows.load(project)[0]]
    (one,) = [entry for entry in found if entry["name"] == "cc_b0_4e"]
    assert one["claimed"]["params"] == 13_310_000
    assert one["claimed"]["results"] == [{"dataset": "ImageNet", "top1": 0.7732, "top5": 0.9332}]
    assert one["computed"] == {"params": 13_314_116, "macs": 396_513_888}
    assert one["measured"]["results"][0]["top1"] == 350 / 360
    assert one["measured"]["latency"]["seconds"] == 0.010
