"""A checkpoint runs on a page as it does in torch: the same pixels, the same numbers."""

import json
import time

import numpy as np
import pytest
import torch
from records import record
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from site_pages import Quiet, chromium, requests, served, severe, shipped, show

import effcc
from effcc import cli, exhibit
from effcc.catalog import registry, results
from effcc.data import resize
from effcc.ground import files
from effcc.nn import export, weights
from effcc.nn.efficientnet import build
from effcc.report import demo, vendor
from effcc.sources.digits import Digits


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """A project with a run and its site: (home, checkpoint)."""
    if not vendor.cached(vendor.ONNXRUNTIME):
        pytest.skip("onnxruntime-web is not in the cache; effcc docs --build fetches it")
    home = shipped(tmp_path_factory.mktemp("tried"))
    last = home.runs / "cc_pico_4e" / "20260131T120000Z-fit-digits-0" / "last.ckpt"
    last.parent.mkdir(parents=True)
    untrained(last)
    kept = {"path": home.shown(last), "sha256": files.sha256(last), "bytes": last.stat().st_size}
    results.save(record(home, checkpoint=kept), home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EFFCC_HOME", str(home.root))
        assert cli.main(["docs", "--build"]) == 0
    return home, last


def untrained(path):
    """A checkpoint of chance, whose norms have seen images: no two images get one answer."""
    spec = effcc.load("cc_pico_4e", source="digits").with_classes(10)
    torch.manual_seed(0)
    model = build(spec.network, residual_gamma=spec.recipe.residual_gamma)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    digits = Digits(spec.data).split("train")
    pixels = [resize.for_evaluation(digits.pixels(at), spec.preprocessing) for at in range(64)]
    noise = 2 * torch.rand(64, 3, 32, 32) - 1  # what an export is tried on
    model(torch.cat([(torch.stack(pixels) - 127) / 128, noise]))
    ours = {"variant": spec.name, "classes": list("0123456789"), "settings": spec.settings()}
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "effcc": ours}, path)


@pytest.fixture(scope="module")
def room(tried):
    """The page in a browser, its model loaded; what was asked for before, and since."""
    home, _ = tried
    manifest = json.loads((home.root / "site" / demo.ASSETS / demo.MANIFEST).read_text())
    policy = policy_of(home.root / "site" / "try" / "index.html")

    class Strict(Quiet):
        """Sends the page's own policy with everything, as a careful host would."""

        def end_headers(self):
            self.send_header("Content-Security-Policy", policy)
            super().end_headers()

    with served(home.root / "site", Strict) as address, chromium() as chrome:
        show(chrome, f"{address}/try/")
        WebDriverWait(chrome, 20).until(
            lambda driver: driver.find_element(By.CSS_SELECTOR, "[data-do=load]").is_enabled()
        )
        time.sleep(0.5)  # for what a page might do on its own
        before = requests(chrome)
        chrome.find_element(By.CSS_SELECTOR, "[data-do=load]").click()
        WebDriverWait(chrome, 60).until(
            lambda driver: driver.find_elements(By.CSS_SELECTOR, ".try.ready")
        )
        yield chrome, address, manifest, before, requests(chrome)


def policy_of(page):
    html = page.read_text("utf-8")
    return html.partition('Content-Security-Policy" content="')[2].partition('"')[0]


def said(chrome, action):
    """What the page says after `action`, a script; all of it."""
    return chrome.execute_async_script(
        "const done = arguments[arguments.length - 1], room = document.getElementById('try');"
        "room.addEventListener('prediction', (event) => done(event.detail), { once: true });"
        f"const buttons = room.querySelectorAll('.try-samples button'); {action}"
    )


