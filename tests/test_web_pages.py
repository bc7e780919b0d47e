"""What holds of every page: for whom it works, what it loads, and how it looks."""

import gettext
import json
import re

import pytest
from playwright.sync_api import expect

from .browser import PASSWORD, SCREENSHOTS, days_ahead, minutes, violations
from .server import ROOT

pytestmark = pytest.mark.browser

WIDTHS = (320, 768, 1280)
MOST_BYTES = 60_000
WEB = ROOT / "web"


@pytest.fixture(scope="module")
def practice(site):
    """Everything there is to see: what is free, held, booked, cancelled; of two clients."""
    practice = {"provider": site.provider("Ada", "Lovelace-Byron")}
    start = days_ahead(3)
    slots = site.publish(practice["provider"], start, start + minutes(180))
    practice["day"] = f"{start:%Y-%m-%d}"
    practice["client"] = client = {"first_name": "Emmy", "last_name": "Noether"}
    client["client_id"] = site.client(**client)
    states = ("held", "confirmed", "cancelled")
    for slot, state in zip(slots[::3], states, strict=False):
        reservation = site.reserve(client["client_id"], slot["timeslot_id"])
        practice[state] = reservation["reservation_id"]
        if state == "confirmed":
            site.confirm(client["client_id"], reservation["reservation_id"])
        if state == "cancelled":
            site.ask("PUT", "/client/cancel", {"reservation_id": practice[state]})
    return practice


# By name, how each view is reached; what it shows when it is there.
VIEWS = {
    "book-providers": ("/", "Book an appointment"),
    "book-times": ("/#/provider/{provider}", "Ada Lovelace-Byron"),
    "book-hold": ("/#/reservation/{held}", "Confirm your appointment"),
    "book-booked": ("/#/reservation/{confirmed}", "Your appointment is booked"),
    "book-cancelled": ("/#/reservation/{cancelled}", "This appointment was cancelled"),
    "book-move": ("/#/move/{confirmed}", "Choose another time"),
    "book-appointments": ("/#/appointments", "My appointments"),
    "book-nothing": ("/#/nothing", "There is nothing here"),
    "provide-week": ("/provide#/week/{day}", re.compile("Calendar of Ada")),
    "provide-day": ("/provide#/day/{day}", "List of the day"),
    "provide-hours": ("/provide#/hours", "Weekly hours"),
}
DIALOGS = {
    "book-reserve": ("book-times", ".times button"),
    "book-cancel": ("book-hold", "button.danger"),
    "provide-publish": ("provide-week", "button:text('Publish hours')"),
    "provide-block": ("provide-week", "button:text('Block time off')"),
    "provide-slot": ("provide-week", ".slot.booked button"),
}


def remember(page, practice):
    """Who this browser acts for, as it keeps it."""
    provider = {
        "provider_id": practice["provider"],
        "first_name": "Ada",
        "last_name": "Lovelace-Byron",
    }
    kept = json.dumps({"client": practice["client"], "provider": provider})
    page.add_init_script(
        f"origin === 'null' || localStorage.setItem('reservations.session', {json.dumps(kept)})"
    )


def visit(page, practice, view):
    if view in DIALOGS:
        view, button = DIALOGS[view]
        visit(page, practice, view)
        page.locator(button).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        return
    address, heading = VIEWS[view]
    page.goto(address.format(**practice))
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    expect(page.locator("#view")).not_to_have_attribute("aria-busy", "true")


@pytest.mark.parametrize("view", [*VIEWS, *DIALOGS])
def test_every_page_in_both_themes_and_three_widths(site, practice, visitor, view):
    """axe-core finds nothing, nothing stands out at the side, and pictures are kept."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        page = visitor(site, color_scheme=theme, reduced_motion="reduce")
        remember(page, practice)
        visit(page, practice, view)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{view} is {wide} px wide at {width}"
            page.screenshot(path=SCREENSHOTS / f"{view}-{theme}-{width}.png", full_page=True)
        assert violations(page) == [], f"{view}, {theme}"


def test_forced_colours_show_which_day_it_is(site, practice, visitor):
    """As of Windows' contrast themes: backgrounds are gone, borders are there."""
    page = visitor(site, forced_colors="active")
    visit(page, practice, "book-times")
    background = "one => getComputedStyle(one).backgroundColor"
    chosen = page.locator('.month [aria-pressed="true"]').evaluate(background)
    assert chosen != page.locator(".times button").first.evaluate(background)
    page.screenshot(path=SCREENSHOTS / "book-times-forced-colours.png", full_page=True)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_operators_see(site, practice, visitor, theme):
    """Of their front page what is ours; the rest is Django's."""
    account = {"username": f"root-{theme}", "email": f"{theme}@example.org"}
    options = [f"--{name}={value}" for name, value in account.items()]
    site.manage("createsuperuser", "--noinput", *options, DJANGO_SUPERUSER_PASSWORD=PASSWORD)
    page = visitor(site, color_scheme=theme, reduced_motion="reduce")
    page.goto("/admin/")
    page.get_by_label("Username").fill(account["username"])
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Health")).to_be_visible()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=SCREENSHOTS / f"operate-{theme}-{width}.png", full_page=True)
    assert violations(page, within=".overview") == []


