"""The rows that a measurement needs, written set-wise behind the service's back."""

from datetime import UTC, datetime, timedelta

import psycopg

from .load import PEOPLE


class Rows:
    """Writes rows; each method returns the ids of what it wrote, which follow one another."""

    def __init__(self, database_url: str) -> None:
        self.connection = psycopg.connect(database_url, autocommit=True)
        # Foreign keys are looked up row by row, which takes longer than everything else here.
        self.connection.execute("SET session_replication_role = replica")
        self.connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        self.today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self._people("client", PEOPLE)
        self.few = self.providers(100)
        self.many = self.providers(20)
        self.past_timeslots = 0

    def providers(self, count: int) -> range:
        return self._people("provider", count)

    def past(self, timeslots: int, reservations: int) -> None:
        """Grow the past to so many timeslots, and of the oldest of them so many that were
        confirmed or expired in their day, spread over the providers whose timeslots are listed."""
        providers = len(self.few) + len(self.many)
        self.connection.execute(
            """
            INSERT INTO scheduling_timeslot (provider_id, start_time, end_time)
            SELECT %s + nth %% %s, %s - (nth / %s + 1) * interval '15 minutes',
                   %s - (nth / %s) * interval '15 minutes'
              FROM generate_series(%s, %s - 1) nth
            """,
            [
                *(self.few[0], providers, self.today, providers, self.today, providers),
                *(self.past_timeslots, timeslots),
            ],
        )
        self.connection.execute(
            """
            INSERT INTO scheduling_reservation (provider_id, timeslot_id, client_id, start_time,
                   end_time, status, created_at, expires_at, changed_at)
            SELECT provider_id, id, 1 + id %% %s, start_time, end_time,
                   CASE id %% 3 WHEN 0 THEN 'expired' ELSE 'confirmed' END,
                   start_time - interval '2 days', start_time - interval '47 hours',
                   start_time - interval '47 hours'
              FROM scheduling_timeslot timeslot WHERE start_time < %s ORDER BY id DESC LIMIT %s
            """,
            [PEOPLE, self.today, reservations],
        )
        self.past_timeslots = timeslots
        self.settle()

    def upcoming(self, providers: range, each: int) -> None:
        """`each` bookable timeslots for every one of the providers, and a confirmed one after
        each of them."""
        timeslots = self._timeslots(providers, 2 * each * len(providers))
        every_second = f"(id - {timeslots[0]}) / {len(providers)} %% 2 = 1"
        self._reservations(timeslots, every_second, "confirmed", timedelta(hours=1))

    def free(self, count: int) -> range:
        return self._timeslots(self.providers(100), count)

    def held(self, count: int, age: timedelta = timedelta(0)) -> range:
        return self._reservations(self.free(count), "TRUE", "held", age)

    def overdue(self, count: int) -> range:
        return self.held(count, age=timedelta(hours=1))

    def settle(self) -> None:
        """What autovacuum and the checkpointer would have done by the time."""
        self.connection.execute("VACUUM ANALYZE")
        self.connection.execute("CHECKPOINT")

    def forget_statements(self) -> None:
        self.connection.execute("SELECT pg_stat_statements_reset()")

    def statements(self) -> tuple[int, int]:
        """How many have been sent since they were forgotten, BEGIN and COMMIT too, and how many
        blocks they looked at. Those that look up foreign keys are PostgreSQL's own."""
        sent, blocks = self.connection.execute(
            """
            SELECT sum(calls), sum(shared_blks_hit + shared_blks_read) FROM pg_stat_statements
             WHERE query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE 'SELECT % FROM ONLY %'
            """
        ).fetchone()
        return int(sent or 0), int(blocks or 0)

    def _people(self, kind: str, count: int) -> range:
        return self._written(
            f"""
            INSERT INTO scheduling_{kind} (first_name, last_name)
            SELECT 'Grace', 'Hopper' FROM generate_series(1, %s)
            """,
            [count],
        )

    def _timeslots(self, providers: range, count: int) -> range:
        """To the providers in turn, back to back from the day after tomorrow on."""
        soon = self.today + timedelta(days=2)
        share = len(providers)
        return self._written(
            """
            INSERT INTO scheduling_timeslot (provider_id, start_time, end_time)
            SELECT %s + nth %% %s, %s + (nth / %s) * interval '15 minutes',
                   %s + (nth / %s + 1) * interval '15 minutes'
              FROM generate_series(0, %s - 1) nth
            """,
            [providers[0], share, soon, share, soon, share, count],
        )

    def _reservations(self, timeslots: range, which: str, status: str, age: timedelta) -> range:
        created_at = datetime.now(UTC) - age
        return self._written(
            f"""
            INSERT INTO scheduling_reservation (provider_id, timeslot_id, client_id,
                   start_time, end_time, status, created_at, expires_at, changed_at)
            SELECT provider_id, id, 1, start_time, end_time, %s, %s, %s, %s
              FROM scheduling_timeslot WHERE id BETWEEN %s AND %s AND {which} ORDER BY id
            """,
            [
                *(status, created_at, created_at + timedelta(minutes=30), created_at),
                *(timeslots[0], timeslots[-1]),
            ],
        )

    def _written(self, insert: str, params: list[object]) -> range:
        """The ids of the rows that one statement wrote, while nobody else was writing."""
        first, count = self.connection.execute(
            f"WITH written AS ({insert} RETURNING id) SELECT min(id), count(*) FROM written", params
        ).fetchone()
        return range(first, first + count)
