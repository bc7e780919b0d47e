"""A thousand kills of random processes, and what was lost, repeated or out of order by them."""

import random
from pathlib import Path

from tests import aftermath, kills

from .processes import Database
from .rows import Rows

PATIENCE = 150  # seconds after the last kill: beat's next sweep is up to 60 away


def kills_table(_database: Database, folder: Path, _rows: Rows, scale: float) -> str:
    seed = random.randrange(10**6)
    print(f"seed {seed}", flush=True)
    run = kills.run(folder, int(1_000 * scale), seed=seed, patience=PATIENCE)
    found = run.found
    messages = [message.webhook_id for message in found.messages]
    letters = [letter.message_id for letter in found.letters]
    print(*run.complaints[:50], sep="\n")
    figures = {
        "acknowledged changes": len(found.acknowledged),
        "refusals": sum(run.statuses[status] for status in kills.REFUSALS),
        "answers of 503": run.statuses[503],
        "connections lost or refused": run.statuses["none"],
        "changes of which nobody knows": len(found.in_doubt),
        "events": len(found.events),
        "messages to the webhook": len(messages),
        "of them before all was left alone": run.told_amid_them[0],
        "of them duplicates, under the same webhook-id": aftermath.duplicates(messages),
        "letters": len(letters),
        "of these before all was left alone": run.told_amid_them[1],
        "of these duplicates, under the same Message-ID": aftermath.duplicates(letters),
        "letters left out because the hold had lapsed": len(found.lapsed),
        "broken promises": len(run.complaints),
    }
    killed = dict(sorted(run.kills.items(), key=lambda one: -one[1]))
    return "\n\n".join(
        [
            f"Seed {seed}: {sum(killed.values()):,} kills in {run.seconds:,.0f} s; "
            f"{run.drained_after:,.0f} s later nothing was pending.",
            _table("killed", killed),
            _table("found", figures),
        ]
    )


def _table(head: str, counts: dict[str, int]) -> str:
    lines = [[head, "times" if head == "killed" else "count"], ["---", "---:"]]
    lines += [[name, f"{count:,}"] for name, count in counts.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
