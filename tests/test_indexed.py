"""Lists made with an index say what reading every record says, whatever became of either."""

import json
import multiprocessing
import os
import shutil
from dataclasses import replace

import pytest
import records
from conftest import copied
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effcc import cli
from effcc.catalog import glance, indexed, ledger, registry, results, routings, rows, timings
from effcc.catalog.seal import Seal

NAME = "cc_pico_4e"


def identity(second, what="fit-digits-0"):
    return f"20260131T1200{second:02}Z-{what}"


@pytest.fixture(autouse=True)
def cached(tmp_path_factory, monkeypatch):
    """A cache of the test's own, and an index however few the records."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EFFCC_CACHE", str(folder))
    monkeypatch.setattr(indexed, "WORTH", 1)
    monkeypatch.setattr(indexed, "_SETTLED", -(10**18))  # files are as old as they must be
    return folder


@pytest.fixture
def filled(project):
    """Records of every kind, of settings that are the registry's and others."""
    results.save(records.record(project, id=identity(1), correct=340), project)
    results.save(records.record(project, id=identity(2), correct=350), project)
    other = records.record(project, id=identity(3), settings={"recipe.lr": 0.5})
    results.save(other, project)
    away = replace(other.dataset, fingerprint="sha256:" + "cd" * 32)
    results.save(records.record(project, id=identity(4), dataset=away), project)
    timings.save(records.bench(project, id=identity(5, "bench-2-threads")), project)
    routings.save(records.routing(project, id=identity(6, "routing-digits-test")), project)
    return project


@pytest.fixture
def reads(monkeypatch):
    """The names of the records that were read, as they are."""
    found = []
    real = indexed.opened

    def opened(path, home):
        found.append(path.name)
        return real(path, home)

    monkeypatch.setattr(indexed, "opened", opened)
    return found


def by_index(home):
    """What lists say of every record, and which files they call wrong."""
    differs = ledger.differing(home)
    files = ledger.listed(home)
    said = [
        (one.line.glance, differs(one, one.line.glance)) for one in files if not one.line.is_none
    ]
    return said, {home.shown(one.path(home)) for one in files if one.line.is_wrong}


def by_reading(home):
    entries = {entry.spec.name: entry for entry in registry.entries(home)}
    found, problems = records.everything(home)
    said = [
        (
            glance.of(record),
            indexed.differs(entries[record.variant], record)
            if record.variant in entries
            else "the variant is gone",
        )
        for record in found
    ]
    return said, {problem.place.file for problem in problems}


def row(home):
    (found,) = [found for found in rows.load(home)[0] if found.name == NAME]
    return found


