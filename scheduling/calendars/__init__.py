"""When a provider works, said as people say it: weeks and rules on a wall clock, into windows."""

from .rules import Rule, read_rule, recurring_windows
from .weeks import Hours, read_hours, read_week, weekly_windows
from .windows import (
    SLOT_MINUTES,
    Window,
    first_overlap,
    lengths_that_fit,
    require_publishable,
)
from .zones import (
    UTC_ZONE,
    changes_around,
    moment,
    on_the_wall,
    with_offset,
    zone_named,
    zone_names,
)

__all__ = [
    "SLOT_MINUTES",
    "UTC_ZONE",
    "Hours",
    "Rule",
    "Window",
    "changes_around",
    "first_overlap",
    "lengths_that_fit",
    "moment",
    "on_the_wall",
    "read_hours",
    "read_rule",
    "read_week",
    "recurring_windows",
    "require_publishable",
    "weekly_windows",
    "with_offset",
    "zone_named",
    "zone_names",
]
