"""Records are found by what people type, and compared only where they can be."""

import json
from dataclasses import replace

import pytest
import records

from effcc import cli
from effcc.catalog import ledger, registry, results, timings
from effcc.catalog.timings import VARIANT, Timing
from effcc.ground.errors import UsageError

FIRST, SECOND, OTHER, TIME = (
    *("20260131T120000Z-fit-digits-0", "20260131T120500Z-fit-digits-1"),
    *("20260201T120000Z-fit-digits-0", "20260202T120000Z-bench-2-threads"),
)


@pytest.fixture
def filled(project):
    """Three accuracies, of two variants, and a time."""
    results.save(records.record(project, id=FIRST, correct=351), project)
    results.save(records.record(project, id=SECOND, correct=356, seed=1), project)
    results.save(records.record(project, "cc_b0_4e", id=OTHER, correct=300), project)
    timings.save(records.bench(project, id=TIME), project)
    return project


@pytest.fixture
def effcc(filled, capsys):
    """`effcc results ...`: (exit code, standard output, standard error)."""

    def run(*words):
        code = cli.main(["results", *words])
        return code, *capsys.readouterr()

    return run


# Found


@pytest.mark.parametrize(
    "word",
    [
        FIRST,
        FIRST[:14],
        f"cc_pico_4e/{FIRST}",
        "cc_pico_4e/20260131T1200",
        f"registry/results/cc_pico_4e/{FIRST}.json",
    ],
)
def test_a_record_is_found_by_the_start_of_its_id_its_variant_or_its_path(filled, word):
    assert ledger.find(word, filled).id == FIRST


def test_a_record_is_found_from_another_folder(filled, monkeypatch):
    monkeypatch.chdir(filled.root / "registry")
    for word in (f"results/cc_pico_4e/{FIRST}.json", f"registry/results/cc_pico_4e/{FIRST}.json"):
        assert ledger.find(word, filled).id == FIRST


def test_an_id_that_begins_another_is_no_doubt(filled):
    results.save(records.record(filled, id=f"{FIRST}0"), filled)
    assert ledger.find(FIRST, filled).id == FIRST


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("202601", f"could be cc_pico_4e/{FIRST}, cc_pico_4e/{SECOND}; write more of it"),
        (f"cc_b0_4e/{FIRST}", f"did you mean 'cc_pico_4e/{FIRST}'?"),
        (FIRST.replace("fit", "fti"), f"did you mean '{FIRST}'?"),
        (f"registry/results/cc_pico_4e/{FIRST}0.json", f"did you mean '{FIRST}'?"),
        ("nothing", "effcc results list"),
        ("", "could be"),
        ("../../../etc/passwd", "no record"),
        ("*", "no record"),
    ],
)
def test_what_is_unclear_is_one_line_with_the_nearest_and_exit_code_2(effcc, word, said):
    code, out, err = effcc("show", word)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


@pytest.mark.parametrize(
    "words",
    [("show",), ("show", FIRST, SECOND), ("compare", FIRST), ("diff", FIRST), ("list", "a", "b")],
)
def test_too_few_or_many_records_are_told_how_many(effcc, words):
    code, _, err = effcc(*words)
    assert (code, err.count("\n")) == (2, 1)


def test_two_variants_may_have_the_same_id(filled):
    timings.save(records.bench(filled, "cc_b0_4e", id=TIME), filled)
    with pytest.raises(UsageError, match=f"could be cc_b0_4e/{TIME}, cc_pico_4e/{TIME}"):
        ledger.find(TIME, filled)
    assert ledger.find(f"cc_b0_4e/{TIME}", filled).variant == "cc_b0_4e"


# List


def test_the_list_has_every_record_newest_last(effcc):
    _, out, _ = effcc("list")
    assert [line.split()[0] for line in out.splitlines()[1:]] == [FIRST, SECOND, OTHER, TIME]
    first = out.splitlines()[1]
    for part in ("cc_pico_4e", "fit", "scanned digits, test", "97.5 % (95.3 to 98.7)", "sealed"):
        assert part in first
    assert "10 ms of 1 by torch" in out.splitlines()[-1]


def test_the_list_of_one_variant_has_no_others(effcc):
    _, out, _ = effcc("list", "cc_b0_4e")
    assert [line.split()[0] for line in out.splitlines()[1:]] == [OTHER]
    code, out, err = effcc("list", "cc_b0_8e")
    assert (code, err) == (0, "")
    assert "nothing was measured yet" in out
    assert effcc("list", "cc_b0_9e")[2] == (
        "no variant 'cc_b0_9e' in registry/; did you mean 'cc_b0_8e'?\n"
    )