def row_by_reading(home, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(indexed, "WORTH", 10**9)
        return row(home)


def files_of(home):
    return sorted((home.results / NAME).glob("*.json"))


def test_the_index_says_what_reading_says(filled, monkeypatch):
    assert by_index(filled) == by_reading(filled)
    assert row(filled) == row_by_reading(filled, monkeypatch)
    assert len(row(filled).of_kind("measured")) == 2


def test_a_second_list_reads_no_record_but_those_it_shows(filled, reads):
    by_index(filled)
    assert sorted(set(reads)) == [path.name for path in files_of(filled)]
    reads.clear()
    ledger.listed(filled)
    assert reads == []
    row(filled)
    # The newest time, and a headline for each of two kinds of images: none of the others.
    shown = [identity(5, "bench-2-threads"), identity(4), identity(2)]
    assert reads == [f"{name}.json" for name in shown]


def test_a_folder_of_few_records_has_no_index(filled, cached, monkeypatch):
    monkeypatch.setattr(indexed, "WORTH", len(files_of(filled)) + 1)
    assert by_index(filled) == by_reading(filled)
    row(filled)
    assert list(cached.rglob("*")) == []


def test_only_what_changed_is_read_again(filled, reads):
    ledger.listed(filled)
    reads.clear()
    path = files_of(filled)[1]
    path.write_text(path.read_text("utf-8").replace('"seed": 0', '"seed": 7'))
    results.save(records.record(filled, id=identity(7)), filled)
    files_of(filled)[0].unlink()
    ledger.listed(filled)
    assert sorted(reads) == [path.name, f"{identity(7)}.json"]
    assert by_index(filled) == by_reading(filled)


def test_an_edit_whose_time_was_set_back_is_seen(filled):
    ledger.listed(filled)
    path = files_of(filled)[1]
    was = path.stat()
    path.write_text(path.read_text("utf-8").replace('"seed": 0', '"seed": 7'))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (was.st_size, was.st_mtime_ns)
    seals = {seen.id: seen.seal for seen, _ in by_index(filled)[0]}
    assert seals[path.stem] is Seal.BROKEN


def test_an_edit_that_no_time_shows_deceives_no_check_no_card_and_no_row(
    filled, monkeypatch, capsys
):
    assert cli.main(["list"]) == 0
    stamps = indexed._listed(filled.results / NAME)
    for path in files_of(filled)[:2]:
        path.write_text(path.read_text("utf-8").replace('"seed": 0', '"seed": 7'))
    monkeypatch.setattr(indexed, "_listed", lambda folder: stamps if NAME in str(folder) else {})
    measured = row(filled).of_kind("measured")
    assert [result.top1 for result in measured] == [350 / 360]  # of the other images
    assert cli.main(["check"]) == 1
    assert capsys.readouterr().err.count("digest: edited by hand") == 2


def test_a_file_that_may_change_within_the_same_tick_is_not_believed(filled, reads, monkeypatch):
    monkeypatch.setattr(indexed, "_SETTLED", 10**12)
    ledger.listed(filled)
    reads.clear()
    ledger.listed(filled)
    assert reads == [path.name for path in files_of(filled)]


def test_a_change_of_the_registry_is_seen_at_once(filled, monkeypatch):
    by_index(filled)
    row(filled)
    path = registry.file(NAME, filled)
    text = path.read_text("utf-8")
    assert "experts: 4" in text
    path.write_text(text.replace("experts: 4", "experts: 2"))
    assert row(filled).results == row_by_reading(filled, monkeypatch).results
    assert not row(filled).of_kind("measured")
    assert by_index(filled) == by_reading(filled)
    assert row(filled) == row_by_reading(filled, monkeypatch)
    path.unlink()
    assert by_index(filled) == by_reading(filled)


def damage(path, how):
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "flipped":
        path.write_bytes(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "another format":
        path.write_bytes(content.replace(b"records ", b"records 9", 1))
    elif how == "no text":
        path.write_bytes(os.urandom(300))
    else:
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "another format", "no text", "folder"])
def test_a_damaged_index_is_none(filled, cached, reads, how):
    ledger.listed(filled)
    (path,) = cached.rglob("*.index")
    damage(path, how)
    reads.clear()
    assert by_index(filled) == by_reading(filled)
    assert set(reads) == {path.name for path in files_of(filled)}
    if how != "folder":  # made again
        reads.clear()
        ledger.listed(filled)
        assert reads == []


def test_what_another_version_wrote_is_read_again(filled, reads, monkeypatch):
    ledger.listed(filled)
    reads.clear()
    monkeypatch.setattr("effcc.__version__", "999.0")
    ledger.listed(filled)
    assert sorted(set(reads)) == [path.name for path in files_of(filled)]


def test_a_cache_that_cannot_be_written_is_no_cache(filled, tmp_path, monkeypatch):
    plain = tmp_path / "plain"
    plain.write_text("a file where the cache should be")
    monkeypatch.setenv("EFFCC_CACHE", str(plain / "cache"))
    assert by_index(filled) == by_reading(filled)


