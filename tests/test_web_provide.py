"""A provider's pages in a real browser: the week, publishing, blocking off, and the day's list."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from .browser import PASSWORD, days_ahead, minutes, violations
from .watch import MARK_OF_PASSWORDS

pytestmark = pytest.mark.browser

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def provider(site):
    return site.provider("Ada", "Lovelace")


@pytest.fixture
def page(site, visitor, provider):
    return acting(visitor(site), provider)


def acting(page, provider):
    """In a browser that has chosen this provider."""
    kept = f"{{provider: {{provider_id: {provider}, first_name: 'Ada', last_name: 'Lovelace'}}}}"
    page.add_init_script(f"localStorage.setItem('reservations.session', JSON.stringify({kept}))")
    return page


def open_week(page, day):
    page.goto(f"/provide#/week/{day:%Y-%m-%d}")
    week = page.get_by_role("region", name="Week")
    expect(week).to_be_visible()
    expect(week).not_to_have_attribute("aria-busy", "true")


def column(page, day):
    return page.locator(f"section:has(#day-{day:%Y-%m-%d}) .column")


def place(page, day, hour):
    """Where an hour of a day stands on the screen."""
    box = column(page, day).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] * hour / 24 + 2


def drag(page, day, start, end):
    page.mouse.move(*place(page, day, start))
    page.mouse.down()
    page.mouse.move(*place(page, day, (start + end) / 2))
    page.mouse.move(*place(page, day, end - 0.1))
    page.mouse.up()


def timeslots(site, provider, token=None):
    path = f"/provider/availability?provider_id={provider}"
    return site.ask("GET", path, token=token)["timeslots"]


def spans(found):
    return [(one["start_time"][:16], one["end_time"][:16]) for one in found]


def span(start, end):
    return f"{start:%Y-%m-%dT%H:%M}", f"{end:%Y-%m-%dT%H:%M}"


def clock(time):
    """A pattern for a time of day, on a clock of 24 hours or of twice twelve."""
    hour, minute = time.split(":")
    twelve = (int(hour) - 1) % 12 + 1
    return rf"({hour}:{minute}|{twelve}:{minute}\s[AP]M)"


def book(site, slot, name="Emmy Noether", confirm=True):
    client = site.client(*name.split())
    reservation = site.reserve(client, slot["timeslot_id"])["reservation_id"]
    if confirm:
        site.confirm(client, reservation)
    return reservation


def test_a_week_shows_what_is_free_held_and_booked(site, page, provider):
    start = days_ahead(4)
    slots = site.publish(provider, start, start + minutes(60))
    book(site, slots[1])
    book(site, slots[2], "Lise Meitner", confirm=False)
    open_week(page, start)
    shown = column(page, start).get_by_role("button")
    expect(shown).to_have_count(4)
    names = (
        rf"{clock('09:00')} . {clock('09:15')} free",
        rf"{clock('09:15')} . {clock('09:30')} Emmy Noether booked",
        rf"{clock('09:30')} . {clock('09:45')} Lise Meitner held until",
        rf"{clock('09:45')} . {clock('10:00')} free",
    )
    for nth, name in enumerate(names):
        expect(shown.nth(nth)).to_have_accessible_name(re.compile(name))
    looks = [shown.nth(nth).locator("..").get_attribute("class") for nth in range(3)]
    assert looks == ["slot free", "slot booked", "slot held"]
    assert violations(page) == []


def test_what_cannot_be_booked_any_more_looks_different(site, page, provider):
    soon = days_ahead(0, hour=datetime.now(UTC).hour) + timedelta(hours=2)
    site.publish(provider, soon - timedelta(days=1), soon - timedelta(days=1) + minutes(15))
    site.publish(provider, soon, soon + minutes(15))
    site.publish(provider, soon + timedelta(days=1), soon + timedelta(days=1, minutes=15))
    for days, look in ((-1, "free past"), (0, "late"), (1, "free")):
        day = soon + timedelta(days=days)
        open_week(page, day)
        slot = column(page, day).locator(".slot")
        expect(slot).to_have_class(f"slot {look}")


def test_dragging_publishes(site, page, provider):
    day = days_ahead(8)
    open_week(page, day)
    drag(page, day, 9, 11)
    dialog = page.get_by_role("dialog", name="Publish hours")
    expect(dialog.get_by_label("From")).to_have_value("09:00")
    expect(dialog.get_by_label("To")).to_have_value("11:00")
    expect(dialog.get_by_text("8 appointments")).to_be_visible()
    assert violations(page) == []
    dialog.get_by_label("Minutes").fill("30")
    dialog.get_by_role("button", name="Publish").click()
    expect(dialog).to_be_hidden()
    expect(column(page, day).get_by_role("button")).to_have_count(4)
    expect(page.locator("#announced")).to_have_text("4 appointments can be booked from now on.")
    found = timeslots(site, provider)
    assert (found[0]["start_time"], found[-1]["end_time"]) == (
        f"{day:%Y-%m-%d}T09:00:00Z",
        f"{day:%Y-%m-%d}T11:00:00Z",
    )


def test_a_drag_upwards_is_one_too_and_escape_ends_it(page):
    day = days_ahead(8)
    open_week(page, day)
    page.mouse.move(*place(page, day, 10))
    page.mouse.down()
    page.mouse.move(*place(page, day, 9))
    page.keyboard.press("Escape")
    page.mouse.up()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.mouse.move(*place(page, day, 10))
    page.mouse.down()
    page.mouse.move(*place(page, day, 9))
    page.mouse.up()
    dialog = page.get_by_role("dialog", name="Publish hours")
    expect(dialog.get_by_label("From")).to_have_value("09:00")
    expect(dialog.get_by_label("To")).to_have_value("10:15")


def test_what_overlaps_can_be_left_out(site, page, provider):
    day = days_ahead(9)
    site.publish(provider, day, day + minutes(30))
    open_week(page, day)
    page.get_by_role("button", name="Publish hours").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Date").fill(f"{day:%Y-%m-%d}")
    dialog.get_by_label("From").fill("09:00")
    dialog.get_by_label("To").fill("10:00")
    dialog.get_by_role("button", name="Publish", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("published already")
    assert violations(page) == []
    assert len(timeslots(site, provider)) == 2
    dialog.get_by_role("button", name="Publish what is missing").click()
    expect(dialog).to_be_hidden()
    assert len(timeslots(site, provider)) == 4


def test_what_is_published_for_another_week_is_shown(site, page, provider):
    day = days_ahead(30)
    open_week(page, days_ahead(9))
    page.get_by_role("button", name="Publish hours").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Date")).to_be_focused()
    dialog.get_by_label("Date").fill(f"{day:%Y-%m-%d}")
    dialog.get_by_role("button", name="Publish", exact=True).click()
    expect(page).to_have_url(re.compile(f"#/week/{day:%Y-%m-%d}$"))
    expect(column(page, day).get_by_role("button")).to_have_count(12)


def test_a_refused_length_is_said_at_its_field(page):
    day = days_ahead(9)
    open_week(page, day)
    drag(page, day, 9, 10)
    dialog = page.get_by_role("dialog")
    length = dialog.get_by_label("Minutes")
    length.fill("25")
    dialog.get_by_role("button", name="Publish", exact=True).click()
    expect(length).to_have_attribute("aria-invalid", "true")
    expect(length).to_be_focused()
    expect(length).to_have_accessible_description(re.compile("These lengths fit: 5, 6, 10"))
    assert violations(page) == []
    length.fill("20")
    expect(length).not_to_have_attribute("aria-invalid", "true")


def test_a_tap_on_a_free_hour_publishes_it(site, visitor, provider):
    page = acting(visitor(site, has_touch=True, viewport={"width": 360, "height": 760}), provider)
    day = days_ahead(8)
    open_week(page, day)
    page.get_by_role("region", name="Week").evaluate("one => one.scrollIntoView()")
    page.touchscreen.tap(*place(page, day, 9.5))
    expect(page.get_by_role("dialog").get_by_label("From")).to_have_value("09:30")
    expect(page.get_by_role("dialog").get_by_label("To")).to_have_value("10:30")


def test_weekly_hours_publish(site, page, provider):
    site.ask("PUT", "/provider/profile", {"provider_id": provider, "time_zone": "Europe/Berlin"})
    first = days_ahead(7)
    first += timedelta(days=-first.weekday())
    page.goto("/provide#/hours")
    page.get_by_label("Monday", exact=True).fill("9-10, 13:00 \N{EN DASH} 14")
    page.get_by_role("button", name="Copy Monday").click()
    expect(page.get_by_label("Friday", exact=True)).to_have_value("9-10, 13:00 \N{EN DASH} 14")
    expect(page.get_by_label("Saturday", exact=True)).to_have_value("")
    page.get_by_label("From").fill(f"{first:%Y-%m-%d}")
    page.get_by_label("Until").fill(f"{first + timedelta(days=6):%Y-%m-%d}")
    page.get_by_label("Except on").fill(f"{first + timedelta(days=1):%Y-%m-%d}")
    page.get_by_role("button", name="Leave out").click()
    page.get_by_label("Minutes").fill("60")
    assert violations(page) == []
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="8 appointments")).to_have_count(1)
    local = [
        datetime.fromisoformat(one["start_time"]).astimezone(BERLIN)
        for one in timeslots(site, provider)
    ]
    assert {one.hour for one in local} == {9, 13}
    assert sorted({one.weekday() for one in local}) == [0, 2, 3, 4]
    page.get_by_role("link", name="See the first week").click()
    expect(page.locator(".slot")).to_have_count(8)


def test_hours_that_were_changed_are_asked_about_anew(site, page, provider):
    """The button stands for what was refused."""
    first = days_ahead(7)
    first += timedelta(days=-first.weekday())
    site.publish(provider, first, first + minutes(60))
    page.goto("/provide#/hours")
    missing = page.get_by_role("button", name="Publish what is missing")
    monday = page.get_by_label("Monday", exact=True)
    monday.fill(f"{first:%H:%M}-{first + minutes(120):%H:%M}")
    page.get_by_label("From").fill(f"{first:%Y-%m-%d}")
    page.get_by_label("Until").fill(f"{first + timedelta(days=6):%Y-%m-%d}")
    for change in (
        lambda: monday.fill(f"{first:%H:%M}-{first + minutes(180):%H:%M}"),
        lambda: page.get_by_role("button", name="Copy Monday").click(),
        lambda: page.get_by_role("button", name="Leave out").click(),
        lambda: page.get_by_role("button", name="No more leave out").click(),
    ):
        page.get_by_label("Except on").fill(f"{first + timedelta(days=1):%Y-%m-%d}")
        page.get_by_role("button", name="Publish", exact=True).click()
        expect(missing).to_be_visible()
        change()
        expect(missing).to_have_count(0)
    assert len(timeslots(site, provider)) == 4


def test_hours_that_cannot_be_read_are_said_at_their_day(page):
    page.goto("/provide#/hours")
    page.get_by_label("Monday", exact=True).fill("9-12")
    page.get_by_label("Wednesday", exact=True).fill("in the morning")
    page.get_by_role("button", name="Publish", exact=True).click()
    wrong = page.get_by_label("Wednesday", exact=True)
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(wrong).to_be_focused()
    expect(page.get_by_label("Monday", exact=True)).not_to_have_attribute("aria-invalid", "true")
    assert violations(page) == []


def test_blocking_time_off_shows_first_whom_it_cancels(site, page, provider):
    start = days_ahead(10)
    slots = site.publish(provider, start, start + minutes(120))
    booked = book(site, slots[2])
    held = book(site, slots[5], "Lise Meitner", confirm=False)
    open_week(page, start)
    page.get_by_label("blocks time off").check()
    drag(page, start, 9, 10.5)
    dialog = page.get_by_role("dialog", name="Block time off")
    dialog.get_by_role("button", name="Show what it takes").click()
    expect(dialog.locator(".said")).to_have_text(
        "4 free times would go. 2 appointments would be cancelled:"
    )
    victims = dialog.get_by_role("listitem")
    expect(victims).to_have_count(2)
    expect(victims.nth(0)).to_contain_text("Emmy Noether")
    expect(victims.nth(1)).to_contain_text("Lise Meitner")
    assert violations(page) == []
    assert len(timeslots(site, provider)) == 8
    dialog.get_by_label("Reason").fill("I am ill.")
    dialog.get_by_role("button", name="Block off and cancel 2 appointments").click()
    expect(dialog).to_be_hidden()
    expect(column(page, start).get_by_role("button")).to_have_count(2)
    for reservation in (booked, held):
        found = site.ask("GET", f"/provider/reservation?reservation_id={reservation}")[
            "reservation"
        ]
        assert (found["status"], found["reason"]) == ("cancelled", "I am ill.")


def test_nobody_is_cancelled_who_was_not_shown(site, page, provider):
    start = days_ahead(11)
    slots = site.publish(provider, start, start + minutes(60))
    shown = book(site, slots[0])
    open_week(page, start)
    page.get_by_label("blocks time off").check()
    drag(page, start, 9, 10)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Show what it takes").click()
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    late = book(site, slots[3], "Lise Meitner")
    dialog.get_by_role("button", name="Block off and cancel 1 appointment").click()
    expect(dialog.get_by_role("listitem")).to_contain_text(["Lise Meitner"])
    expect(dialog.locator(".said")).to_contain_text("This has changed meanwhile")
    by_id = {
        one["reservation_id"]: one["status"]
        for one in site.ask("GET", f"/provider/reservations?provider_id={provider}")["reservations"]
    }
    assert by_id == {shown: "cancelled", late: "confirmed"}
    dialog.get_by_role("button", name="Block off and cancel 1 appointment").click()
    expect(dialog).to_be_hidden()
    assert timeslots(site, provider) == []


def test_what_is_over_is_not_blocked_off(site, page, provider):
    """Whoever has been there is not cancelled for it."""
    yesterday = days_ahead(-1)
    site.publish(provider, yesterday, yesterday + minutes(60))
    open_week(page, yesterday)
    page.get_by_label("blocks time off").check()
    drag(page, yesterday, 9, 10)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Show what it takes").click()
    expect(dialog.get_by_text("This time is over.")).to_be_visible()
    assert len(timeslots(site, provider)) == 4


def test_what_is_shown_belongs_to_the_time_that_is_asked_for(site, page, provider):
    """Fields that were changed before the answer came: it is of another time."""
    start = days_ahead(13)
    site.publish(provider, start, start + minutes(60))
    open_week(page, start)
    page.get_by_role("button", name="Block time off").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("From date").fill(f"{start:%Y-%m-%d}")
    dialog.get_by_label("To date").fill(f"{start:%Y-%m-%d}")
    dialog.get_by_label("From time").fill("00:00")
    dialog.get_by_label("To time").fill("23:00")
    waiting = []
    page.route(
        "**/provider/availability?**",
        lambda route: route.continue_() if waiting else waiting.append(route),
    )
    dialog.get_by_role("button", name="Show what it takes").click()
    expect(dialog.get_by_role("button", name="Show what it takes")).to_be_disabled()
    dialog.get_by_label("To time").fill("01:00")
    waiting[0].continue_()
    expect(dialog.get_by_role("button", name="Show what it takes")).to_be_enabled()
    expect(dialog.locator(".said")).to_be_empty()
    expect(dialog.get_by_role("button", name="Block off")).to_have_count(0)


def test_a_date_is_typed_to_its_end(site, page, provider):
    start = days_ahead(14)
    site.publish(provider, start, start + minutes(60))
    page.goto(f"/provide#/day/{days_ahead(5):%Y-%m-%d}")
    expect(page.get_by_role("heading", name="List of the day")).to_be_visible()
    page.get_by_label("Date", exact=True).focus()
    page.keyboard.type(f"{start:%m%d%Y}")  # as Chromium itself has it
    expect(page.get_by_role("heading", name="List of the day")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_text("free, 4 times")).to_be_visible()


def test_one_timeslot_is_taken_back(site, page, provider):
    start = days_ahead(12)
    site.publish(provider, start, start + minutes(30))
    open_week(page, start)
    column(page, start).get_by_role("button").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("9:00")
    assert violations(page) == []
    dialog.get_by_role("button", name="Take back").click()
    expect(dialog).to_be_hidden()
    expect(column(page, start).get_by_role("button")).to_have_count(1)
    assert spans(timeslots(site, provider)) == [span(start + minutes(15), start + minutes(30))]


@pytest.mark.parametrize("too", [False, True])
def test_an_appointment_is_cancelled_with_a_reason(site, page, provider, too):
    start = days_ahead(13)
    [slot] = site.publish(provider, start, start + minutes(15))
    reservation = book(site, slot)
    open_week(page, start)
    column(page, start).get_by_role("button", name="Emmy Noether").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("definition").nth(1)).to_have_text("Emmy Noether")
    assert violations(page) == []
    dialog.get_by_label("Reason").fill("I am in Stockholm.")
    if too:
        dialog.get_by_label("Take the time back as well").check()
    dialog.get_by_role("button", name="Cancel this appointment").click()
    expect(dialog).to_be_hidden()
    expect(column(page, start).get_by_role("button")).to_have_count(0 if too else 1)
    found = site.ask("GET", f"/provider/reservation?reservation_id={reservation}")["reservation"]
    assert (found["status"], found["cancelled_by"]) == ("cancelled", "provider")
    assert found["reason"] == "I am in Stockholm."


def test_a_time_that_is_not_taken_back_is_said(site, page, provider):
    """Somebody books it between the cancellation and the removal."""
    start = days_ahead(13)
    [slot] = site.publish(provider, start, start + minutes(15))
    book(site, slot)
    open_week(page, start)
    column(page, start).get_by_role("button", name="Emmy Noether").click()

    def be_faster(route):
        book(site, slot, "Lise Meitner")
        route.continue_()

    page.route("**/provider/availability?**timeslot_ids**", be_faster)
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Take the time back as well").check()
    dialog.get_by_role("button", name="Cancel this appointment").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#announced")).to_contain_text("reserved")
    expect(column(page, start).get_by_role("button", name="Lise Meitner")).to_be_visible()


def test_a_refusal_is_said_in_the_dialog(site, page, provider):
    start = days_ahead(13)
    [slot] = site.publish(provider, start, start + minutes(15))
    reservation = book(site, slot)
    open_week(page, start)
    column(page, start).get_by_role("button", name="Emmy Noether").click()
    site.ask("PUT", "/client/cancel", {"reservation_id": reservation})
    page.get_by_role("button", name="Cancel this appointment").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("was cancelled")


def test_what_others_do_is_seen_without_losing_the_focus(site, page, provider):
    start = days_ahead(8)
    slots = site.publish(provider, start, start + minutes(60))
    open_week(page, start)
    shown = column(page, start).get_by_role("button")
    shown.nth(2).focus()
    top = page.get_by_role("region", name="Week").evaluate("one => one.scrollTop")
    book(site, slots[1])
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(shown.nth(1)).to_have_accessible_name(re.compile("Emmy Noether"))
    expect(shown.nth(2)).to_be_focused()
    assert page.get_by_role("region", name="Week").evaluate("one => one.scrollTop") == top


def test_a_service_that_is_away_is_said_without_taking_the_week_away(site, page, provider):
    start = days_ahead(8)
    site.publish(provider, start, start + minutes(15))
    open_week(page, start)
    page.context.set_offline(True)
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(page.get_by_text("This is as of")).to_be_visible()
    expect(column(page, start).get_by_role("button")).to_have_count(1)
    page.context.set_offline(False)
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(page.get_by_text("This is as of")).to_have_count(0)


def test_arrow_keys_lead_from_time_to_time(site, page, provider):
    monday = days_ahead(14)
    monday -= timedelta(days=monday.weekday())
    for nth in (0, 1, 4):
        site.publish(provider, monday + timedelta(days=nth), monday + timedelta(days=nth, hours=1))
    open_week(page, monday)
    first, second, third = (
        column(page, monday + timedelta(days=nth)).get_by_role("button") for nth in (0, 1, 4)
    )
    expect(first.first).to_have_attribute("tabindex", "0")
    first.first.focus()
    page.keyboard.press("ArrowDown")
    expect(first.nth(1)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(second.nth(1)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(third.nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(third.last).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(first.last).to_be_focused()
    assert page.locator('.week button[tabindex="0"]').count() == 1
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(first.last).to_be_focused()


def test_the_next_week_keeps_the_focus_on_its_link(page):
    open_week(page, days_ahead(8))
    title = page.locator(".bar h2").text_content()
    page.get_by_role("link", name="Next week").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".bar h2")).not_to_have_text(title)
    expect(page.get_by_role("link", name="Next week")).to_be_focused()
    page.go_back()
    expect(page.locator(".bar h2")).to_have_text(title)


def next_change_back():
    """The next autumn Sunday on which Berlin has two o'clock twice."""
    day = datetime(days_ahead(3).year + 1, 10, 31, tzinfo=UTC)
    return day - timedelta(days=(day.weekday() + 1) % 7)