def test_the_list_is_for_programs_too(effcc):
    rows = json.loads(effcc("list", "--json")[1])
    assert [row["id"] for row in rows] == [FIRST, SECOND, OTHER, TIME]
    assert rows[0] == {
        **{"id": FIRST, "variant": "cc_pico_4e", "verb": "fit", "on": "scanned digits, test"},
        **{"seed": 0, "commit": None, "dirty": None, "seal": "sealed", "differs": ""},
        **{"fingerprint": "sha256:" + "ab" * 32},
        **{"top1": 0.975, "low": 0.953177, "high": 0.986793, "n": 360},
    }
    assert rows[-1]["seconds_a_call"]["torch, variant, batch 1"] == 0.010


def test_the_list_shows_what_was_edited_what_differs_and_what_is_no_record(filled, effcc):
    folder = filled.results / "cc_pico_4e"
    path = folder / f"{FIRST}.json"
    path.write_text(path.read_text("utf-8").replace('"seed": 0', '"seed": 7'))
    (folder / "20270101T000000Z-fit-digits-0.json").write_text("{")
    changed = records.record(filled, id="20260301T120000Z-fit-digits-0", settings={"recipe.lr": 1})
    results.save(changed, filled)
    registry.file("cc_b0_4e", filled).unlink()
    code, out, _ = effcc("list")
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert code == 0
    assert lines[FIRST].endswith("edited by hand")
    assert lines["20260301T120000Z-fit-digits-0"].endswith("recipe.lr 1")
    assert lines[OTHER].endswith("the variant is gone")
    assert lines["wrong,"].count(".json") == 2


def test_the_check_reports_an_edit_with_its_place_and_fails(filled, capsys):
    assert cli.main(["check"]) == 0
    path = filled.results / "cc_pico_4e" / f"{FIRST}.json"
    path.write_text(path.read_text("utf-8").replace('"seed": 0', '"seed": 7'))
    capsys.readouterr()
    assert cli.main(["check"]) == 1
    said = capsys.readouterr().err
    assert f"registry/results/cc_pico_4e/{FIRST}.json:" in said
    assert "digest: edited by hand" in said
    assert cli.main(["list"]) == cli.main(["docs"]) == 0
    (row,) = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith("cc_pico_4e")
    ]
    assert "98.9 % on" in row  # the other one's


def test_a_value_too_long_for_a_line_is_called_changed(filled, effcc):
    stage = {"repeats": 1, "kernel": 3, "stride": 1, "expand": 1, "out": 16}
    made = records.record(
        filled,
        id="20260301T120000Z-fit-digits-0",
        settings={"network.stages": [stage], "recipe.augment.crop_area": [0.5, 1.0]},
    )
    results.save(replace(made, overrides={**made.overrides, "recipe.pretrained": True}), filled)
    said = "network.stages changed, recipe.augment.crop_area [0.5, 1.0], recipe.pretrained true"
    assert said in effcc("list")[1]
    assert cli.main(["docs"]) == 0
    card = (filled.models / "cc_pico_4e.md").read_text("utf-8")
    assert "network.stages changed" in card
    assert "repeats" not in card.partition("## Measured")[2].partition("\n## ")[0]


# Show


def test_show_prints_everything_in_the_order_of_the_record(filled, effcc):
    _, out, _ = effcc("show", FIRST)
    data = json.loads((filled.results / "cc_pico_4e" / f"{FIRST}.json").read_text("utf-8"))
    head, _, body = out.partition("\n\n")
    assert head == f"cc_pico_4e/{FIRST}: sealed"
    top = [line.split()[0] for line in body.splitlines() if not line.startswith(" ")]
    assert top == list(data)
    words = body.split()

    def leaves(value):
        if isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from leaves(inner)
        else:
            yield value if isinstance(value, str) else json.dumps(value)

    for leaf in leaves(data):
        assert set(str(leaf).split()) <= {word.strip("[],") for word in words} | set(words), leaf


def test_show_json_is_the_record(filled, effcc):
    path = filled.results / "cc_pico_4e" / f"{TIME}.json"
    assert effcc("show", TIME, "--json")[1] == path.read_text("utf-8")


# Compare


def test_accuracies_on_the_same_images_are_held_against_chance(effcc):
    _, out, _ = effcc("compare", FIRST, SECOND, OTHER)
    assert "351 of 360" in out
    assert f"{SECOND} beside {FIRST}: +1.4 points, which chance explains (p = 0.26)" in out
    assert f"{OTHER} beside {FIRST}: -14.2 points, more than chance explains (p = 3" in out
    assert "Fisher's exact test, two-sided" in out
    (pair,) = json.loads(effcc("compare", FIRST, SECOND, "--json")[1])
    assert pair["p"] == pytest.approx(0.26, abs=0.005)
    assert pair["test"] == "Fisher's exact test, two-sided"


