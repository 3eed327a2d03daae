"""Values as a person reads them."""

from dataclasses import replace

from records import record

from effcc import terminal


def test_an_outcome_says_how_many_images_do_not_count(project):
    made = record(project)
    assert "unreadable" not in terminal.outcome(made)
    some = replace(made, dataset=replace(made.dataset, unreadable=3))
    assert "unreadable  3 images, which do not count" in terminal.outcome(some)


def test_a_heading_and_a_table_print_what_a_file_says_as_words():
    assert terminal.heading("a", "[/b] [red]\x1b[2J").plain == "a  [/b] [red]\\x1b[2J"
    assert terminal.table(("a",), [("\x1b[2J\n",)]) == "a\n\\x1b[2J\\n"
