"""docs/capacity.md says what its figures and the costs in benchmarks/README.md come to."""

import pytest

from benchmarks import capacity

pytestmark = pytest.mark.once


def test_the_page_is_what_the_measurements_come_to():
    page = capacity.PAGE.read_text()
    assert f"<!-- needs -->\n{capacity.tables()}\n<!-- needs -->" in page, "run make capacity"
    for name, value in (capacity.BYTES | capacity.WAL).items():
        assert f"| {name} | {value:,} |" in page
