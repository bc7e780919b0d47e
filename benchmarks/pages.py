"""The pages for people: what comes over the wire at a first visit, and when they can be used."""

import shutil
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.browser import QUIETLY

from .processes import AS_SERVED, Database, Server
from .rows import Rows
from .shown import figure, table

VISITS = 15
TIMESLOTS = 960
# The moment from which on the page is no longer busy with what it shows first.
USABLE = """
new Promise((resolve) => {
  const look = () => {
    const view = document.querySelector("#view");
    if (view && !view.hasAttribute("aria-busy")) resolve(performance.now());
    else requestAnimationFrame(look);
  };
  look();
})
"""
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


def pages_table(database: Database, folder: Path, rows: Rows, scale: float) -> str:
    """Each visit by a browser that has never been there; medians, and the longest."""
    [provider] = rows.providers(1)
    rows.upcoming(range(provider, provider + 1), TIMESLOTS)
    views = {
        "`/`": "/",
        f"`/`, a provider with {TIMESLOTS} timeslots": f"/#/provider/{provider}",
        "`/provide`": "/provide",
    }
    lines = []
    with Server(folder, AS_SERVED) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium-headless-shell"), args=[*QUIETLY]
        )
        for name, address in views.items():
            visits = [_visit(browser, f"{server.base_url}{address}") for _ in range(VISITS)]
            requests, kilobytes, paint, usable = zip(*visits, strict=True)
            figures = [median(requests), median(kilobytes), median(paint), median(usable)]
            lines.append([name, *map(figure, [*figures, max(usable)])])
        browser.close()
    return table(
        ["page", "requests", "kB", "first paint ms", "usable ms", "at most ms"],
        lines,
    )


def _visit(browser: Browser, url: str) -> tuple[int, float, float, float]:
    context = browser.new_context()
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    sizes: list[float] = []
    devtools.on("Network.loadingFinished", lambda one: sizes.append(one["encodedDataLength"]))
    page.goto(url)
    usable: Any = page.evaluate(USABLE)
    paint: Any = page.evaluate(FIRST_PAINT)
    page.wait_for_load_state("networkidle")
    context.close()
    return len(sizes), sum(sizes) / 1000, paint, usable
