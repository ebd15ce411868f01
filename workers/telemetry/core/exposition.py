"""The text that Prometheus reads, in its own format and in OpenMetrics, which differ in three places.

    Prometheus 0.0.4    # TYPE tandem_x_total counter    tandem_x_total 5
    OpenMetrics 1.0.0   # TYPE tandem_x counter          tandem_x_total 5        and at the end # EOF

Metrics come in the order of their declaration, each with all its samples together, as both demand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from ipc.messages.stats import Histogram

PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Kind(StrEnum):
    """How a metric moves."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(NamedTuple):
    """A name, and what it means everywhere."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    def series(self) -> tuple[str, ...]:
        """The names that its samples have."""
        if self.kind is Kind.HISTOGRAM:
            return (f"{self.name}_bucket", f"{self.name}_count", f"{self.name}_sum")
        return (self.name,)


class Exposition:
    """Samples of the metrics that there are."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._samples: dict[Metric, list[str]] = {metric: [] for metric in metrics}

    def add(self, metric: Metric, value: float, *labels: str) -> None:
        """A sample, with values for the metric's labels, in order."""
        text = _pairs(zip(metric.labels, labels, strict=True))
        self._samples[metric].append(f"{metric.name}{text} {_number(value)}\n")

    def add_histogram(
        self, metric: Metric, bounds: Sequence[float], histogram: Histogram, *labels: str
    ) -> None:
        """The samples of a histogram whose buckets end at `bounds`."""
        pairs = list(zip(metric.labels, labels, strict=True))
        lines, total = self._samples[metric], 0
        for bound, count in zip((*bounds, "+Inf"), histogram.counts, strict=True):
            total += count
            text = _pairs([*pairs, ("le", str(bound))])
            lines.append(f"{metric.name}_bucket{text} {total}\n")
        text = _pairs(pairs)
        lines.append(f"{metric.name}_count{text} {total}\n")
        lines.append(f"{metric.name}_sum{text} {_number(histogram.sum)}\n")

    def encode(self, *, open_metrics: bool = False) -> bytes:
        """All metrics that have samples."""
        parts: list[str] = []
        for metric, lines in self._samples.items():
            if lines:
                name = metric.name.removesuffix("_total") if open_metrics else metric.name
                parts.append(f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind.value}\n")
                parts.extend(lines)
        if open_metrics:
            parts.append("# EOF\n")
        return "".join(parts).encode()


def _pairs(labels: Iterable[tuple[str, str]]) -> str:
    text = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels)
    return f"{{{text}}}" if text else ""


def _number(value: float) -> str:
    return str(int(value)) if isinstance(value, bool) else repr(value)
