"""The soak as a picture: memory, descriptors, store and latency over the time, faults marked; SVG by Vega-Lite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chaos.soak.nemesis import FaultRecord
from chaos.soak.sampler import Sample
from chaos.soak.verdict import MIB

__all__ = ["draw"]

Json = dict[str, Any]
POINTS_MAX = 360
SERVERS = ("first server (killed, restarted)", "second server")


def draw(samples: Sequence[Sample], faults: Sequence[FaultRecord]) -> str:
    """SVG that stands for itself, on white."""
    import vl_convert

    rows = [_row(sample) for sample in samples[:: max(1, len(samples) // POINTS_MAX)]]
    marks = [{"at": fault.from_s / 60, "fault": fault.kind} for fault in faults]
    panels = [
        _panel("resident memory (MiB)", rows, {f"MiB {number}": name for number, name in enumerate(SERVERS)}),
        _panel("descriptors", rows, {f"fd {number}": name for number, name in enumerate(SERVERS)}),
        _panel("store (MiB)", rows, {"store": "store"}),
        _panel("latency (ms)", rows, {"p50": "median", "p99": "99 of 100"}, is_log=True),
        _marks(marks),
    ]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "vconcat": panels,
        "resolve": {"scale": {"color": "independent"}},
        "config": {"view": {"stroke": "#ddd"}, "axis": {"gridColor": "#eee"}},
    }
    svg: str = vl_convert.vegalite_to_svg(spec)
    return svg


def _row(sample: Sample) -> Json:
    row: Json = {"at": round(sample.at_s / 60, 3), "store": round(sample.store_bytes / MIB, 2)}
    row |= {"p50": max(0.1, sample.p50_ms) if sample.calls else None, "p99": sample.p99_ms if sample.calls else None}
    for number, held in enumerate(sample.servers):
        row[f"MiB {number}"] = None if held is None else round(held.resident_bytes / MIB, 2)
        row[f"fd {number}"] = None if held is None else held.descriptors
    return row


def _panel(title: str, rows: list[Json], series: dict[str, str], *, is_log: bool = False) -> Json:
    values = [{"at": row["at"], "of": name, "value": row[column]} for row in rows for column, name in series.items()]
    scale: Json = {"type": "log"} if is_log else {"zero": True}
    return {
        "width": 720,
        "height": 110,
        "title": {"text": title, "anchor": "start", "fontSize": 12},
        "data": {"values": values},
        "mark": {"type": "line", "strokeWidth": 1.2, "interpolate": "linear"},
        "encoding": {
            "x": {"field": "at", "type": "quantitative", "title": None, "axis": {"grid": False}},
            "y": {"field": "value", "type": "quantitative", "title": None, "scale": scale},
            "color": {
                "field": "of", "type": "nominal", "sort": list(series.values()),
                "legend": {"title": None, "orient": "top-right", "fillColor": "white"} if len(series) > 1 else None,
                "scale": {"range": ["#d95f02", "#1b6ca8"] if len(series) > 1 else ["#1b6ca8"]},
            },
        },
    }  # fmt: skip


def _marks(marks: list[Json]) -> Json:
    return {
        "width": 720,
        "height": 110,
        "title": {"text": "faults", "anchor": "start", "fontSize": 12},
        "data": {"values": marks},
        "mark": {"type": "tick", "color": "#555", "thickness": 1},
        "encoding": {
            "x": {"field": "at", "type": "quantitative", "title": "minutes", "axis": {"grid": False}},
            "y": {"field": "fault", "type": "nominal", "title": None},
        },
    }
