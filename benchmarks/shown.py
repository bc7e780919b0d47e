"""Figures and tables as they are shown."""

from statistics import median

from .measure import Cost


def middle(costs: list[Cost], value: str) -> float:
    return median(getattr(cost, value) for cost in costs)


def speeds(costs: list[Cost]) -> list[str]:
    return [figure(middle(costs, value)) for value in ("per_second", "p50", "p99")]


def speed(cost: Cost) -> list[str]:
    return [figure(cost.per_second), figure(cost.p50), figure(cost.p99)]


def figure(value: float) -> str:
    """Three digits: no measurement here is better than that."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