def test_an_hour_that_comes_twice_is_drawn_twice(site, page, provider):
    site.ask("PUT", "/provider/profile", {"provider_id": provider, "time_zone": "Europe/Berlin"})
    day = next_change_back()
    site.publish(provider, day - timedelta(hours=1), day + timedelta(hours=3), slot_minutes=40)
    open_week(page, day)
    boxes = (
        column(page, day)
        .locator(".slot")
        .evaluate_all("all => all.map((one) => one.getBoundingClientRect().toJSON())")
    )
    assert len(boxes) >= 6
    for nth, one in enumerate(boxes):
        for other in boxes[nth + 1 :]:
            assert (
                one["right"] <= other["left"] + 1
                or other["right"] <= one["left"] + 1
                or one["bottom"] <= other["top"] + 1
                or other["bottom"] <= one["top"] + 1
            )
    names = column(page, day).get_by_role("button").all_inner_texts()
    assert any("+2" in name for name in names)
    assert any("+1" in name for name in names)
    assert violations(page) == []


def test_the_second_of_two_hours_can_be_dragged_over(site, page, provider):
    site.ask("PUT", "/provider/profile", {"provider_id": provider, "time_zone": "Europe/Berlin"})
    day = next_change_back()
    open_week(page, day)
    page.get_by_role("region", name="Week").evaluate("one => one.scrollTop = 0")
    box = column(page, day).bounding_box()
    x = box["x"] + box["width"] * 0.75
    page.mouse.move(x, box["y"] + box["height"] * 2 / 24 + 2)
    page.mouse.down()
    page.mouse.move(x, box["y"] + box["height"] * 2.9 / 24)
    page.mouse.up()
    page.get_by_role("dialog").get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    found = timeslots(site, provider)
    assert (found[0]["start_time"], found[-1]["end_time"]) == (
        f"{day:%Y-%m-%d}T01:00:00Z",
        f"{day:%Y-%m-%d}T02:00:00Z",
    )


