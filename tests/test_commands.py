"""The page of commands says what the command line takes: all of it, and nothing else."""

import argparse
import re

import pytest
from conftest import ROOT
from rendered import Page, to_html

from effcc import cli, options
from effcc.catalog.spec import settings_in_order
from effcc.ground.errors import UsageError, UserError
from effcc.report import commands
from effcc.train.guard import Failed
from effcc.train.process import LostProcess


def page():
    return commands.page(options.parser(cli.VERBS, list(cli.VERBS)), options.TAKE_SETTINGS)


def section(name):
    return page().partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_the_committed_page_is_what_the_parser_says():
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == page()


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_option_of_a_verb_stands_on_the_page_with_its_help(verb, capsys):
    with pytest.raises(SystemExit):
        cli.main([verb, "--help"])
    printed = capsys.readouterr().out.partition("settings, each as")[0]
    shown = Page(to_html(section(verb))).text
    typed = set(re.findall(r"(?<!\S)--[a-z][a-z_-]*", printed)) - {"--help"}
    assert typed == set(re.findall(r"(?<!\S)--[a-z][a-z_-]*", shown.partition("Settings are")[0]))


def test_every_setting_stands_on_the_page():
    text = page()
    for name in settings_in_order():
        assert f"| `{name}` |" in text


def test_a_usage_line_says_what_must_be_there_and_what_may():
    parser = argparse.ArgumentParser()
    sub = parser.add_subparsers().add_parser("go", description="Go.")
    sub.add_argument("place")
    sub.add_argument("more", nargs="*", metavar="MORE")
    sub.add_argument("--from", required=True, metavar="VARIANT")
    sub.add_argument("--tag", action="append", metavar="TAG", help="of `x | y` and <b>")
    one = sub.add_mutually_exclusive_group()
    one.add_argument("--fast", action="store_true")
    one.add_argument("--slow", choices=("a", "b"))
    text = commands.page(parser, ["go"])
    usage = " ".join(re.search(r"```text\n(effcc go .*?)\n```", text, re.DOTALL)[1].split())
    assert usage == (
        "effcc go PLACE [MORE ...] --from VARIANT [--tag TAG]... [--fast | --slow a|b] [SETTINGS]"
    )
    assert "of <code>x &#124; y</code> and &#60;b&#62;" in text


def test_no_usage_line_is_wider_than_a_terminal():
    blocks = re.findall(r"```text\n(.*?)\n```", page(), re.DOTALL)
    assert len(blocks) == len(cli.VERBS)
    assert max(len(line) for block in blocks for line in block.splitlines()) <= commands.WIDTH


def test_the_exit_codes_of_the_page_are_those_of_the_code():
    codes = re.findall(r"^\| ([\d, ]+) \|", section("Exit codes"), re.MULTILINE)
    named = {int(code) for line in codes for code in line.split(",")}
    raised = {kind.exit_code for kind in (UserError, UsageError, LostProcess, Failed)}
    assert raised <= named
    assert named - raised == {0, 1, 128 + 2, 128 + 10, 128 + 15}
