"""Of the scripts written into a page, the theme's run, and no other."""

import base64
import contextlib
import hashlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from html import unescape
from subprocess import DEVNULL

import pytest
from conftest import ROOT

from effcc.report.policy import Policy, inline

THEME = '<meta charset="utf-8"><script>__md_scope=new URL("/",location),go()</script>'
HOSTILE = (
    "<script>window.ran = 1</script>",
    "<SCRIPT\n>window.ran = 1</SCRIPT >",
    '<script type="module">window.ran = 1</script>',
    '<script data-x="src=">window.ran = 1</script>',
    '<script>__md_scope=new URL("/",location),go();window.ran = 1</script>',
    '<script>__md_scope=new URL("",alert(1)),location),go()</script>',
)


def sha256(script):
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def rule(policy, name):
    (found,) = [part for part in policy.split("; ") if part.split()[0] == name]
    return found.split()[1:]


def test_the_themes_scripts_are_allowed_wherever_the_page_is():
    page = THEME.replace('"/"', '"../.."')
    allowed = rule(Policy(THEME).of(page), "script-src")
    assert allowed == ["'self'", sha256('__md_scope=new URL("../..",location),go()')]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_script_that_came_with_a_text_is_not_allowed(hostile):
    policy = Policy(THEME)
    assert rule(policy.of(THEME + hostile), "script-src") == rule(policy.of(THEME), "script-src")


def test_data_is_no_script():
    for kind in ("application/json", "application/ld+json"):
        assert inline(f'<script type="{kind}">{{}}</script>') == []
    assert inline('<script src="a.js"></script>') == []


def test_only_a_page_with_a_model_may_compile_webassembly_and_none_may_eval():
    policy = Policy(THEME)
    assert "'wasm-unsafe-eval'" in rule(policy.of(THEME, wasm=True), "script-src")
    for wasm in (False, True):
        assert "'unsafe-eval'" not in policy.of(THEME, wasm=wasm)
        assert "'unsafe-inline'" not in rule(policy.of(THEME, wasm=wasm), "script-src")
    assert "'wasm-unsafe-eval'" not in policy.of(THEME)


def test_a_policy_stands_before_all_that_it_could_forbid():
    written = Policy(THEME).written(THEME)
    assert re.match('<meta charset="utf-8"><meta http-equiv="Content-Security-Policy"', written)
    with pytest.raises(ValueError, match="no place for its policy"):
        Policy(THEME).written("<html>")


def test_the_page_about_building_lists_every_rule():
    told = (ROOT / "docs" / "site.md").read_text("utf-8").partition("## On a host")[2]
    listed = re.findall(r"`([a-z-]+)`", " ".join(re.findall(r"^\| (.*?) \|", told, re.MULTILINE)))
    assert set(listed) == {rule.split()[0] for rule in Policy("").of("").split("; ")}


def test_every_page_of_the_site_has_its_policy(site):
    for page in site.rglob("*.html"):
        html = page.read_text("utf-8")
        (policy,) = re.findall(
            r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', html
        )
        scripts = set(rule(unescape(policy), "script-src"))
        assert scripts == {"'self'", *map(sha256, inline(html))}, page


def test_pages_that_are_served_while_they_are_written_reload_themselves(project):
    """mkdocs serve puts a script of its own into each page, which no policy may forbid."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "mkdocs", "serve", "--quiet", "--dev-addr", f"127.0.0.1:{port}"]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    with subprocess.Popen(words, env=environment, stdout=DEVNULL, stderr=DEVNULL) as server:
        try:
            page = _asked(f"http://127.0.0.1:{port}/", server)
        finally:
            server.terminate()
    assert "livereload" in page
    assert "Content-Security-Policy" not in page


def _asked(address, server):
    """A page, as soon as the server is there."""
    for _ in range(600):
        assert server.poll() is None
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            return answer.read().decode()
        time.sleep(0.1)
    raise AssertionError(f"no answer from {address}")