def test_the_hour_that_is_left_out_breaks_nothing(site, page, provider):
    site.ask("PUT", "/provider/profile", {"provider_id": provider, "time_zone": "Europe/Berlin"})
    day = datetime(days_ahead(3).year + 1, 3, 31, tzinfo=UTC)
    day -= timedelta(days=(day.weekday() + 1) % 7)
    site.publish(provider, day, day + timedelta(hours=2), slot_minutes=60)
    open_week(page, day)
    tops = (
        column(page, day)
        .locator(".slot")
        .evaluate_all("all => all.map((one) => Number(one.style.getPropertyValue('--from')))")
    )
    assert tops == [60, 180]


def test_the_day_list_puts_free_times_together(site, page, provider):
    start = days_ahead(15)
    slots = site.publish(provider, start, start + minutes(150))
    book(site, slots[6])
    page.goto(f"/provide#/day/{start:%Y-%m-%d}")
    rows = page.get_by_role("row")
    expect(rows).to_have_count(4)
    expect(rows.nth(1)).to_have_text(re.compile("9:00.+10:30.*free, 6 times"))
    expect(rows.nth(2)).to_have_text(re.compile("10:30.+10:45.*Emmy Noether.*booked"))
    expect(rows.nth(3)).to_have_text(re.compile("10:45.+11:30.*free, 3 times"))
    assert violations(page) == []
    page.get_by_role("link", name="Next day").click()
    expect(page.get_by_text("Nothing is published on this day.")).to_be_visible()