def test_a_file_whose_name_no_line_can_hold_is_read_each_time(filled, cached):
    folder = filled.results / NAME
    for name in ("a\tb.json", "c\nd.json", "ü.json"):
        (folder / name).write_text("{}")
    (folder / "to nothing.json").symlink_to("nowhere")
    for _ in range(2):
        assert by_index(filled) == by_reading(filled)
        assert len(by_index(filled)[1]) == 4
    (path,) = cached.rglob("*.index")
    assert b"nowhere" not in path.read_bytes()


def _list(home, answers):
    answers.put([seen.id for seen, _ in by_index(home)[0]])


def test_processes_that_list_at_once_do_not_disturb_each_other(filled):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    started = [context.Process(target=_list, args=(filled, answers)) for _ in range(4)]
    for process in started:
        process.start()
    found = [answers.get(timeout=60) for _ in started]
    for process in started:
        process.join(60)
    assert found == [[path.stem for path in files_of(filled)]] * 4
    assert by_index(filled) == by_reading(filled)


EDITS = ("edit", "drop", "garble", "add", "touch", "registry", "forget")


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 5)), max_size=5))
def test_whatever_happens_to_the_files_lists_say_what_reading_says(
    tmp_path_factory, cached, monkeypatch, edits
):
    home = copied(tmp_path_factory.mktemp("edits"))
    for path in home.registry.glob("cc_b*.yaml"):
        path.unlink()  # which nobody measured here
    for second in range(4):
        lr = {} if second % 2 else {"recipe.lr": 0.5}
        results.save(records.record(home, id=identity(second), settings=lr), home)
    timings.save(records.bench(home, id=identity(5, "bench-2-threads")), home)
    by_index(home)
    for number, (edit, which) in enumerate(edits):
        found = files_of(home)
        path = found[which % len(found)] if found else None
        if edit == "add":
            results.save(records.record(home, id=identity(10 + number), correct=number), home)
        elif edit == "registry":
            file = registry.file(NAME, home)
            text = file.read_text("utf-8")
            now, then = ("experts: 4", "experts: 2")[:: 1 if number % 2 else -1]
            file.write_text(text.replace(now, then))
        elif edit == "forget":
            shutil.rmtree(cached / "records", ignore_errors=True)
        elif path and edit == "edit":
            path.write_text(path.read_text("utf-8").replace('"seed": 0', f'"seed": {number + 1}'))
        elif path and edit == "drop":
            path.unlink()
        elif path and edit == "garble":
            path.write_text("{")
        elif path:
            os.utime(path)
        assert by_index(home) == by_reading(home)
        assert row(home) == row_by_reading(home, monkeypatch)


def test_a_glance_comes_back_from_its_line(filled):
    for one in ledger.listed(filled):
        assert glance.read(glance.text(one.line.glance)) == one.line.glance
        assert not set("\t\n") & set(one.line.text)


def test_what_a_line_says_has_not_changed_unless_its_format_has(filled):
    said = [sorted(json.loads(one.line.text)) for one in ledger.listed(filled)]
    keys = [*("commit", "dirty", "figure", "figures", "id", "images", "kind", "like", "on")]
    keys += ["own", "seal", "seed", "variant", "verb"]
    assert (indexed._FORMAT, said) == (1, [keys] * 6)


# The verb


def test_a_list_of_very_many_shows_the_newest_and_says_so(filled, monkeypatch, capsys):
    from effcc import ledger as verb

    monkeypatch.setattr(verb, "_MOST", 2)
    assert cli.main(["results", "list"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        identity(5, "bench-2-threads"),
        identity(6, "routing-digits-test"),
    ]
    assert err == "the newest 2 of 6 records; --all lists the others too\n"
    assert cli.main(["results", "list", "--all"]) == 0
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), err) == (7, "")
    assert cli.main(["results", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 6


def test_all_is_of_a_list(filled, capsys):
    assert cli.main(["results", "show", identity(1), "--all"]) == 2
    assert capsys.readouterr().err == "results: --all goes with list\n"