def by_torch(home, last, position):
    """Logits and routing of a test image: (classes,) and (blocks, experts)."""
    checkpoint = weights.read(last)
    layer = ("checkpoint", checkpoint.settings)
    spec = registry.load("cc_pico_4e", home, checkpoint=layer, located=False)
    model = export.network(spec, checkpoint)
    heard = []
    for block in export.routed(model).values():
        block.routing_fn.register_forward_hook(lambda *call: heard.append(call[2].sigmoid()[0]))
    pixels = Digits(spec.data).split("test").pixels(position)
    image = resize.for_evaluation(pixels, spec.preprocessing).float()
    mean, std = (
        255 * torch.tensor(getattr(spec.preprocessing, name)).view(3, 1, 1)
        for name in ("mean", "std")
    )
    with torch.no_grad():
        (logits,) = model(((image - mean) / std)[None])
    return logits.numpy(), torch.stack(heard).numpy()


def first_of_each_class(home):
    labels = Digits(registry.load("cc_pico_4e", home, source="digits").data).split("test").labels
    return [int(np.flatnonzero(labels == label)[0]) for label in range(10)]


@pytest.mark.browser
def test_the_browser_computes_what_torch_does_on_real_digits(tried, room):
    home, last = tried
    chrome = room[0]
    seen = []
    for label, position in enumerate(first_of_each_class(home)):
        page = said(chrome, f"buttons[{label}].click();")
        logits, routing = by_torch(home, last, position)
        assert np.allclose(page["logits"], logits, rtol=0, atol=1e-4)
        assert np.allclose(np.reshape(page["routing"], routing.shape), routing, rtol=0, atol=1e-4)
        shown = torch.tensor(logits).softmax(0).numpy()
        assert np.allclose(page["probabilities"], shown, rtol=0, atol=1e-4)
        seen.append(logits)
    assert np.ptp(seen, axis=0).min() > 0.1  # these are not one answer to all


@pytest.mark.browser
def test_the_page_shows_and_says_what_it_computed(room):
    chrome = room[0]
    page = said(chrome, "buttons[3].click();")
    best = int(np.argmax(page["logits"]))
    bars = chrome.find_elements(By.CSS_SELECTOR, ".try-bars li")
    numbers = [bar.find_elements(By.TAG_NAME, "span")[1].text for bar in bars]
    assert numbers == [f"{100 * share:.1f} %" for share in page["probabilities"]]
    cells = [cell.text for cell in chrome.find_elements(By.CSS_SELECTOR, ".try-experts td")]
    assert cells == [f"{weight:.2f}" for weight in page["routing"]]
    sure = round(100 * page["probabilities"][best])
    heard = chrome.find_element(By.CSS_SELECTOR, ".try-heard")
    assert heard.get_attribute("role") == "status"
    WebDriverWait(chrome, 5).until(
        lambda _: heard.get_attribute("textContent") == f"{best}, {sure} %"
    )


@pytest.mark.browser
@pytest.mark.parametrize("pointer", ["mouse", "touch"])
def test_a_stroke_is_drawn_and_gives_probabilities(room, pointer):
    chrome, _, manifest, *_ = room
    paper = chrome.find_element(By.CSS_SELECTOR, ".try-paper canvas")
    chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", paper)
    box = chrome.execute_script("return arguments[0].getBoundingClientRect().toJSON()", paper)
    ways = [(0.5 + dx, 0.15 + 0.07 * step) for step, dx in enumerate([0, 0.02] * 5)]
    points = [(box["left"] + x * box["width"], box["top"] + y * box["width"]) for x, y in ways]
    chrome.execute_script(
        "window.told = null; document.getElementById('try')"
        ".addEventListener('prediction', (event) => { window.told = event.detail; })"
    )
    stroke(chrome, pointer, points)
    WebDriverWait(chrome, 10).until(lambda driver: driver.execute_script("return window.told"))
    time.sleep(0.3)  # the last point's
    told = chrome.execute_script("return window.told")
    assert sum(told["probabilities"]) == pytest.approx(1, abs=1e-6)
    # As dark as the digits are, and from top to bottom.
    levels = np.reshape(told["levels"], (8, 8))
    assert set(levels.ravel()) <= set(manifest["drawing"]["levels"])
    assert levels.sum() * 16 / 255 == pytest.approx(manifest["drawing"]["ink"], rel=0.02)
    assert levels[0].max() == levels[7].max() == 255
    assert levels[:, 0].max() == levels[:, 7].max() == 0
    chrome.find_element(By.CSS_SELECTOR, "[data-do=clear]").click()
    assert chrome.find_element(By.CSS_SELECTOR, ".try-verdict b").text == "–"
    assert severe(chrome) == []


