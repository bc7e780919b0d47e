"""Booking in a real browser, as somebody does it who has never seen the pages."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from .browser import PASSWORD, Site, days_ahead, minutes, violations

pytestmark = pytest.mark.browser

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def offer(site):
    """A provider with a name of their own and two hours of timeslots in three days."""
    offer.count = getattr(offer, "count", 0) + 1
    last_name = f"Lovelace {offer.count}"
    provider_id = site.provider("Ada", last_name)
    slots = site.publish(provider_id, days_ahead(3), days_ahead(3, hour=11))
    return provider_id, f"Ada {last_name}", slots


def time_of(slot, zone=BERLIN):
    start = datetime.fromisoformat(slot["start_time"]).astimezone(zone)
    return f"{start:%H:%M}"


def choose(page, slot, zone=BERLIN):
    page.get_by_role("button", name=time_of(slot, zone), exact=True).click()


def give_name(page, first_name="Emmy", last_name="Noether"):
    page.get_by_label("First name").fill(first_name)
    page.get_by_label("Last name").fill(last_name)


def ask_for(page, provider_id, slot, **name):
    """All that comes before the click on Reserve."""
    page.goto(f"/#/provider/{provider_id}")
    choose(page, slot)
    give_name(page, **name)


def reserve(page, provider_id, slot, **name):
    ask_for(page, provider_id, slot, **name)
    page.get_by_role("button", name="Reserve", exact=True).click()
    expect(page.get_by_role("heading", name="Confirm your appointment")).to_be_visible()
    return int(page.url.rpartition("/")[2])


def test_it_books_from_the_first_look_to_the_calendar(site, visitor, offer):
    _, name, slots = offer
    page = visitor(site)
    page.goto("/")
    page.get_by_label("Find a provider").fill(name.partition(" ")[2])
    page.get_by_role("link", name=name).click()
    choose(page, slots[2])
    dialog = page.get_by_role("dialog", name="Reserve this time?")
    start = datetime.fromisoformat(slots[2]["start_time"]).astimezone(BERLIN)
    expect(dialog).to_contain_text(f"{start:%A}, {start.day} {start:%B} {start.year}")
    expect(dialog).to_contain_text(name)
    expect(dialog).to_contain_text("Europe/Berlin")
    give_name(page)
    page.get_by_role("button", name="Reserve", exact=True).click()
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^(30:00|29:[345]\d)$"))
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Your appointment is booked")).to_be_focused()
    with page.expect_download() as download:
        page.get_by_role("button", name="Add to calendar").click()
    text = download.value.path().read_bytes().decode()
    assert f"DTSTART:{start.astimezone(UTC):%Y%m%dT%H%M%SZ}\r\n" in text
    assert f"SUMMARY:Appointment with {name}\r\n" in text
    page.get_by_role("link", name="My appointments", exact=True).click()
    expect(page.get_by_role("listitem")).to_contain_text([name])
    expect(page.get_by_text("booked", exact=True)).to_be_visible()


def test_two_race_for_one_timeslot(site, visitor, offer):
    """The one who is late is told so, and is offered what is nearest."""
    provider_id, name, slots = offer
    first, second = visitor(site), visitor(site, timezone_id="America/New_York")
    new_york = ZoneInfo("America/New_York")
    for page, zone, who in ((first, BERLIN, "Emmy"), (second, new_york, "Lise")):
        page.goto(f"/#/provider/{provider_id}")
        choose(page, slots[3], zone)
        give_name(page, who, "Noether")
    # Both ask before either is answered.
    for page in (first, second):
        page.evaluate("document.querySelector('dialog form:not(.close)').requestSubmit()")
    held = re.compile("Confirm your appointment")
    for page in (first, second):
        expect(
            page.get_by_role("heading", name=held).or_(page.get_by_role("alert"))
        ).to_be_visible()
    late, zone = (
        (second, new_york)
        if first.get_by_role("heading", name=held).is_visible()
        else (first, BERLIN)
    )
    early = first if late is second else second
    expect(early.get_by_role("heading", name=held)).to_be_visible()
    expect(late.get_by_role("alert")).to_have_text("Somebody else was faster: this time is taken.")
    offers = late.locator(".offers button")
    # Six of the others, the nearest: all but the farthest.
    expected = [slots[nth] for nth in (0, 1, 2, 4, 5, 6)]
    expect(offers).to_have_count(6)
    expect(offers).to_contain_text([time_of(slot, zone) for slot in expected])
    offers.nth(3).click()
    late.get_by_role("button", name="Reserve", exact=True).click()
    expect(late.get_by_role("heading", name=held)).to_be_visible()
    early.get_by_role("button", name="Confirm").click()
    expect(early.get_by_role("heading", name="Your appointment is booked")).to_be_visible()
    taken = site.ask("GET", f"/provider/reservations?provider_id={provider_id}")["reservations"]
    assert sorted(one["timeslot_id"] for one in taken) == sorted(
        [slots[3]["timeslot_id"], slots[4]["timeslot_id"]]
    )
    assert name in early.content()


def test_a_hold_survives_a_reload_and_a_wrong_clock(site, visitor, offer):
    provider_id, _, slots = offer
    page = visitor(site)
    reserve(page, provider_id, slots[0])
    page.reload()
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^29:[345]\d$|^30:00$"))
    # The device's clock is put forward by more than the hold, as after a sleep or by hand.
    page.clock.set_system_time(datetime.now(UTC) + timedelta(minutes=40))
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^29:\d\d$"))
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Your appointment is booked")).to_be_visible()


def test_a_hold_runs_out_before_ones_eyes(tmp_path, visitor):
    folder = tmp_path
    with Site(folder, f"sqlite:///{folder / 'short.sqlite3'}", HOLD_SECONDS="6") as short:
        provider_id = short.provider()
        slots = short.publish(provider_id, days_ahead(3), days_ahead(3, hour=10))
        page = visitor(short)
        reserve(page, provider_id, slots[0])
        expect(page.get_by_role("timer")).to_have_text(re.compile("^0:0[0-6]$"))
        expect(page.get_by_role("heading", name="The hold has lapsed")).to_be_visible()
        page.get_by_role("button", name="Reserve it again").click()
        page.get_by_role("button", name="Reserve", exact=True).click()
        expect(page.get_by_role("heading", name="Confirm your appointment")).to_be_visible()
        expect(page.get_by_role("heading", name="The hold has lapsed")).to_be_visible()
        # Somebody else has it now.
        other = short.client("Lise", "Meitner")
        short.reserve(other, slots[0]["timeslot_id"])
        page.get_by_role("button", name="Reserve it again").click()
        page.get_by_role("button", name="Reserve", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("Somebody else was faster")
        expect(page.locator(".offers button")).to_have_count(3)


def test_a_click_that_comes_twice_reserves_once(site, visitor, offer):
    provider_id, _, slots = offer
    page = visitor(site)
    sent = []
    page.on("request", lambda request: sent.append(request) if "reserve" in request.url else None)
    ask_for(page, provider_id, slots[0])
    page.get_by_role("button", name="Reserve", exact=True).dblclick()
    expect(page.get_by_role("heading", name="Confirm your appointment")).to_be_visible()
    assert len(sent) == 1
    taken = site.ask("GET", f"/provider/reservations?provider_id={provider_id}")["reservations"]
    assert len(taken) == 1


def test_an_answer_that_is_lost_reserves_once(site, visitor, offer):
    """The request is sent anew under its key, and answered as the first time."""
    provider_id, _, slots = offer
    page = visitor(site)
    lost = []

    def lose_the_first(route):
        if lost:
            return route.continue_()
        lost.append(route.fetch())  # it has been done, and nobody hears of it
        return route.abort("connectionreset")

    page.route("**/client/reserve", lose_the_first)
    reserve(page, provider_id, slots[0])
    assert len(lost) == 1
    taken = site.ask("GET", f"/provider/reservations?provider_id={provider_id}")["reservations"]
    assert len(taken) == 1


def test_back_leads_back(site, visitor, offer):
    _, name, slots = offer
    page = visitor(site)
    page.goto("/")
    page.get_by_label("Find a provider").fill(name.partition(" ")[2])
    page.get_by_role("link", name=name).click()
    choose(page, slots[0])
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    choose(page, slots[0])
    give_name(page)
    page.get_by_role("button", name="Reserve", exact=True).click()
    expect(page.get_by_role("heading", name="Confirm your appointment")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    # What was just reserved is not offered any more.
    expect(page.get_by_role("button", name=time_of(slots[1]), exact=True)).to_be_visible()
    expect(page.get_by_role("button", name=time_of(slots[0]), exact=True)).to_have_count(0)
    page.go_back()
    expect(page.get_by_label("Find a provider")).to_be_visible()
    page.go_forward()
    page.go_forward()
    expect(page.get_by_role("heading", name="Confirm your appointment")).to_be_visible()


def test_two_tabs_show_the_same(site, visitor, offer):
    provider_id, _, slots = offer
    page = visitor(site)
    reserve(page, provider_id, slots[0])
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="Confirm").click()
    expect(other.get_by_role("heading", name="Your appointment is booked")).to_be_visible()
    # The first tab has not looked since.
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Your appointment is booked")).to_be_visible()
    assert page.get_by_role("alert").count() == 0


def test_offline_it_says_so_and_goes_on_afterwards(site, visitor, offer):
    provider_id, _, slots = offer
    page = visitor(site)
    reserve(page, provider_id, slots[0])
    page.context.set_offline(True)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("alert")).to_contain_text("You are offline. Nothing is lost")
    page.context.set_offline(False)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Your appointment is booked")).to_be_visible()


def test_a_slow_network_shows_that_it_is_at_work(site, visitor, offer):
    provider_id, _, slots = offer
    page = visitor(site)
    ask_for(page, provider_id, slots[0])

    def slowly(route):
        time.sleep(0.7)
        route.continue_()

    page.route("**/client/**", slowly)
    button = page.get_by_role("button", name="Reserve", exact=True)
    button.click()
    expect(button).to_be_disabled()
    expect(button).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("heading", name="Confirm your appointment")).to_be_visible()


def test_a_service_that_is_away_is_asked_again(site, visitor, offer):
    provider_id, name, _ = offer
    page = visitor(site)
    asked = []

    def away_at_first(route):
        asked.append(route)
        if len(asked) == 1:
            problem = {"status": 503, "code": "unavailable", "detail": "The database is away."}
            return route.fulfill(status=503, headers={"Retry-After": "1"}, body=json.dumps(problem))
        return route.continue_()

    page.route("**/client/findTimeslots**", away_at_first)
    page.goto(f"/#/provider/{provider_id}")
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    assert len(asked) >= 2


def test_it_moves_and_cancels(site, visitor, offer):
    provider_id, _, slots = offer
    page = visitor(site)
    reservation_id = reserve(page, provider_id, slots[0])
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("link", name="Move it").click()
    expect(page.get_by_role("heading", name="Choose another time")).to_be_visible()
    choose(page, slots[5])
    page.get_by_role("button", name="Move it here").click()
    expect(page.get_by_role("heading", name="Your appointment is booked")).to_be_visible()
    expect(page.get_by_role("definition").nth(1)).to_contain_text(time_of(slots[5]))
    page.get_by_role("button", name="Cancel it").click()
    page.get_by_label("Reason").fill("I am in Göttingen.")
    page.get_by_role("button", name="Cancel this appointment").click()
    expect(page.get_by_role("heading", name="This appointment was cancelled")).to_be_visible()
    expect(page.get_by_text("I am in Göttingen.")).to_be_visible()
    found = site.ask("GET", f"/provider/reservation?reservation_id={reservation_id}")
    assert found["reservation"]["timeslot_id"] == slots[5]["timeslot_id"]
    assert found["reservation"]["reason"] == "I am in Göttingen."


def test_it_is_done_by_keyboard_alone(site, visitor, offer):
    _, name, slots = offer
    page = visitor(site)
    page.goto("/")
    expect(page.get_by_label("Find a provider")).to_be_visible()

    def tab_to(role, name):
        target = page.get_by_role(role, name=name, exact=True)
        target.wait_for()
        for _ in range(60):
            page.keyboard.press("Tab")
            if target.evaluate("one => one === document.activeElement"):
                return
        raise AssertionError(f"{name} is not reached")

    tab_to("searchbox", "Find a provider")
    page.keyboard.type(name.partition(" ")[2])
    expect(page.get_by_role("listitem")).to_have_count(1)
    tab_to("link", name)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=name)).to_be_focused()
    tab_to("button", time_of(slots[1]))
    page.keyboard.press("Enter")
    tab_to("textbox", "First name")
    page.keyboard.type("Emmy")
    tab_to("textbox", "Last name")
    page.keyboard.type("Noether")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Confirm your appointment")).to_be_focused()
    tab_to("button", "Confirm")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your appointment is booked")).to_be_focused()


def test_arrow_keys_go_from_day_to_day(site, visitor):
    provider_id = site.provider("Mary", "Somerville")
    # Two days in a row and one a week after the first, in one month whatever day is today.
    first = days_ahead(3)
    first = first if first.day < 20 else (first + timedelta(days=14)).replace(day=3)
    for start in (first, first + timedelta(days=1), first + timedelta(days=7)):
        site.publish(provider_id, start, start + minutes(60))
    page = visitor(site, timezone_id="UTC")
    page.goto(f"/#/provider/{provider_id}")
    day = page.locator("[data-day]")
    expect(day.first).to_be_visible()
    day.nth(0).focus()
    page.keyboard.press("ArrowRight")
    expect(day.nth(1)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    expect(day.nth(2)).to_be_focused()


def next_change(zone, after):
    """The next day on which the clock is put forward or back there."""
    day = after.replace(hour=12)
    while (
        day.astimezone(zone).utcoffset() == (day + timedelta(days=1)).astimezone(zone).utcoffset()
    ):
        day += timedelta(days=1)
    return (day + timedelta(days=1)).astimezone(zone).date()


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("nth", [0, 1])
def test_a_week_in_which_the_clock_changes(site, visitor, name, nth):
    """Each timeslot stands under the day and the time that the clock on the wall there shows; of an
    hour that comes twice, with its offset."""
    zone = ZoneInfo(name)
    change = next_change(zone, days_ahead(3))
    if nth:
        change = next_change(
            zone, datetime(change.year, change.month, change.day, tzinfo=UTC) + timedelta(days=1)
        )
    midnight = datetime(change.year, change.month, change.day, tzinfo=zone)
    start = midnight.astimezone(UTC) - timedelta(days=1)
    provider_id = site.provider("Ada", f"of {name} {nth}")
    slots = site.publish(provider_id, start, start + timedelta(days=3), slot_minutes=30)
    local = [datetime.fromisoformat(slot["start_time"]).astimezone(zone) for slot in slots]
    page = visitor(site, timezone_id=name)
    for day in {change - timedelta(days=1), change, change + timedelta(days=1)}:
        page.goto(f"/#/provider/{provider_id}/{day}")
        shown = page.locator(".times button")
        expected = [f"{one:%H:%M}" for one in local if one.date() == day]
        expect(shown).to_have_count(len(expected))
        texts = shown.all_inner_texts()
        assert [text[:5] for text in texts] == expected
        assert len(set(texts)) == len(texts)
    isolated = page.get_by_label("Times in")
    expect(isolated).to_have_value(name)


def test_the_time_zone_can_be_chosen(site, visitor, offer):
    provider_id, _, slots = offer
    page = visitor(site)
    page.goto(f"/#/provider/{provider_id}")
    page.get_by_label("Times in").select_option("America/St_Johns")
    zone = ZoneInfo("America/St_Johns")
    choose(page, slots[0], zone)
    expect(page.get_by_role("dialog")).to_contain_text("America/St Johns (UTC")
    page.reload()
    expect(page.get_by_label("Times in")).to_have_value("America/St_Johns")


def test_the_time_zone_of_a_reservation_can_be_chosen(site, visitor, offer):
    provider_id, _, slots = offer
    page = visitor(site)
    reserve(page, provider_id, slots[0])
    expect(page.locator(".facts")).to_contain_text(time_of(slots[0]))
    page.get_by_label("Times in").select_option("Asia/Tokyo")
    expect(page.locator(".facts")).to_contain_text(time_of(slots[0], ZoneInfo("Asia/Tokyo")))
    expect(page.locator(".facts")).to_contain_text("Asia/Tokyo (UTC+9")
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^(30:00|29:[345]\d)$"))


@pytest.fixture
def private_offer(private):
    count = private_offer.count = getattr(private_offer, "count", 0) + 1
    account = {"email": f"ada{count}@example.org", "password": PASSWORD}
    provider_id = private.provider("Ada", f"Private {count}", **account)
    token = private.ask("POST", "/auth/token", account)["access"]
    asked = {
        "provider_id": provider_id,
        "start_time": days_ahead(3).isoformat(),
        "end_time": (days_ahead(3) + minutes(60)).isoformat(),
    }
    answer = private.ask("POST", "/provider/availability", asked, token)
    return provider_id, count, answer["available timeslots"]


def sign_up(page, email):
    give_name(page)
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)


def test_who_signs_up_books_at_once(private, visitor, private_offer):
    provider_id, count, slots = private_offer
    page = visitor(private)
    page.goto(f"/#/provider/{provider_id}")
    choose(page, slots[0])
    sign_up(page, f"emmy{count}@example.org")
    page.get_by_role("button", name="Reserve", exact=True).click()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Your appointment is booked")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Whose appointment is it?")).to_be_visible()
    # And back again, by what was set then; at first with a wrong password.
    page.get_by_role("button", name="I have an account: sign in").click()
    page.get_by_label("E-mail address").fill(f"emmy{count}@example.org")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("E-mail address or password is wrong.")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Your appointment is booked")).to_be_visible()


def test_a_sign_in_outlasts_its_tokens_in_all_tabs(private, visitor, private_offer):
    """Four of them at once need a new one, and the refresh token is good for one request."""
    provider_id, count, slots = private_offer
    page = visitor(private)
    page.goto(f"/#/provider/{provider_id}")
    choose(page, slots[0])
    sign_up(page, f"lise{count}@example.org")
    page.get_by_role("button", name="Reserve", exact=True).click()
    expect(page.get_by_role("heading", name="Confirm your appointment")).to_be_visible()
    tabs = [page] + [page.context.new_page() for _ in range(3)]
    for tab in tabs[1:]:
        tab.goto("/#/appointments")
        expect(tab.get_by_role("heading", name="My appointments")).to_be_visible()
    renewed = []
    page.context.on("request", lambda one: renewed.append(one) if "refresh" in one.url else None)
    # As if its token had ended: the service refuses it. The other tabs look again by themselves.
    page.evaluate(
        """() => {
            const kept = JSON.parse(localStorage.getItem("reservations.session"));
            const session = JSON.stringify({ ...kept, access: `${kept.access}x` });
            localStorage.setItem("reservations.session", session);
        }"""
    )
    page.reload()
    for tab in tabs:
        expect(tab.get_by_role("button", name="Sign out")).to_be_visible()
        expect(
            tab.get_by_role("link", name="Confirm").or_(tab.get_by_role("button", name="Confirm"))
        ).to_be_visible()
    assert len(renewed) == 1


def test_the_skip_link_leads_to_the_heading(site, visitor, offer):
    provider_id, name, _ = offer
    page = visitor(site)
    page.goto(f"/#/provider/{provider_id}")
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    address = page.url
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=name)).to_be_focused()
    assert page.url == address


def test_a_time_zone_is_chosen_by_arrow_keys(site, visitor, offer):
    provider_id, _, _ = offer
    page = visitor(site, timezone_id="Europe/Madrid")
    page.goto(f"/#/provider/{provider_id}")
    zones = page.get_by_label("Times in")
    zones.focus()
    for _ in range(2):
        before = zones.input_value()
        page.keyboard.press("ArrowDown")
        expect(zones).not_to_have_value(before)
        expect(zones).to_be_focused()


def test_whoever_is_refused_keeps_the_focus(site, visitor, offer):
    provider_id, _, slots = offer
    page = visitor(site)
    reserve(page, provider_id, slots[0])
    page.context.set_offline(True)
    page.get_by_role("button", name="Confirm").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("button", name="Confirm")).to_be_focused()


def test_who_is_not_answered_is_registered_once(site, visitor, offer):
    """The request that was lost was granted: asked again, it is the same person's."""
    provider_id, _, slots = offer
    page = visitor(site)
    ask_for(page, provider_id, slots[0])
    made = []
    page.on("request", lambda one: made.append(one) if "/client/create" in one.url else None)

    def lose(route):
        route.fetch()
        route.abort("connectionreset")

    page.route("**/client/reserve", lose)
    page.get_by_role("button", name="Reserve", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    page.unroute("**/client/reserve")
    page.get_by_role("button", name="Reserve", exact=True).click()
    expect(page.get_by_role("heading", name="Confirm your appointment")).to_be_visible()
    assert len(made) == 1


def test_all_times_of_who_moves_are_those_to_move_to(site, visitor, offer):
    provider_id, _, slots = offer
    page = visitor(site)
    reservation_id = reserve(page, provider_id, slots[0])
    page.get_by_role("link", name="Move it").click()
    start = page.get_by_role("button", name=time_of(slots[3]), exact=True)
    expect(start).to_be_visible()
    site.reserve(site.client("Lise", "Meitner"), slots[3]["timeslot_id"])
    start.click()
    page.get_by_role("button", name="Move it here").click()
    page.get_by_role("button", name="See all times").click()
    choose(page, slots[4])
    expect(page.get_by_role("dialog", name="Move your appointment?")).to_be_visible()
    expect(page).to_have_url(re.compile(f"#/move/{reservation_id}"))


def test_of_two_months_that_were_asked_for_the_one_that_failed_is_not_counted(site, visitor, offer):
    provider_id, _, slots = offer
    page = visitor(site)
    page.goto(f"/#/provider/{provider_id}")
    expect(page.get_by_role("button", name=time_of(slots[0]), exact=True)).to_be_visible()
    shown = page.get_by_role("region", name="Days").get_by_role("heading")
    second = days_ahead(3).replace(day=1) + timedelta(days=32)
    asked = []

    def answer_none(route):
        asked.append(route)
        if len(asked) > 1:
            route.abort("connectionreset")

    page.route("**/client/getProviderAvailability?**", answer_none)
    following = page.get_by_role("button", name="Next month")
    following.click()
    following.click()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    page.unroute("**/client/getProviderAvailability?**")
    following.click()
    expect(shown).to_have_text(f"{second:%B %Y}")


def test_another_name_is_another_request(site, visitor, offer):
    """What one person asked for in vain, another asks for under a key of their own."""
    provider_id, _, slots = offer
    page = visitor(site)
    ask_for(page, provider_id, slots[0])

    def lose(route):
        route.fetch()
        route.abort("connectionreset")

    page.route("**/client/reserve", lose)
    page.get_by_role("button", name="Reserve", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    page.unroute("**/client/reserve")
    page.keyboard.press("Escape")
    choose(page, slots[0])
    page.get_by_role("button", name="Somebody else").click()
    give_name(page, "Lise", "Meitner")
    page.get_by_role("button", name="Reserve", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("Somebody else was faster: this time is taken.")


def test_a_month_that_cannot_be_had_says_so(site, visitor, offer):
    provider_id, _, slots = offer
    page = visitor(site)
    page.goto(f"/#/provider/{provider_id}")
    expect(page.get_by_role("button", name=time_of(slots[0]), exact=True)).to_be_visible()
    page.context.set_offline(True)
    page.get_by_role("button", name="Next month").click()
    expect(page.get_by_role("alert")).to_contain_text("You are offline")
    expect(page.get_by_role("button", name=time_of(slots[0]), exact=True)).to_be_visible()


def test_moving_what_has_changed_meanwhile_shows_what_it_is(site, visitor, offer):
    provider_id, _, slots = offer
    page = visitor(site)
    reservation_id = reserve(page, provider_id, slots[0])
    page.get_by_role("link", name="Move it").click()
    expect(page.get_by_role("heading", name="Choose another time")).to_be_visible()
    found = site.ask("GET", f"/provider/reservation?reservation_id={reservation_id}")
    site.confirm(found["reservation"]["client_id"], reservation_id)
    choose(page, slots[3])
    page.get_by_role("button", name="Move it here").click()
    expect(page.get_by_role("heading", name="Your appointment is booked")).to_be_visible()
    expect(page.get_by_role("definition").nth(1)).to_contain_text(time_of(slots[0]))


def test_a_calendar_link_is_made_when_it_is_asked_for(site, visitor, offer):
    """The link before it is good no more, so nobody makes one by looking."""
    provider_id, _, slots = offer
    page = visitor(site)
    reserve(page, provider_id, slots[0])
    made = []
    page.on("request", lambda one: made.append(one) if "calendarLink" in one.url else None)
    page.get_by_role("link", name="My appointments", exact=True).click()
    page.get_by_role("button", name="See them in a calendar app").click()
    expect(page.get_by_role("button", name="Make a link")).to_be_visible()
    assert made == []
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("Link to your calendar")
    expect(link).to_have_value(re.compile(r"/client/calendar\.ics\?key=rsc_"))
    answer = page.request.get(link.input_value())
    assert answer.text().startswith("BEGIN:VCALENDAR")


def test_a_weak_password_is_said_at_its_field(private, visitor, private_offer):
    provider_id, count, slots = private_offer
    page = visitor(private, locale="de-DE")
    page.goto(f"/#/provider/{provider_id}")
    choose(page, slots[0])
    page.get_by_label("Vorname").fill("Emmy")
    page.get_by_label("Nachname").fill("Noether")
    page.locator("input[type=email]").fill(f"weak{count}@example.org")
    password = page.get_by_label("Passwort")
    password.fill("4711")
    page.get_by_role("button", name="Reservieren", exact=True).click()
    expect(password).to_have_attribute("aria-invalid", "true")
    expect(password).to_be_focused()
    error = page.locator(".field:has([aria-invalid]) .error").first
    expect(error).to_have_text("Mindestens acht Zeichen.")
    assert violations(page) == []