@pytest.mark.parametrize(("taken", "rows"), [(0, 1), (1, 2), (48, 96)])
def test_a_day_prints_on_one_page(site, page, provider, taken, rows):
    start = days_ahead(16, hour=0)
    slots = site.publish(provider, start, start + timedelta(days=1))
    client = site.client("Bartholomew-Maximilian", "Featherstonehaugh-Cholmondeley")
    for slot in slots[: taken * 2 : 2]:
        site.reserve(client, slot["timeslot_id"])
    page.goto(f"/provide#/day/{start:%Y-%m-%d}")
    expect(page.locator("tbody tr")).to_have_count(rows)
    pdf = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf)) == 1


def test_the_clock_of_the_provider_is_changed(site, page, provider):
    start = days_ahead(17)
    site.publish(provider, start, start + minutes(15))
    open_week(page, start)
    page.get_by_label("Times in").select_option("Asia/Tokyo")
    expect(column(page, start).get_by_role("button")).to_have_accessible_name(
        re.compile(clock("18:00"))
    )
    profile = site.ask("GET", f"/provider/profile?provider_id={provider}")
    assert profile["time_zone"] == "Asia/Tokyo"


def test_a_provider_is_found_or_made(site, visitor):
    site.provider("Grace", "Hopperson")
    page = visitor(site)
    page.goto("/provide")
    page.get_by_label("First or last name").fill("hopperson")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("button", name="Grace Hopperson")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Grace Hopperson").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Calendar of Grace Hopperson")
    page.get_by_role("button", name="Another calendar").click()
    page.get_by_label("First name", exact=True).fill("Mary")
    page.get_by_label("Last name", exact=True).fill("Somerville")
    page.get_by_role("button", name="Create my calendar").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Calendar of Mary Somerville")
    # Its clock is still that of UTC.
    page.get_by_role("button", name="Use Europe/Berlin").click()
    expect(page.get_by_label("Times in")).to_have_value("Europe/Berlin")