def stroke(chrome, pointer, points):
    """A line by a mouse's left button, or by a finger."""
    if pointer == "mouse":
        for kind, (x, y) in zip(
            ["mousePressed", *["mouseMoved"] * (len(points) - 2), "mouseReleased"],
            points,
            strict=True,
        ):
            event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
            chrome.execute_cdp_cmd("Input.dispatchMouseEvent", event)
        return
    for kind, (x, y) in zip(
        ["touchStart", *["touchMove"] * (len(points) - 1)], points, strict=True
    ):
        event = {"type": kind, "touchPoints": [{"x": x, "y": y}]}
        chrome.execute_cdp_cmd("Input.dispatchTouchEvent", event)
    chrome.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.browser
def test_a_second_finger_draws_nothing(room):
    chrome = room[0]
    paper = chrome.find_element(By.CSS_SELECTOR, ".try-paper canvas")
    chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", paper)
    box = chrome.execute_script("return arguments[0].getBoundingClientRect().toJSON()", paper)
    seen = []
    for fingers in ([0.5], [0.5, 0.8]):
        chrome.execute_script(
            "document.querySelector('[data-do=clear]').click(); window.told = null;"
            "document.getElementById('try')"
            ".addEventListener('prediction', (event) => { window.told = event.detail; })"
        )
        for step in range(8):
            points = [
                {"x": box["left"] + x * box["width"], "id": number,
                 "y": box["top"] + (0.2 + 0.08 * step) * box["width"]}
                for number, x in enumerate(fingers)
            ]  # fmt: skip
            if step == 0:  # one after the other
                for number in range(len(points)):
                    touch(chrome, "touchStart", points[: number + 1])
            else:
                touch(chrome, "touchMove", points)
        touch(chrome, "touchEnd", [])
        WebDriverWait(chrome, 10).until(lambda driver: driver.execute_script("return window.told"))
        time.sleep(0.3)  # the last point's
        seen.append(chrome.execute_script("return window.told.levels"))
    chrome.find_element(By.CSS_SELECTOR, "[data-do=clear]").click()
    assert seen[0] == seen[1]


def touch(chrome, kind, points):
    event = {"type": kind, "touchPoints": points}
    chrome.execute_cdp_cmd("Input.dispatchTouchEvent", event)


@pytest.mark.browser
def test_a_model_that_fails_is_told_and_the_page_goes_on(room):
    chrome = room[0]
    word = chrome.find_element(By.CSS_SELECTOR, ".try-word")
    verdict = chrome.find_element(By.CSS_SELECTOR, ".try-verdict b")
    said(chrome, "buttons[3].click();")
    chrome.execute_script(
        "window.kept = ort.InferenceSession.prototype.run;"
        "ort.InferenceSession.prototype.run = () => Promise.reject(new Error('no memory'));"
        "document.querySelectorAll('.try-samples button')[4].click()"
    )
    WebDriverWait(chrome, 5).until(lambda _: word.text)
    assert word.text == "It could not be computed: no memory"
    assert (word.get_attribute("role"), word.is_displayed()) == ("status", True)
    assert verdict.text == "–"
    chrome.execute_script("ort.InferenceSession.prototype.run = window.kept")
    said(chrome, "buttons[3].click();")
    WebDriverWait(chrome, 5).until(lambda _: verdict.text != "–")
    assert word.text == ""


