"""Prometheus' text format, as tests read it."""


def values_of(text: str) -> dict[str, float]:
    """Give the value of each series, labels included."""
    told = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in told}