@pytest.mark.parametrize("width", [320, 768])
def test_nothing_stands_out_at_the_side(site, visitor, provider, width):
    start = days_ahead(8)
    slots = site.publish(provider, start, start + minutes(480))
    book(site, slots[0], "Bartholomew-Maximilian Featherstonehaugh-Cholmondeley")
    page = acting(visitor(site, viewport={"width": width, "height": 700}), provider)
    for address in (f"week/{start:%Y-%m-%d}", f"day/{start:%Y-%m-%d}", "hours"):
        page.goto(f"/provide#/{address}")
        expect(page.locator("#view")).not_to_have_attribute("aria-busy", "true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert violations(page) == []
    open_week(page, start)
    if width == 320:
        expect(page.locator(".day:visible")).to_have_count(1)
        name = re.compile(f"{start + timedelta(days=-start.weekday()):%A}")
        page.get_by_role("group", name="Day").get_by_role("button", name=name).click()
        expect(column(page, start - timedelta(days=start.weekday()))).to_be_visible()


def give_name(page, first_name, last_name):
    page.get_by_label("First name").fill(first_name)
    page.get_by_label("Last name").fill(last_name)


def give_account(page, email, password=PASSWORD):
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(password)


def sign_in(page, email, password=PASSWORD):
    page.get_by_role("button", name="I have an account").click()
    give_account(page, email, password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_with_accounts_a_provider_signs_up_and_in(private, visitor):
    page = visitor(private)
    page.goto("/provide")
    give_name(page, "Ada", "Lovelace")
    give_account(page, "ada@example.org")
    assert violations(page) == []
    page.get_by_role("button", name="Create my calendar").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Calendar of Ada Lovelace")
    expect(page.get_by_role("button", name="Another calendar")).to_have_count(0)
    day = days_ahead(8)
    open_week(page, day)
    drag(page, day, 9, 10)
    page.get_by_role("dialog").get_by_role("button", name="Publish", exact=True).click()
    expect(column(page, day).get_by_role("button")).to_have_count(4)
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, "ada@example.org")
    expect(column(page, day).get_by_role("button")).to_have_count(4)


def test_a_client_becomes_a_provider_too(private, visitor):
    account = {"email": "emmy@example.org", "password": PASSWORD}
    private.ask("POST", "/client/create", {"first_name": "E", "last_name": "N"} | account)
    page = visitor(private)
    page.goto("/provide")
    sign_in(page, "emmy@example.org")
    expect(page.get_by_label("E-mail address")).to_have_count(0)
    give_name(page, "Emmy", "Noether")
    page.get_by_role("button", name="Create my calendar").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Calendar of Emmy Noether")


def test_staff_look_at_any_provider(private, visitor):
    private.staff_token()
    names = {"first_name": "Grace", "last_name": "Hopperson"}
    account = {"email": "grace@example.org", "password": PASSWORD}
    private.ask("POST", "/provider/create", names | account)
    page = visitor(private)
    page.goto("/provide")
    sign_in(page, "root@example.org", f"{MARK_OF_PASSWORDS}of-root")
    page.get_by_role("button", name="Grace Hopperson").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Calendar of Grace Hopperson")
    page.get_by_role("button", name="Another calendar").click()
    expect(page.get_by_role("button", name="Grace Hopperson")).to_be_visible()
