"""A written value is doubted where readers of YAML differ, or where it cannot be true."""

from decimal import Decimal

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from effcc.claims import values
from effcc.ground.nodes import unquoted


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("1e-5", "1.0e-5"),
        ("1E5", "1.0E+5"),
        ("1.5e5", "1.5e+5"),
        ("-.5", "-0.5"),
        ("+.5e1", "+0.5e+1"),
        ("1.e3", "1.0e+3"),
    ],
)
def test_a_number_that_is_text_to_pyyaml_is_written_better(text, better):
    doubt = values.plain(text)
    assert (doubt.code, doubt.mend) == ("MI041", better)
    assert yaml.safe_load(text) == text
    assert Decimal(yaml.safe_load(better)) == Decimal(unquoted(text))


@pytest.mark.parametrize(
    "text",
    ["no", "Yes", "on", "OFF", "010", "-017", "0o17", "12:30", "1_000", "2019-04-10", "=", "08"],
)
def test_a_word_that_readers_take_differently_is_quoted(text):
    doubt = values.plain(text)
    assert (doubt.code, doubt.mend) == ("MI042", f"'{text}'")
    assert yaml.safe_load(doubt.mend) == text


@pytest.mark.parametrize(
    "text",
    [
        *("0.875", "1.0e-05", "224", "0", "-1", "77.32%", "bicubic", "true", "null", "~", ""),
        *("v2.0.0", "8x V100 GPUs", ".inf", "0x1F", "nowhere", "39.3 (37.9)", "33G", "00"),
    ],
)
def test_what_every_reader_takes_alike_is_no_doubt(text):
    assert values.plain(text) is None


numbers = st.from_regex(r"[-+]?([0-9]{0,3}\.)?[0-9]{1,3}([eE][-+]?[0-9]{1,2})?", fullmatch=True)


@given(numbers | st.text(alphabet="0123456789.eE+-:_xonyesOFN", min_size=1, max_size=8))
def test_no_doubt_means_that_both_versions_of_yaml_agree_and_a_mend_makes_them(text):
    assume(is_one_scalar(text))
    doubt = values.plain(text)
    if doubt is None:
        assert same(pyyaml(text), unquoted(text))
    else:
        again = values.plain(doubt.mend) if doubt.code == "MI041" else None
        assert again is None
        expected = unquoted(text) if doubt.code == "MI041" else text
        assert same(pyyaml(doubt.mend), expected)


def is_one_scalar(text):
    try:
        return [node.value for node in yaml.compose(f"[{text}]").value] == [text]
    except yaml.YAMLError:
        return False


def pyyaml(text):
    return yaml.safe_load(f"[{text}]")[0]


def same(one, other):
    return one == other and type(one) is type(other)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("count", "13310000"),
        ("count", "13.3M"),
        ("count", "33G"),
        ("count", "4.1 G"),
        ("whole", "224"),
        ("positive", "1e-5"),
        ("fraction", "0.875"),
        ("fraction", "1"),
        ("fraction", "87.5%"),
        ("interpolation", "bicubic"),
    ],
)
def test_figures_as_people_write_them_are_figures(kind, text):
    assert values.figure(kind, text) is None


@pytest.mark.parametrize(
    ("kind", "text", "code"),
    [
        ("count", "-5", "MI045"),
        ("whole", "0", "MI045"),
        ("whole", "3.5", "MI045"),
        ("positive", "0", "MI045"),
        ("fraction", "87.5", "MI045"),
        ("count", "13,3M", "MI044"),
        ("positive", "fast", "MI044"),
        ("interpolation", "cubic", "MI044"),
        ("count", "-", "MI040"),
        ("count", "5.3M / 6.1M", "MI043"),
        ("positive", "0.1, 0.01", "MI043"),
    ],
)
def test_a_figure_that_is_none_is_told_from_one_that_cannot_be(kind, text, code):
    assert values.figure(kind, text).code == code


def test_an_interpolation_in_other_letters_is_written_better():
    assert values.figure("interpolation", "Bicubic").mend == "bicubic"


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("Top 1 Accuracy", "77.32%", None),
        ("Top 1 Accuracy", "77.32", None),
        ("Top 1 Accuracy", "0.7732", None),
        ("Top 1 Accuracy", "177.32%", "MI045"),
        ("Top-5", "101", "MI045"),
        ("mean accuracy", "-1", "MI045"),
        ("Top 1 Error", "123", None),
        ("PSNR", "123.4", None),
        ("box AP", "39.3 (37.9)", "MI043"),
        ("box AP", "58.17/87.00/69.30", "MI043"),
        ("box AP", "39.3 ± 0.2", "MI043"),
        ("box AP", "-", "MI040"),
        ("box AP", "N/A", "MI040"),
        ("Language", "French", None),
    ],
)
def test_a_metric_holds_one_figure_that_can_be_true(name, text, code):
    doubt = values.metric(name, text)
    assert (doubt.code if doubt else None) == code


@pytest.mark.parametrize(
    ("name", "k"),
    [("Top 1 Accuracy", 1), ("top-5", 5), ("TOP5 acc", 5), ("Top 1 Error", None), ("mAP", None)],
)
def test_the_metrics_that_count_the_first_k_are_known(name, k):
    assert values.top(name) == k


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("https://example.org/a?b#c", None),
        ("http://example.org", None),
        ("javascript:alert(1)", "MI050"),
        ("JaVaScRiPt:alert(1)", "MI050"),
        ("data:text/html,x", "MI050"),
        ("file:///etc/passwd", "MI050"),
        ("//example.org", "MI050"),
        ("https://example.org/a b", "MI051"),
        ("configs/net.py", "MI051"),
        ("see: there", "MI051"),
    ],
)
def test_a_link_is_an_address_that_a_browser_may_follow(text, code):
    doubt = values.link(text)
    assert (doubt.code if doubt else None) == code
