"""Values as a person reads them."""

from dataclasses import replace

from records import record

from effcc import terminal


def test_an_outcome_says_how_many_images_do_not_count(project):
    made = record(project)
    assert "unreadable" not in terminal.outcome(made)
    some = replace(made, dataset=replace(made.dataset, unreadable=3))
    assert "unreadable  3 images, which do not count" in terminal.outcome(some)