@pytest.mark.browser
def test_a_keyboard_is_enough(room):
    chrome = room[0]
    chrome.execute_script("document.querySelector('[data-do=clear]').focus()")
    ActionChains(chrome).send_keys(Keys.TAB).perform()
    focused = chrome.switch_to.active_element
    assert focused.get_attribute("aria-label") == "a real 0"
    assert focused.value_of_css_property("outline-style") == "solid"
    ActionChains(chrome).send_keys(Keys.SPACE).perform()
    WebDriverWait(chrome, 10).until(
        lambda driver: driver.find_element(By.CSS_SELECTOR, ".try-verdict b").text != "–"
    )


@pytest.mark.browser
def test_who_loads_the_model_by_keyboard_goes_on_at_the_samples_that_it_brings(room):
    _, address, *_ = room
    with chromium() as chrome:
        show(chrome, f"{address}/try/")
        samples = chrome.find_element(By.CSS_SELECTOR, ".try-real")
        assert not samples.is_displayed()  # its words would stand above nothing
        start = chrome.find_element(By.CSS_SELECTOR, "[data-do=load]")
        WebDriverWait(chrome, 20).until(lambda _: start.is_enabled())
        start.send_keys(Keys.ENTER)
        WebDriverWait(chrome, 60).until(lambda _: samples.is_displayed())
        assert chrome.switch_to.active_element.get_attribute("aria-label") == "a real 0"
        heard = chrome.find_element(By.CSS_SELECTOR, ".try-heard")
        WebDriverWait(chrome, 5).until(lambda _: heard.get_attribute("textContent"))
        assert heard.get_attribute("textContent").startswith("The model is loaded.")


@pytest.mark.browser
def test_nothing_large_is_asked_for_before_the_button_and_nothing_from_elsewhere_ever(room):
    _, address, _, before, since = room
    assets = f"{address}/{demo.ASSETS}/"
    assert not any(url.startswith(assets) for url in before)
    assert {url.removeprefix(assets) for url in since if url.startswith(assets)} == {
        *(demo.MANIFEST, demo.MODEL, "ort.wasm.min.js"),
        *("ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm.gz"),
    }
    for url in (*before, *since):
        assert url.startswith((f"{address}/", "data:")), url


@pytest.mark.browser
def test_a_page_from_a_file_says_why_it_runs_no_model(tried, room):
    home, _ = tried
    with chromium() as chrome:
        show(chrome, (home.root / "site" / "try" / "index.html").as_uri())
        word = chrome.find_element(By.CSS_SELECTOR, ".try-word").text
        assert "python -m http.server" in word
        assert word.endswith("http://localhost:8000")  # pages are not everywhere at one address
        assert chrome.find_elements(By.CSS_SELECTOR, "[data-do=load]") == []
        assert [told for told in severe(chrome) if demo.ASSETS in told["message"]] == []


def test_the_page_says_which_checkpoint_it_is_and_what_was_measured(tried):
    home, last = tried
    page = (home.root / "site" / "try" / "index.html").read_text("utf-8")
    assert files.sha256(last) in page
    link = "../sources/registry/results/cc_pico_4e/20260131T120000Z-fit-digits-0.json.html"
    assert f'<a href="{link}">350 of 360</a>' in page
    assert "without a model" not in page


def test_what_a_reader_waits_for_is_small_and_said_before(tried):
    home, _ = tried
    folder = home.root / "site" / demo.ASSETS
    sizes = json.loads((folder / demo.MANIFEST).read_text())["bytes"]
    assert sizes["model"] == (folder / demo.MODEL).stat().st_size < exhibit.MAX_BYTES
    others = {path.name: path.stat().st_size for path in folder.iterdir()}
    del others[demo.MODEL], others[demo.MANIFEST]
    assert sizes["runtime"] == sum(others.values()) < 3.2e6
    page = (home.root / "site" / "try" / "index.html").read_text("utf-8")
    assert f"{sizes['model'] / 1e6:.1f} MB, and {sizes['runtime'] / 1e6:.1f} MB" in page
