"""The report in headless Chromium: no outside request, no error, no overflow, accessible, light and dark."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import latte_eval
from report_makers import fill_run, small_result
from result_makers import replaced, write_results

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")

# Chromium asks its maker's servers for updates unless told not to.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with an index and two full pages; names that are long and hostile."""
    root = tmp_path_factory.mktemp("browser")
    long = "a-very-long-checkpoint-name-" * 6 + "<b>.pt"
    first, second = small_result(), small_result(started="2026-11-21T00:00:00Z", value=2.5, interval=[2.0, 3.0])
    assert second.checkpoint
    second = replaced(
        second,
        checkpoint={**second.checkpoint, "name": long, "sha256": "9" * 64},
        fake_source={**second.fake_source, "fingerprint": "9" * 64},
    )
    for name, result in (("first", first), ("second", second)):
        write_results(root / name / "results.jsonl", result)
        fill_run(root / name, result)
    done = latte_eval("report", root / "first", root / "second", "-o", root / "report", "--quiet")
    assert done.returncode == 0, done.stderr
    return root / "report"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(report: Path) -> Iterator[str]:
    """The folder on loopback, as an artifact server shows it."""
    handler = functools.partial(QuietHandler, directory=str(report))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


class Visit:
    """A page that was opened, with what it asked for and complained about."""

    def __init__(self, browser: Any, url: str, viewport: dict[str, int], **options: Any):
        self.context = browser.new_context(viewport=viewport, **options)
        # A screenshot waits for fonts; on a busy machine the usual 30 s are not enough.
        self.context.set_default_timeout(180_000)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", lambda request: self.complaints.append(request.url))
        self.page.goto(url, wait_until="load")

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *arguments: object) -> None:
        self.context.close()


def page_names(report: Path) -> list[str]:
    return sorted(path.name for path in report.glob("*.html"))


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_from_disk(report: Path, browser: Any, viewport: dict[str, int], scheme: str) -> None:
    for name in page_names(report):
        with Visit(browser, (report / name).as_uri(), viewport, color_scheme=scheme) as visit:
            assert visit.complaints == []
            assert all(url.startswith((report.as_uri(), "data:,")) for url in visit.asked), visit.asked
            width, seen = visit.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert width <= seen, f"{name} is {width} wide in a window of {seen}"
            broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"
            assert visit.page.evaluate(broken) == []
            assert visit.page.is_visible("h1") and visit.page.is_visible("main") and visit.page.inner_text("main")
            if folder := os.environ.get("LATTE_EVAL_SCREENSHOTS"):
                take_screenshot(visit.page, Path(folder) / f"{name}-{viewport['width']}-{scheme}.png")


def take_screenshot(page: Any, path: Path) -> None:
    """A picture of the whole page, for people. Only for them: on a busy machine a browser may fail to take one."""
    page.screenshot(path=path, full_page=True, animations="disabled")
    assert path.stat().st_size > 10_000


def test_pages_from_a_server_ask_nobody_else(report: Path, browser: Any, server: str) -> None:
    for name in page_names(report):
        with Visit(browser, f"{server}/{name}", DESKTOP) as visit:
            assert visit.complaints == []
            assert all(url.startswith((server, "data:,")) for url in visit.asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible(report: Path, browser: Any, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    for name in page_names(report):
        # axe is put into the page as a script, which the page's own policy would refuse.
        with Visit(browser, (report / name).as_uri(), PHONE, color_scheme=scheme, bypass_csp=True) as visit:
            found = axe.Axe().run(visit.page)
            seen = [
                (each["id"], [node["target"] for node in each["nodes"]][:3]) for each in found.response["violations"]
            ]
            assert seen == [], f"{name}: {seen}"
            assert len(found.response["passes"]) > 15


def test_an_inaccessible_page_is_seen(browser: Any, tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    (tmp_path / "bad.html").write_text('<img src="data:,"><p style="color: #ccc; background: #fff">pale</p>')
    with Visit(browser, (tmp_path / "bad.html").as_uri(), PHONE) as visit:
        ids = {each["id"] for each in axe.Axe().run(visit.page).response["violations"]}
    assert {"image-alt", "color-contrast"} <= ids


def test_pictures_move_stop_and_print(report: Path, browser: Any) -> None:
    page = next(name for name in page_names(report) if name != "index.html")
    state = "getComputedStyle(document.querySelector('.frame img')).animationName"
    with Visit(browser, (report / page).as_uri(), DESKTOP) as visit:
        assert visit.page.evaluate(state) == "play"
        visit.page.check("#still")
        assert visit.page.evaluate(state) == "none"
        visit.page.uncheck("#still")
        visit.page.emulate_media(media="print")
        assert visit.page.evaluate(state) == "none"
        assert not visit.page.is_visible("nav")
        assert visit.page.pdf()[:5] == b"%PDF-"
    with Visit(browser, (report / page).as_uri(), DESKTOP, reduced_motion="reduce") as visit:
        assert visit.page.evaluate(state) == "none"


def test_a_frame_shows_one_frame_of_its_strip(report: Path, browser: Any) -> None:
    page = next(name for name in page_names(report) if name != "index.html")
    with Visit(browser, (report / page).as_uri(), DESKTOP, reduced_motion="reduce") as visit:
        frame, picture = visit.page.evaluate(
            "[...document.querySelectorAll('.frame')].slice(0, 1).flatMap("
            "f => [f.clientWidth / f.clientHeight, f.firstElementChild.width / f.clientWidth])"
        )
    assert frame == pytest.approx(1, abs=0.05) and picture == pytest.approx(4, abs=0.05)