def test_what_cannot_be_read_is_found(site, visitor):
    """The control of all of the above."""
    page = visitor(site)
    page.goto("/")
    page.evaluate("document.querySelector('.tool span').remove()")
    page.evaluate("document.querySelector('.brand').style.color = '#ddd'")
    found = {line.partition(":")[0] for line in violations(page)}
    assert {"color-contrast", "select-name"} <= found


@pytest.mark.parametrize("view", VIEWS)
def test_it_reads_from_right_to_left(site, practice, visitor, view):
    page = visitor(site)
    remember(page, practice)
    page.add_init_script(
        "addEventListener('DOMContentLoaded', () => document.documentElement.dir = 'rtl')"
    )
    page.set_viewport_size({"width": 320, "height": 800})
    visit(page, practice, view)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert violations(page) == []
    page.screenshot(path=SCREENSHOTS / f"{view}-rtl-320.png", full_page=True)


@pytest.mark.parametrize("address", ["/", "/provide"])
def test_the_first_load_is_small_and_comes_from_here_alone(site, visitor, address):
    page = visitor(site)
    # As they come over the wire: what is compressed, in compressed bytes.
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    sizes, asked = [], []
    devtools.on("Network.loadingFinished", lambda one: sizes.append(one["encodedDataLength"]))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address, wait_until="networkidle")
    assert 5_000 < sum(sizes) < MOST_BYTES
    assert all(url.startswith(site.base_url) for url in asked)
    # The icon stands in the tab and on the page.
    once = [url for url in asked if not url.endswith("icon.svg")]
    assert len(set(once)) == len(once)


@pytest.mark.parametrize("page", ["book", "provide"])
def test_a_page_names_every_module_that_it_needs(client, page):
    """Or else the browser finds them one after the other."""
    found, asked = set(), {page}
    while asked - found:
        found |= (name := asked - found)
        for path in [WEB / "static" / "web" / f"{one}.js" for one in name]:
            asked |= set(re.findall(r'from "\./(\w+)\.js"', path.read_text()))
    html = client.get("/" if page == "book" else "/provide").content.decode()
    named = re.findall(r'modulepreload" href="/static/web/(\w+)\.js', html)
    assert set(named) == found - {page}
    assert len(named) == len(set(named))


@pytest.mark.parametrize("address", ["/", "/provide"])
def test_nothing_jumps_while_it_loads(site, visitor, address):
    page = visitor(site)
    page.goto(address, wait_until="networkidle")
    shifts = page.evaluate(
        """new Promise((resolve) => new PerformanceObserver((list) =>
            resolve(list.getEntries().reduce((sum, one) => sum + one.value, 0))
        ).observe({ type: "layout-shift", buffered: true }) ?? setTimeout(() => resolve(0), 300))"""
    )
    assert shifts < 0.1  # what Lighthouse calls good


@pytest.mark.parametrize("address", ["/", "/provide"])
def test_its_policy_lets_no_foreign_or_inline_script_run(site, visitor, address):
    page = visitor(site)
    policy = page.goto(address).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    html = page.content()
    assert "style=" not in html.partition("<main")[0]
    assert re.findall(r"<script(?![^>]*\bsrc=)", html) == []
    assert re.findall(r"\son\w+=", html) == []


def test_it_remembers_the_theme_that_was_chosen(site, visitor):
    page = visitor(site, color_scheme="light")
    page.goto("/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_label("Colours").select_option("dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_it_speaks_german_to_whoever_prefers_it(site, practice, visitor):
    page = visitor(site, locale="de-DE")
    remember(page, practice)
    page.goto("/#/reservation/{held}".format(**practice))
    expect(page.get_by_role("heading", level=1)).to_have_text("Termin bestätigen")
    assert page.get_attribute("html", "lang") == "de"
    page.get_by_label("Sprache").select_option("en")
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm your appointment")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm your appointment")


def said():
    """Every text of the pages that is to be translated."""
    in_scripts = re.compile(r'\bgettext\(\s*"((?:[^"\\]|\\.)*)"')
    plural = re.compile(r'\bngettext\(\s*"([^"]*)",\s*"([^"]*)"')
    in_templates = re.compile(r"""{% translate (['"])(.*?)\1 %}""")
    for path in WEB.rglob("*.js"):
        text = path.read_text()
        yield from (("djangojs", one) for one in in_scripts.findall(text))
        yield from (("djangojs", one) for one, _ in plural.findall(text))
    for path in WEB.rglob("*.html"):
        yield from (("django", one) for _, one in in_templates.findall(path.read_text()))


def test_every_text_is_there_in_german():
    catalogs = {
        domain: gettext.translation(domain, WEB / "locale", ["de"])
        for domain in ("django", "djangojs")
    }
    texts = set(said())
    assert len(texts) > 60
    known = {
        domain: {key[0] if isinstance(key, tuple) else key for key in catalog._catalog}
        for domain, catalog in catalogs.items()
    }
    assert [text for domain, text in sorted(texts) if text not in known[domain]] == []
