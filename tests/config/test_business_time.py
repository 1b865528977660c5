"""Business time: the examples that define it, the weeks in which clocks change, and what must hold for any hours and any moment."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.config.business_time import Calendar, NoHours, to_utc
from connector.config.tables import CalendarRule
from connector.model.durations import Duration

BERLIN = ZoneInfo("Europe/Berlin")
LONG, FRIDAY = ((time(9), time(17, 30)),), ((time(9), time(16)),)
WEEK = CalendarRule(
    hours={"mon": LONG, "tue": LONG, "wed": LONG, "thu": LONG, "fri": FRIDAY},
    holidays="DE-BE",
    extra_holidays=(date(2026, 12, 24), date(2026, 12, 31)),
)
OFFICE = Calendar.of(WEEK, "Europe/Berlin")


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def every_day(*spans: tuple[time, time], zone: str = "Europe/Berlin") -> Calendar:
    return Calendar(zone=ZoneInfo(zone), hours=(spans,) * 7)


# 16 November 2026 is a Monday; no holiday falls into that month in Berlin.
@pytest.mark.parametrize(
    ("start", "amount", "end"),
    [
        pytest.param("2026-11-13 15:00", "4 business hours", "2026-11-16 12:00", id="over the weekend"),
        pytest.param("2026-11-16 13:30", "4 business hours", "2026-11-16 17:30", id="a deadline on closing is closing"),
        pytest.param("2026-11-14 11:00", "4 business hours", "2026-11-16 13:00", id="Saturday starts on Monday"),
        pytest.param("2026-11-12 17:00", "1 business day", "2026-11-13 16:00", id="cut to Friday's hours"),
        pytest.param("2026-11-16 17:30", "1 business hour", "2026-11-17 10:00", id="closing itself is outside"),
        pytest.param("2026-11-16 17:29", "1 business minute", "2026-11-16 17:30", id="minutes"),
        pytest.param("2026-11-16 06:00", "0 business hours", "2026-11-16 09:00", id="nothing, from outside, is the opening"),
        pytest.param("2026-11-14 11:00", "1 business day", "2026-11-17 09:00", id="a day from the next opening"),
        pytest.param("2026-11-16 20:00", "2 business days", "2026-11-19 09:00", id="days from after closing"),
        pytest.param("2026-11-13 10:00", "15 business days", "2026-12-04 10:00", id="three weeks"),
        pytest.param("2026-12-23 17:00", "1 business hour", "2026-12-28 09:30", id="Christmas, with the extra holiday"),
        pytest.param("2026-12-23 10:00", "2 business days", "2026-12-29 10:00", id="holidays are no working days"),
        pytest.param("2026-11-13 15:00", "4 hours", "2026-11-13 19:00", id="plain hours are elapsed time"),
        pytest.param("2026-11-13 23:00", "2 days", "2026-11-15 23:00", id="plain days, from the start itself"),
    ],
)
def test_goes_on_by_the_amount(start: str, amount: str, end: str) -> None:
    result = OFFICE.add(berlin(start), Duration.parse(amount))
    assert result == berlin(end)
    assert result.tzinfo is UTC


@pytest.mark.parametrize(
    ("end", "amount", "start"),
    [
        pytest.param("2026-11-16 09:30", "1 business hour", "2026-11-13 15:30", id="a warning over the weekend"),
        pytest.param("2026-11-16 10:00", "1 business hour", "2026-11-16 09:00", id="to the opening of the same day"),
        pytest.param("2026-11-14 11:00", "0 business hours", "2026-11-13 16:00", id="from outside, from the last closing"),
        pytest.param("2026-11-16 17:30", "1 business hour", "2026-11-16 16:30", id="from closing"),
        pytest.param("2026-11-16 17:00", "1 business day", "2026-11-13 16:00", id="a day back, cut"),
        pytest.param("2026-11-16 09:00", "1 business day", "2026-11-13 09:00", id="a day back from the opening"),
        pytest.param("2026-11-15 12:00", "1 business day", "2026-11-12 16:00", id="a day back from Sunday: from Friday's closing"),
        pytest.param("2026-11-14 11:00", "30 minutes", "2026-11-14 10:30", id="plain"),
    ],
)
def test_goes_back_by_the_amount(end: str, amount: str, start: str) -> None:
    assert OFFICE.subtract(berlin(end), Duration.parse(amount)) == berlin(start)


def test_a_break_is_closed() -> None:
    noon = every_day((time(9), time(12)), (time(13), time(17)))
    assert not noon.is_open(berlin("2026-11-16 12:00"))
    assert noon.is_open(berlin("2026-11-16 13:00"))
    assert noon.add(berlin("2026-11-16 11:30"), Duration.parse("1 business hour")) == berlin("2026-11-16 13:30")
    assert noon.add(berlin("2026-11-16 12:30"), Duration.parse("0 business hours")) == berlin("2026-11-16 13:00")


def test_a_time_of_day_that_falls_into_the_next_days_break_is_its_beginning() -> None:
    whole, halves = ((time(9), time(17)),), ((time(9), time(12)), (time(13), time(17)))
    calendar = Calendar(zone=BERLIN, hours=(whole, halves, whole, whole, whole, (), ()))
    assert calendar.add(berlin("2026-11-16 12:30"), Duration.parse("1 business day")) == berlin("2026-11-17 12:00")


def test_hours_may_end_at_midnight() -> None:
    late = Calendar(zone=BERLIN, hours=(((time(14), time()),),) + ((),) * 6)
    assert late.add(berlin("2026-11-16 23:00"), Duration.parse("1 business hour")) == berlin("2026-11-17 00:00")
    assert late.subtract(berlin("2026-11-17 00:00"), Duration.parse("1 business day")) == berlin("2026-11-10 00:00")
    assert late.add(berlin("2026-11-17 00:00"), Duration.parse("1 business hour")) == berlin("2026-11-23 15:00")


def test_a_region_has_its_own_holidays() -> None:
    """8 March is a holiday in Berlin (a Monday in 2027), Corpus Christi in Bavaria."""
    bavaria = Calendar.of(WEEK.model_copy(update={"holidays": "DE-BY"}), "Europe/Berlin")
    assert OFFICE.is_holiday(date(2027, 3, 8))
    assert not bavaria.is_holiday(date(2027, 3, 8))
    assert bavaria.is_holiday(date(2027, 5, 27))
    assert not OFFICE.is_holiday(date(2027, 5, 27))


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        # Berlin 2026: clocks skip 02:00–03:00 on 29 March, and show 02:00–03:00 twice on 25 October.
        pytest.param("2026-03-29T00:30+01:00", 2, "2026-03-29T03:30+02:00", id="the night that is an hour short"),
        pytest.param("2026-10-25T00:30+02:00", 4, "2026-10-25T03:30+01:00", id="the night that is an hour long"),
    ],
)
def test_business_hours_are_real_hours_when_clocks_change(start: str, hours: int, end: str) -> None:
    nights = every_day((time(), time(6)))
    assert nights.add(datetime.fromisoformat(start), Duration(hours, "hour", business=True)) == datetime.fromisoformat(end)


def test_business_days_keep_the_time_of_day_when_clocks_change() -> None:
    assert OFFICE.add(berlin("2026-03-27 10:00"), Duration.parse("1 business day")) == berlin("2026-03-30 10:00")
    assert OFFICE.add(berlin("2026-10-23 10:00"), Duration.parse("1 business day")) == berlin("2026-10-26 10:00")
    assert OFFICE.add(berlin("2026-03-28 10:00"), Duration.parse("1 day")) == berlin("2026-03-29 11:00")


def test_a_time_that_clocks_skip_is_the_moment_of_the_skip() -> None:
    skip = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert to_utc(date(2026, 3, 29), time(2), BERLIN) == skip
    assert to_utc(date(2026, 3, 29), time(2, 30), BERLIN) == skip
    nights = every_day((time(2, 15), time(2, 45)))
    assert nights.add(berlin("2026-03-28 02:30"), Duration.parse("30 business minutes")) == berlin("2026-03-30 02:30")


def test_of_a_time_that_comes_twice_the_first_is_meant() -> None:
    assert to_utc(date(2026, 10, 25), time(2, 30), BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_whole_day_that_a_zone_skipped_has_no_hours() -> None:
    """Samoa went from 29 to 31 December 2011."""
    apia = every_day((time(9), time(17)), zone="Pacific/Apia")
    start = datetime(2011, 12, 29, 16, tzinfo=ZoneInfo("Pacific/Apia"))
    assert apia.add(start, Duration.parse("2 business hours")) == datetime(2011, 12, 31, 10, tzinfo=ZoneInfo("Pacific/Apia"))


@pytest.mark.parametrize(
    ("moment", "midnight"),
    [
        ("2026-11-16T22:59:59+00:00", "2026-11-16T23:00+00:00"),
        ("2026-11-16T23:00:00+00:00", "2026-11-17T23:00+00:00"),
        ("2026-03-28T23:00:00+00:00", "2026-03-29T22:00+00:00"),
    ],
)
def test_next_midnight_is_after_the_moment_in_the_zone(moment: str, midnight: str) -> None:
    assert OFFICE.next_midnight(datetime.fromisoformat(moment)) == datetime.fromisoformat(midnight)


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        OFFICE.add(datetime(2026, 11, 16), Duration.parse("1 hour"))  # noqa: DTZ001 - the point of the test


def test_without_hours_there_is_no_business_time() -> None:
    nobody = Calendar.of(CalendarRule(), "UTC")
    with pytest.raises(NoHours):
        nobody.add(berlin("2026-11-16 10:00"), Duration.parse("1 business hour"))
    assert nobody.add(berlin("2026-11-16 10:00"), Duration.parse("1 hour")) == berlin("2026-11-16 11:00")
    assert nobody.between(berlin("2026-11-16 10:00"), berlin("2026-11-17 10:00")) == timedelta(0)


def test_the_version_follows_what_deadlines_depend_on() -> None:
    def version(**changes: object) -> str:
        return Calendar.of(WEEK.model_copy(update=changes), "Europe/Berlin").version

    assert version() == OFFICE.version
    different = {version(holidays="DE-BY"), version(extra_holidays=()), version(timezone="Europe/Vienna"), version(hours={"mon": LONG})}
    assert len(different | {OFFICE.version}) == 5


# ── For any hours, any moment ────────────────────────────────────────────────────────────────────────────────────────────────────────

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kolkata", "UTC")
# Two years with every kind of change of clocks in these zones.
moments = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive, by its signature
hours_amounts = st.integers(0, 3000).map(lambda minutes: Duration(minutes, "minute", business=True))
day_amounts = st.integers(0, 30).map(lambda days: Duration(days, "day", business=True))


@st.composite
def spans(draw: st.DrawFn) -> tuple[tuple[time, time], ...]:
    """Up to three spans of a day, in order, on quarters of an hour; the last may end at midnight."""
    ends = sorted(draw(st.sets(st.integers(0, 96), max_size=6)))
    walls = [time(*divmod(quarter % 96 * 15, 60)) for quarter in ends]
    return tuple((walls[place], walls[place + 1]) for place in range(0, len(walls) - 1, 2))


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    week = draw(st.lists(spans(), min_size=7, max_size=7).filter(any))
    region = draw(st.sampled_from([None, "DE-BE", "US-CA"]))
    return Calendar(zone=ZoneInfo(draw(st.sampled_from(ZONES))), hours=tuple(week), region=region)


def within_hours(calendar: Calendar, moment: datetime) -> bool:
    """Inside the hours, or on closing."""
    return calendar.is_open(moment) or calendar.is_open(moment - timedelta(microseconds=1))


@given(calendars(), moments, hours_amounts)
def test_the_business_time_to_the_result_is_the_amount(calendar: Calendar, start: datetime, amount: Duration) -> None:
    end = calendar.add(start, amount)
    assert end >= start
    assert within_hours(calendar, end)
    assert calendar.between(start, end) == timedelta(minutes=amount.amount)


@given(calendars(), moments, hours_amounts)
def test_the_business_time_back_to_the_result_is_the_amount(calendar: Calendar, end: datetime, amount: Duration) -> None:
    start = calendar.subtract(end, amount)
    assert start <= end
    assert within_hours(calendar, start)
    assert calendar.between(start, end) == timedelta(minutes=amount.amount)


@given(calendars(), moments, hours_amounts)
def test_adding_and_taking_away_returns_to_where_the_clock_started(calendar: Calendar, start: datetime, amount: Duration) -> None:
    begun = calendar.add(start, Duration(0, "minute", business=True))
    back = calendar.subtract(calendar.add(start, amount), amount)
    # The same moment in business time: at most a night, a weekend or a break lies between.
    assert calendar.between(min(begun, back), max(begun, back)) == timedelta(0)


@given(calendars(), moments, st.timedeltas(timedelta(0), timedelta(days=9)), hours_amounts)
def test_a_later_start_ends_no_earlier(calendar: Calendar, start: datetime, later: timedelta, amount: Duration) -> None:
    assert calendar.add(start, amount) <= calendar.add(start + later, amount)
    assert calendar.subtract(start, amount) <= calendar.subtract(start + later, amount)


@given(calendars(), moments, hours_amounts, st.integers(0, 500))
def test_more_time_ends_no_earlier(calendar: Calendar, start: datetime, amount: Duration, more: int) -> None:
    longer = Duration(amount.amount + more, "minute", business=True)
    assert calendar.add(start, amount) <= calendar.add(start, longer)


@given(calendars(), moments, day_amounts)
def test_business_days_end_in_the_hours_so_many_working_days_on(calendar: Calendar, start: datetime, amount: Duration) -> None:
    begun, end = calendar.add(start, Duration(0, "day", business=True)), calendar.add(start, amount)
    assert within_hours(calendar, end)
    assert end >= begun >= start
    first = begun.astimezone(calendar.zone).date()
    # Closing at midnight is the end of one day and may be the opening of the next.
    ends = {moment.astimezone(calendar.zone).date() for moment in (end, end - timedelta(microseconds=1))}
    passed = {sum(_works(calendar, first + timedelta(days=n)) for n in range(1, (last - first).days + 1)) for last in ends}
    assert amount.amount in passed


def _works(calendar: Calendar, day: date) -> bool:
    start, end = to_utc(day, time(), calendar.zone), to_utc(day + timedelta(days=1), time(), calendar.zone)
    return calendar.between(start, end) > timedelta(0)


@given(moments, moments, day_amounts)
def test_business_days_keep_the_order_of_starts(first: datetime, second: datetime, amount: Duration) -> None:
    earlier, later = sorted((first, second))
    assert OFFICE.add(earlier, amount) <= OFFICE.add(later, amount)