def test_accuracies_on_other_images_are_not_compared(filled, effcc):
    made = records.record(filled, id="20260301T120000Z-fit-digits-0", correct=100)
    other = replace(made, dataset=replace(made.dataset, fingerprint="sha256:" + "ef" * 32))
    results.save(other, filled)
    code, out, _ = effcc("compare", FIRST, "20260301")
    assert code == 0
    assert "on other images, so the figures cannot be compared" in out
    assert "points" not in out
    assert "p =" not in out


def test_an_edited_accuracy_is_not_compared(filled, effcc):
    path = filled.results / "cc_pico_4e" / f"{SECOND}.json"
    path.write_text(path.read_text("utf-8").replace('"seed": 1', '"seed": 7'))
    _, out, _ = effcc("compare", FIRST, SECOND)
    assert f"not compared, {SECOND} was edited by hand" in out
    assert "p =" not in out


def test_times_are_compared_by_their_ratio(filled, effcc):
    made = records.bench(filled, id="20260301T120000Z-bench-2-threads")

    def slower(timing: Timing):
        factor = 1.5 if timing.network == VARIANT else 1
        values = {name: getattr(timing, name) for name in ("low", "median", "high", "p99")}
        return replace(timing, **{key: v and v * factor for key, v in values.items()})

    timings.save(replace(made, timings=tuple(map(slower, made.timings))), filled)
    _, out, _ = effcc("compare", TIME, "20260301")
    rows = {line.rsplit("  ", 2)[0].strip(): line.split() for line in out.splitlines()}
    assert next(v for k, v in rows.items() if k.startswith("torch, variant, batch 1 "))[-2:] == [
        "15",
        "(1.50×)",
    ]
    assert "another machine" not in out
    device = dict(made.device) | {"name": "another processor"}
    there = replace(made, id="20260302T120000Z-bench-2-threads", device=device)
    timings.save(there, filled)
    assert "another machine or other threads" in effcc("compare", TIME, "20260302")[1]


def test_an_accuracy_is_not_compared_with_a_time(effcc):
    code, _, err = effcc("compare", FIRST, TIME)
    assert (code, err.count("\n")) == (2, 1)
    assert "records of one kind" in err


# Diff


def test_diff_says_what_differs_by_dotted_key_and_nothing_else(filled, effcc):
    one = records.record(filled, id="20260301T120000Z-fit-digits-0")
    other = records.record(
        filled,
        id="20260302T120000Z-fit-digits-3",
        settings={"recipe.lr": 0.5, "recipe.augment.hflip": 0.25},
        seed=3,
        git={"commit": "ab" * 20, "dirty": True},
        versions={"python": "3.12.0", "torch": "2.9.0", "numpy": "2.0"},
        device={"kind": "cpu", "count": 1, "name": "a processor", "threads": 8},
        seconds=1.0,
        correct=359,
    )
    for made in (one, other):
        results.save(made, filled)
    found = json.loads(effcc("diff", "20260301", "20260302", "--json")[1])
    assert found == {
        "settings.recipe.lr": [0.006, 0.5],
        "settings.recipe.augment.hflip": [0.0, 0.25],
        "overrides.recipe.lr": [None, 0.5],
        "overrides.recipe.augment.hflip": [None, 0.25],
        "seed": [0, 3],
        "git.commit": [None, "ab" * 20],
        "git.dirty": [None, True],
        "versions.python": ["3.11.0", "3.12.0"],
        "versions.numpy": [None, "2.0"],
        "device.threads": [2, 8],
    }
    _, out, _ = effcc("diff", "20260301", "20260302")
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(found)


def test_a_setting_that_is_newer_than_a_record_had_its_default(filled):
    made = records.record(filled, id="20260301T120000Z-fit-digits-0")
    older = json.loads(json.dumps(dict(made.settings)))
    del older["recipe"]["head_lr"], older["data"]["decoder"], older["recipe"]["augment"]["mixup"]
    results.save(replace(made, settings=older), filled)
    found = ledger.differences(ledger.find(FIRST, filled), ledger.find("20260301", filled))
    assert found == {}


def test_an_accuracy_and_a_time_have_no_differences_worth_a_table(effcc):
    code, out, err = effcc("diff", FIRST, TIME)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("results diff: an accuracy and a time")


def test_two_of_the_same_differ_by_nothing(effcc):
    assert "no difference but in what came out" in effcc("diff", FIRST, FIRST)[1]


def test_shipped_records_can_be_listed_shown_and_compared(shipped, monkeypatch, capsys):
    monkeypatch.chdir(shipped.root)
    found, problems = records.everything(shipped)
    assert (len(found) > 6, problems) == (True, [])
    for record in found:
        assert cli.main(["results", "show", f"{record.variant}/{record.id}"]) == 0
        sealed = record.filed.data["schema"] == 2
        expected = ": sealed" if sealed else ": from before records were sealed"
        assert expected in capsys.readouterr().out.splitlines()[0]
