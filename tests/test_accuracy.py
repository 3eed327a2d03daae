"""A claimed accuracy is a count of images, and lies where a record of the same images says."""

from dataclasses import replace

import pytest
from records import record

from effcc.catalog.results import Metric, Run
from effcc.catalog.results import accuracy as measured
from effcc.claims.claim import Claim, Fact, Result
from effcc.ground.errors import Place
from effcc.proof import accuracy


def fact(text):
    return Fact(text, text, Place("page.md", 7, 1))


def claim(top1, top5=None, dataset="ImageNet"):
    metrics = {"Top 1 Accuracy": fact(top1)} | ({"Top 5 Accuracy": fact(top5)} if top5 else {})
    results = (Result("Image Classification", dataset, metrics),)
    return Claim("a", results=results, place=Place("page.md"))


def rows(claim, runs=()):
    return {row.key.partition(",")[0]: row for row in accuracy.comparisons(claim, runs)}


def on(project, correct, *, top5=50_000, n=50_000, **dataset):
    made = record(project)
    told = {"title": "ImageNet", "split": "test", "images": n} | dataset
    metrics = {"top1": measured(correct, n), "top5": measured(min(n, max(correct, top5)), n)}
    return Run(replace(made, dataset=replace(made.dataset, **told), metrics=metrics), "")


@pytest.mark.parametrize(
    ("text", "images", "possible"),
    [
        ("77.32%", 50_000, True),
        ("77.324%", 50_000, True),
        ("77.321%", 50_000, False),  # 38,660.5 images
        ("77.321", 50_000, False),
        ("98.06%", 360, True),  # 353
        ("98.07%", 360, False),
        ("50%", 3, False),
        ("100.0%", 360, True),
        ("0.0%", 360, True),
    ],
)
def test_a_percentage_is_a_count_of_images_or_cannot_be(text, images, possible):
    assert accuracy.is_count(fact(text), images) == possible


def test_percent_may_be_written_or_meant():
    for text in ("77.32%", "77.32", "0.7732"):
        assert fact(text).share == 0.7732
        assert accuracy.is_count(fact(text), 50_000)


def test_what_could_be_so_is_not_compared_and_what_could_not_differs():
    possible, impossible = rows(claim("77.324%"))["Top 1 Accuracy"], rows(claim("77.321%"))
    assert (possible.computed, possible.verdict) == ("about 38,662 of 50,000", "not compared")
    assert impossible["Top 1 Accuracy"].computed == "no count of 50,000 images"
    assert impossible["Top 1 Accuracy"].verdict == "differs"


def test_an_accuracy_on_images_that_nobody_counted_is_not_compared():
    row = rows(claim("77.321%", dataset="my pictures"))["Top 1 Accuracy"]
    assert (row.computed, row.verdict) == ("", "not compared")


@pytest.mark.parametrize("text", ["101%", "-1%"])
def test_no_accuracy_is_more_than_all_or_less_than_none(text):
    assert rows(claim(text))["Top 1 Accuracy"].verdict == "differs"


def test_top_5_is_no_less_than_top_1():
    assert rows(claim("77.32%", "77.32%"))["Top 5 Accuracy"].agrees is not False
    row = rows(claim("77.32%", "77.30%"))["Top 5 Accuracy"]
    assert (row.computed, row.verdict) == ("no less than top-1, 77.32%", "differs")


def test_a_record_of_the_same_images_bears_a_claim_out_or_contradicts_it(project):
    near, far = on(project, 38_660), on(project, 38_000)
    row = rows(claim("77.32%"), [near])["Top 1 Accuracy"]
    assert (row.verdict, row.measured) == ("agrees", "38,660 of 50,000, 77.0 to 77.7 %")
    row = rows(claim("77.32%"), [far])["Top 1 Accuracy"]
    assert (row.verdict, row.measured) == ("differs", "38,000 of 50,000, 75.6 to 76.4 %")


def test_a_claim_at_the_edge_of_the_interval_agrees_as_precisely_as_it_is_written():
    metric = Metric(0.95, 342, 360, 0.922356, 0.968142)
    for text, within in (("96.8%", True), ("96.9%", False), ("92.2%", True), ("92.1%", False)):
        assert accuracy.lies_within(fact(text), metric) == within


@pytest.mark.parametrize(
    "other",
    [
        {"title": "100 of ImageNet's 1,000 classes", "name": "imagenet"},
        {"split": "val"},
        {"title": "handwritten digits"},
    ],
)
def test_records_of_other_images_say_nothing(project, other):
    row = rows(claim("77.32%"), [on(project, 38_000, **other)])["Top 1 Accuracy"]
    assert (row.measured, row.verdict) == ("", "not compared")


def test_records_of_other_settings_say_nothing(project):
    run = replace(on(project, 38_000), differs="recipe.epochs 3")
    assert rows(claim("77.32%"), [run])["Top 1 Accuracy"].verdict == "not compared"


def test_the_newest_record_is_the_one_that_counts(project):
    runs = [on(project, 38_660), on(project, 38_000)]  # newest first
    assert rows(claim("77.32%"), runs)["Top 1 Accuracy"].verdict == "agrees"
    assert rows(claim("77.32%"), runs[::-1])["Top 1 Accuracy"].verdict == "differs"


def test_a_claim_on_a_named_split_is_that_of_its_records(project):
    run = on(project, 350, n=360, title="scanned digits", split="test")
    row = rows(claim("97.2%", dataset="Scanned digits, test split"), [run])["Top 1 Accuracy"]
    assert row.verdict == "agrees"
    row = rows(claim("97.3%", dataset="scanned digits"), [run])["Top 1 Accuracy"]
    assert (row.computed, row.verdict) == ("no count of 360 images", "differs")


def test_in_a_record_top_1_is_no_more_than_top_5(project):
    right = on(project, 38_000)
    row = rows(claim("77.32%"), [right])["Records"]
    assert (row.verdict, row.measured) == ("agrees", "1 record")
    metrics = right.record.metrics | {"top5": measured(37_999, 50_000)}
    wrong = replace(right, record=replace(right.record, metrics=metrics))
    row = rows(claim("77.32%"), [right, wrong])["Records"]
    assert row.verdict == "differs"
    assert row.place.file == "registry/results/cc_pico_4e/20260131T120000Z-fit-digits-0.json"


def test_metrics_that_are_no_counts_are_not_compared():
    metrics = {"box AP": fact("39.3"), "FPS": fact("-")}
    other = replace(claim("1%"), results=(Result("t", "COCO", metrics),))
    rows = {row.key: row.verdict for row in accuracy.comparisons(other, [])}
    assert rows == {"box AP, COCO": "not compared", "FPS, COCO": "not compared"}
