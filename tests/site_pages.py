"""The shipped site, built once and served on loopback to a real browser."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from conftest import BESIDE, ROOT

from effcc.ground.home import Home
from effcc.report import cards


def build(root):
    """The shipped documentation in `root`, with cards written afresh; the folder of its pages."""
    cards.write(shipped(root))
    mkdocs(root)
    return root / "site"


def shipped(root):
    """All that the site is made of, in a folder of a test's own."""
    for folder in ("registry", "model-index", "docs"):
        shutil.copytree(ROOT / folder, root / folder)
    for name in BESIDE:
        shutil.copy(ROOT / name, root)
    return Home(root)


def mkdocs(root, *, strict=True, **environment):
    """Build a project's pages."""
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", *(["--strict"] if strict else [])],
        cwd=root,
        check=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"} | environment,
    )


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format, *args):
        pass


@contextmanager
def served(folder, handler=Quiet):
    """The address of a folder on loopback while the block lasts."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def chromium(**preferences):
    """A driver of Debian's Chromium; skips the test where there is none."""
    pytest.importorskip("selenium", reason="the test extra brings it")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("needs Chromium and its driver (Debian: chromium, chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    if preferences:
        options.add_experimental_option("prefs", preferences)
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-background-networking",
        "disable-component-update",
        "no-first-run",
        # Without a screen it says that it has no mouse.
        "blink-settings=primaryHoverType=2,availableHoverTypes=2",
    ):
        options.add_argument(f"--{flag}")
    with webdriver.Chrome(options=options, service=Service(driver)) as chrome:
        yield chrome


def show(chrome, url, *, width=1280, height=900, scheme="light"):
    """Open a page on a screen of that size, in light or dark."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    chrome.get(url)


def severe(chrome):
    """What the console complains of since it was last asked."""
    return [entry for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"]


def requests(chrome):
    """The addresses that pages asked for since this was last asked."""
    events = (json.loads(entry["message"])["message"] for entry in chrome.get_log("performance"))
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
