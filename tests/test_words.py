"""Numbers in a sentence agree with what they count."""

import re

import pytest
from conftest import ROOT

from effcc.ground.words import many


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (many(0, "image"), "0 images"),
        (many(1, "image"), "1 image"),
        (many(1257, "image"), "1,257 images"),
        (many(1, "class", "classes"), "1 class"),
        (many(2, "class", "classes"), "2 classes"),
        (many(1.0, "epoch"), "1 epoch"),
        (many(2.4, "epoch"), "2.4 epochs"),
        (many(0.5, "epoch"), "0.5 epochs"),
    ],
)
def test_a_number_and_its_word_agree(said, written):
    assert said == written


COUNTED = "image|problem|class|variant|record|claim|page|model|shard|stage|epoch|step|device"


def test_no_message_writes_a_plural_after_a_number_by_hand():
    """`{len(problems)} problems` says `1 problems` some day."""
    by_hand = re.compile(rf"\}} (?:[a-z]+ )?(?:{COUNTED})(?:s|es|\(s\))\b(?!/s)")
    known = {
        "devices here are",  # measured between devices, so there are several
        "of ImageNet's {CLASSES:,} classes",
        "none of the {len(self.classes)} classes",
        *("no {lacking[0]} images", "the {name} images"),  # of a split, by its name
    }
    for path in sorted((ROOT / "effcc").rglob("*.py")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if by_hand.search(line) and not any(words in line for words in known):
                raise AssertionError(f"{path.name}:{number}: {line.strip()}")
