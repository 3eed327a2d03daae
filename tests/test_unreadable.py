"""Each image that cannot be decoded is said once."""

import multiprocessing

import pytest

from effcc.data.unreadable import Unreadable
from effcc.sources.decode import BadImage


def test_skipped_images_are_said_once_and_remembered(capsys):
    images = Unreadable("skip", 10)
    for position in (7, 3, 7):
        images.met(position, BadImage(f"{position}.png: cannot be decoded"))
    said = capsys.readouterr().err
    assert said == "7.png: cannot be decoded; skipped\n3.png: cannot be decoded; skipped\n"
    assert images.positions() == [3, 7]


def test_what_another_process_said_is_not_said_again(capsys):
    images = Unreadable("skip", 10)
    other = multiprocessing.get_context("fork").Process(
        target=images.met, args=(4, BadImage("4.png: cannot be decoded"))
    )
    other.start()
    other.join()
    images.met(4, BadImage("4.png: cannot be decoded"))
    assert capsys.readouterr().err == ""
    assert images.positions() == [4]


def test_what_may_not_be_skipped_is_an_error_that_says_how_it_may(capsys):
    images = Unreadable("fail", 10)
    with pytest.raises(BadImage, match=r"^a\.png: bad; --data\.on_error skip goes on without it$"):
        images.met(4, BadImage("a.png: bad"))
    assert (images.positions(), capsys.readouterr().err) == ([], "")
