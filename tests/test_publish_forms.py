"""POST /provider/availability, said in other ways: lengths, ranges, weeks, rules."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduling.models import Timeslot

from .factories import make_provider, make_timeslot

FORMS = {
    "ranges": {
        "ranges": [
            {"start_time": "2026-12-30T10:00:00Z", "end_time": "2026-12-30T11:00:00Z"},
            {"start_time": "2026-12-31T10:00:00Z", "end_time": "2026-12-31T11:00:00Z"},
        ]
    },
    "weekly": {
        "weekly": {"monday": ["09:00-12:00", "1pm-5pm"], "friday": ["10:00-10:30"]},
        "from_date": "2026-12-28",
        "until_date": "2027-01-03",
    },
    "rrule": {
        "start_time": "2026-12-28T09:00",
        "end_time": "2026-12-28T10:00",
        "rrule": "FREQ=DAILY;COUNT=3",
    },
    "plain": {"start_time": "2026-12-30T10:00:00Z", "end_time": "2026-12-30T11:00:00Z"},
}
COUNTS = {"ranges": 8, "weekly": 30, "rrule": 12, "plain": 4}

each_form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture
def publish(api, clock):
    provider = make_provider()

    def publish(**said):
        return api.post("/provider/availability", {"provider_id": provider.pk, **said})

    publish.provider = provider
    return publish


def spans(answer):
    return [(one["start_time"], one["end_time"]) for one in answer.json()["available timeslots"]]


def refused(answer, field, code, status=400):
    assert answer.status_code == status, answer.content
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]
    assert not Timeslot.objects.exists()
    return True


@each_form
def test_each_form_answers_every_timeslot_in_order(publish, form):
    answer = publish(**FORMS[form])
    assert answer.status_code == 201, answer.content
    assert list(answer.json()) == ["available timeslots"]
    assert len(spans(answer)) == COUNTS[form] == Timeslot.objects.count()
    assert spans(answer) == sorted(spans(answer))


@each_form
def test_each_form_costs_four_statements(publish, form, django_assert_num_queries):
    is_on_a_clock = form in ("weekly", "rrule")
    with django_assert_num_queries(4):  # BEGIN and COMMIT (here: a savepoint) among them
        zone = {"time_zone": "UTC"} if is_on_a_clock else {}
        assert publish(**FORMS[form], **zone).status_code == 201
    Timeslot.objects.all().delete()
    with django_assert_num_queries(5 if is_on_a_clock else 4):  # the provider's own zone
        assert publish(**FORMS[form]).status_code == 201


@each_form
@pytest.mark.parametrize(("minutes", "factor"), [(5, 3), (15, 1), (30, 0.5)])
def test_slot_minutes_go_with_each_form(publish, form, minutes, factor):
    answer = publish(**FORMS[form], slot_minutes=minutes)
    assert len(spans(answer)) == COUNTS[form] * factor
    lengths = {
        datetime.fromisoformat(end) - datetime.fromisoformat(start) for start, end in spans(answer)
    }
    assert lengths == {timedelta(minutes=minutes)}


def test_a_window_that_is_no_whole_number_of_timeslots_says_which_lengths_fit(publish):
    answer = publish(**FORMS["plain"], slot_minutes=25)
    assert refused(answer, "slot_minutes", "part_of_a_timeslot")
    assert "5, 6, 10, 12, 15, 20, 30, 60" in answer.json()["detail"]


@pytest.mark.parametrize("minutes", [4, 481, 0, -15, "15", 15.0, True, None, [15]])
def test_what_is_no_length_is_refused(publish, minutes):
    code = "null" if minutes is None else "invalid"
    assert refused(publish(**FORMS["plain"], slot_minutes=minutes), "slot_minutes", code)


@pytest.mark.parametrize("minutes", [5, 480])
def test_the_shortest_and_the_longest_timeslot(publish, minutes):
    answer = publish(
        start_time="2026-12-30T08:00:00Z", end_time="2026-12-30T16:00:00Z", slot_minutes=minutes
    )
    assert len(spans(answer)) == 480 // minutes


# --- Ranges --------------------------------------------------------------------------------------


def span(start, end, **more):
    return {"start_time": f"2026-12-30T{start}Z", "end_time": f"2026-12-30T{end}Z", **more}


def test_a_range_can_have_a_length_of_its_own(publish):
    answer = publish(
        ranges=[span("10:00", "11:00", slot_minutes=30), span("09:00", "10:00")], slot_minutes=20
    )
    assert len(spans(answer)) == 2 + 3


@pytest.mark.parametrize(
    ("ranges", "field", "code"),
    [
        ([], "ranges", "invalid"),
        ([span("10:00", "11:00")] * 101, "ranges", "invalid"),
        ({"0": span("10:00", "11:00")}, "ranges", "invalid"),
        (None, "ranges", "null"),
        ([span("10:00", "11:00"), span("10:45", "12:00")], "ranges", "windows_overlap"),
        ([span("10:00", "11:00"), span("10:00", "11:00")], "ranges", "windows_overlap"),
        ([span("12:00", "11:00")], "ranges[0].end_time", "end_before_start"),
        ([span("10:00", "11:05")], "ranges[0].end_time", "quarter_hour"),
        ([{"start_time": "2026-12-30T10:00Z"}], "ranges[0].end_time", "required"),
        ([span("10:00", "11:00", slot_minutes=3)], "ranges[0].slot_minutes", "invalid"),
        *(([no_object], "ranges[0]", "invalid") for no_object in ("10:00-11:00", None, 7, [])),
    ],
)
def test_ranges_that_make_no_sense_are_refused(publish, ranges, field, code):
    assert refused(publish(ranges=ranges), field, code)


def test_ranges_may_touch(publish):
    answer = publish(ranges=[span("10:00", "11:00"), span("11:00", "12:00")])
    assert len(spans(answer)) == 8


# --- Weeks and rules -----------------------------------------------------------------------------


def test_a_year_of_weekdays_in_new_york_across_both_changes_of_the_clock(publish):
    answer = publish(
        weekly={day: ["09:00-12:00", "1pm-5pm"] for day in ("monday", "friday")},
        from_date="2027-03-08",
        until_date="2027-03-19",
        except_dates=["2027-03-12"],
        time_zone="America/New_York",
        slot_minutes=20,
    )
    starts = [start for start, _ in spans(answer)]
    # Monday the 8th at 09:00 is 14:00 UTC; the clock is put forward on the 14th.
    assert starts[0] == "2027-03-08T14:00:00Z"
    assert "2027-03-15T13:00:00Z" in starts
    assert not [start for start in starts if start.startswith("2027-03-12")]
    assert len(starts) == 3 * 7 * 3


def test_a_night_is_an_hour_shorter_or_longer(publish):
    for date, hours in (("2027-03-27", 7), ("2027-10-30", 9), ("2027-06-05", 8)):
        answer = publish(
            weekly={"saturday": ["22:00-06:00"]},
            from_date=date,
            until_date=date,
            time_zone="Europe/Berlin",
            slot_minutes=60,
        )
        assert len(spans(answer)) == hours


def test_a_rule_keeps_the_time_on_the_wall(publish):
    answer = publish(
        start_time="2027-03-12T09:00",
        end_time="2027-03-12T10:00",
        rrule="FREQ=DAILY;COUNT=4",
        time_zone="America/New_York",
        slot_minutes=60,
    )
    assert [start for start, _ in spans(answer)] == [
        *("2027-03-12T14:00:00Z", "2027-03-13T14:00:00Z"),
        *("2027-03-14T13:00:00Z", "2027-03-15T13:00:00Z"),
    ]


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"weekly": {}}, "weekly", "invalid"),
        ({"weekly": {"Monday": ["09:00-12:00"]}}, "weekly", "unknown_weekday"),
        ({"weekly": {"monday": "09:00-12:00"}}, "weekly.monday", "invalid"),
        ({"weekly": {"monday": ["9-12"]}}, "weekly.monday", "invalid"),
        (
            {"weekly": {"monday": ["09:00-12:00", "11:00-13:00"]}},
            "weekly.monday",
            "windows_overlap",
        ),
        ({"from_date": "2026-12-32"}, "from_date", "invalid"),
        ({"from_date": 20261228}, "from_date", "invalid"),
        ({"until_date": "2026-12-01"}, "until_date", "end_before_start"),
        ({"until_date": "2126-12-01"}, "until_date", "too_far_ahead"),
        ({"except_dates": "2026-12-28"}, "except_dates", "invalid"),
        ({"except_dates": ["soon"]}, "except_dates", "invalid"),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "unknown_time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone", "unknown_time_zone"),
        ({"time_zone": 1}, "time_zone", "invalid"),
        ({"slot_minutes": 50}, "slot_minutes", "part_of_a_timeslot"),
    ],
)
def test_weeks_that_make_no_sense_are_refused(publish, change, field, code):
    assert refused(publish(**FORMS["weekly"] | change), field, code)


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"rrule": "FREQ=DAILY"}, "rrule", "invalid_rule"),
        ({"rrule": "FREQ=HOURLY;COUNT=5"}, "rrule", "invalid_rule"),
        ({"rrule": "FREQ=DAILY;COUNT=999999999"}, "rrule", "too_far_ahead"),
        ({"rrule": 7}, "rrule", "invalid"),
        ({"start_time": "2026-12-28T09:00Z"}, "start_time", "invalid"),
        ({"start_time": "2026-12-28"}, "start_time", "invalid"),
        ({"end_time": "2026-12-28T08:00"}, "end_time", "end_before_start"),
    ],
)
def test_rules_that_make_no_sense_are_refused(publish, change, field, code):
    assert refused(publish(**FORMS["rrule"] | change), field, code)


@pytest.mark.parametrize(
    ("form", "stray", "field"),
    [
        ("weekly", FORMS["ranges"], "from_date"),
        ("weekly", FORMS["plain"], "end_time"),
        ("ranges", FORMS["rrule"], "end_time"),
        ("ranges", {"time_zone": "Europe/Berlin"}, "time_zone"),
        ("plain", {"time_zone": "Europe/Berlin"}, "time_zone"),
        ("plain", {"except_dates": []}, "except_dates"),
        ("rrule", {"from_date": "2026-12-28"}, "from_date"),
    ],
)
def test_one_form_at_a_time(publish, form, stray, field):
    """A zone that was passed over in silence would publish the wrong hours."""
    assert refused(publish(**FORMS[form] | stray), field, "one_form")


def test_at_most_50_000_timeslots_and_five_years(publish):
    all_day = {"weekly": {"monday": ["00:00-24:00"]}, "from_date": "2026-12-28"}
    assert refused(publish(**all_day, until_date="2031-12-20"), "end_time", "too_far_ahead")
    every_day = {day: ["00:00-24:00"] for day in ("monday", "tuesday", "friday")}
    answer = publish(
        weekly=every_day, from_date="2026-12-28", until_date="2030-12-28", slot_minutes=5
    )
    assert refused(answer, "weekly", "too_many_timeslots")


# --- What is there already -----------------------------------------------------------------------


@each_form
def test_all_or_nothing_when_one_overlaps(publish, form):
    taken = make_timeslot(publish.provider)
    Timeslot.objects.update(
        start_time=datetime(2026, 12, 30, 9, 50, tzinfo=UTC),
        end_time=datetime(2026, 12, 30, 10, 5, tzinfo=UTC),
    )
    wednesday = {"weekly": {"wednesday": ["09:00-12:00"]}}
    answer = publish(**FORMS[form] | (wednesday if form == "weekly" else {}))
    assert (answer.status_code, answer.json()["code"]) == (409, "timeslots_overlap")
    assert answer.json()["timeslot_id"] == taken.pk
    assert Timeslot.objects.count() == 1


@each_form
def test_what_exists_can_stay_and_the_rest_be_created(publish, form):
    first = publish(**FORMS[form])
    start, end = spans(first)[1]
    Timeslot.objects.filter(start_time=datetime.fromisoformat(start)).delete()
    again = publish(**FORMS[form], on_overlap="skip")
    assert again.status_code == 201
    assert spans(again) == [(start, end)]
    assert publish(**FORMS[form], on_overlap="skip").json() == {"available timeslots": []}
    assert Timeslot.objects.count() == COUNTS[form]


@pytest.mark.parametrize(
    ("start", "end", "left"),
    [
        ("09:50", "10:05", ["10:15", "10:30", "10:45"]),
        ("10:05", "10:10", ["10:15", "10:30", "10:45"]),
        ("10:20", "10:50", ["10:00"]),
        ("09:00", "12:00", []),
        ("09:45", "10:00", ["10:00", "10:15", "10:30", "10:45"]),
        ("11:00", "11:15", ["10:00", "10:15", "10:30", "10:45"]),
    ],
)
def test_skipping_leaves_out_whatever_shares_a_moment(publish, start, end, left):
    make_timeslot(publish.provider)
    moment = "2026-12-30T{}:00+00:00"
    Timeslot.objects.update(
        start_time=datetime.fromisoformat(moment.format(start)),
        end_time=datetime.fromisoformat(moment.format(end)),
    )
    answer = publish(**FORMS["plain"], on_overlap="skip")
    assert [begin[11:16] for begin, _ in spans(answer)] == left


def test_another_providers_timeslots_are_in_nobodys_way(publish):
    make_timeslot()
    Timeslot.objects.update(
        start_time=datetime(2026, 12, 30, 10, tzinfo=UTC),
        end_time=datetime(2026, 12, 30, 11, tzinfo=UTC),
    )
    assert len(spans(publish(**FORMS["plain"], on_overlap="skip"))) == 4


@pytest.mark.parametrize("word", ["Skip", "", "ignore", None, 1, ["skip"]])
def test_what_is_no_way_to_handle_overlaps_is_refused(publish, word):
    code = "null" if word is None else "invalid"
    assert refused(publish(**FORMS["plain"], on_overlap=word), "on_overlap", code)
