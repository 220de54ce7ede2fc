"""The plots of measurements 1, 4 and 5, and of the concurrency run, as SVG: Vega-Lite, drawn without a network.

One set of colours (Okabe and Ito's, which colour-blind eyes tell apart) on no background, with text in a grey that
reads on white and on black, so that one file serves both themes of the README. What a colour says, a label or a shape
says too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import vl_convert

from bench.concurrency import names
from bench.measures import growth, identity, writes
from bench.report.result_set import Part, ResultSet
from bench.report.stats import spread
from bench.report.targets import TARGETS

__all__ = ["draw"]

Json = dict[str, Any]
GREY = "#7d8590"
COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"]
CONFIG: Json = {
    "background": "transparent",
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {"labelColor": GREY, "titleColor": GREY, "gridColor": GREY, "gridOpacity": 0.25, "domainColor": GREY,
             "tickColor": GREY, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal",
             "labelLimit": 420},
    "header": {"labelColor": GREY, "titleColor": GREY, "labelFontSize": 13},
    "legend": {"labelColor": GREY, "titleColor": GREY, "labelFontSize": 12, "labelLimit": 420},
    "title": {"color": GREY, "fontSize": 14, "anchor": "start", "fontWeight": "normal"},
    "text": {"color": GREY, "fontSize": 11},
}  # fmt: skip


def draw(result_set: ResultSet, folder: Path) -> list[Path]:
    """Draw what was measured; the files."""
    drawn = []
    for name, spec in SPECS.items():
        if name in result_set.parts and result_set.parts[name].cells:
            svg = vl_convert.vegalite_to_svg({**spec(result_set.parts[name]), "config": CONFIG})
            drawn.append(folder / f"{name}.svg")
            drawn[-1].write_text(svg, encoding="utf-8")
    return drawn


def _rows(part: Part) -> list[Json]:
    """Every measured cell with its median and extremes."""
    return [
        {"row": row, "column": column, **spread(cell.values)._asdict()}
        for (row, column), cell in part.cells.items()
        if cell.values
    ]


def _writes(part: Part) -> Json:
    """Bars, longest on top, one panel for each number of connections; the line through a bar is its spread."""
    rows = [row for row in _rows(part) if row["column"] != writes.NO_SERVER]
    columns = [column for column in part.columns if column != writes.NO_SERVER]
    encoding: Json = {
        "y": {"field": "row", "type": "nominal", "title": None, "sort": part.rows, "axis": {"ticks": False}}
    }
    bar: Json = {
        "mark": {"type": "bar", "height": {"band": 0.66}, "cornerRadiusEnd": 2},
        "encoding": {
            "x": {"field": "median", "type": "quantitative", "title": "calls/s (median; the line: all rounds)"},
            "color": {
                "condition": {"test": f"datum.row === {json.dumps(part.against)}", "value": COLOURS[0]},
                "value": COLOURS[4],
            },
        },
    }
    whisker = {
        "mark": {"type": "rule", "color": GREY, "strokeWidth": 2},
        "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}},
    }
    label = {
        "mark": {"type": "text", "align": "left", "dx": 5},
        "encoding": {
            "x": {"field": "high", "type": "quantitative"},
            "text": {"field": "median", "type": "quantitative", "format": ",.0f"},
        },
    }
    header = {"labelAngle": 0, "labelOrient": "top", "labelAnchor": "start"}
    return {
        "data": {"values": rows},
        "facet": {"row": {"field": "column", "title": None, "sort": columns, "header": header}},
        "spec": {"width": 420, "height": {"step": 24}, "encoding": encoding, "layer": [bar, whisker, label]},
        "title": "Single durable exactly-once writes",
    }


def _identity(part: Part) -> Json:
    """One point a pair; the bar is the median; floor and aim are ruled."""
    costs = part.values(identity.COST, identity.COLUMN)
    target = next(target for target in TARGETS if target.measurement == 4)
    bounds = [
        {"at": target.aim, "name": f"aim {target.aim:g} %"},
        {"at": target.floor, "name": f"floor {target.floor:g} %"},
    ]
    title_x = "time that an identity adds to a call, in % (a dot is a pair, the bar the median)"
    x: Json = {"field": "cost", "type": "quantitative", "title": title_x, "scale": {"nice": True}}
    points = {
        "data": {"values": [{"cost": cost} for cost in costs]},
        "mark": {"type": "point", "filled": True, "size": 70, "opacity": 0.6, "color": COLOURS[0]},
        "encoding": {"x": x},
    }
    median = {
        "data": {"values": [{"cost": spread(costs).median}]},
        "mark": {"type": "tick", "thickness": 4, "size": 40, "color": COLOURS[5]},
        "encoding": {"x": x},
    }
    rule = {
        "data": {"values": bounds},
        "mark": {"type": "rule", "strokeDash": [4, 4], "color": GREY},
        "encoding": {"x": {"field": "at", "type": "quantitative"}},
    }
    names_of_bounds = {
        "data": {"values": bounds},
        "mark": {"type": "text", "dy": -38, "dx": 4, "align": "left"},
        "encoding": {"x": {"field": "at", "type": "quantitative"}, "text": {"field": "name"}},
    }
    title = {"text": "Cost of the identity: on against off, the same server", "offset": 16}
    return {"width": 560, "height": 60, "layer": [rule, names_of_bounds, points, median], "title": title}


def _growth(part: Part) -> Json:
    """Speed as the store grows, the smallest being 1."""
    rows = []
    for what in ("keys", "sessions"):
        names_here = [row for row in part.rows if row.endswith(f" {what}")]
        for name in names_here:
            values = part.values(name, growth.CALLS)
            first = part.values(names_here[0], growth.CALLS)
            if values and first:
                base = spread(first).median
                known = {key: value / base for key, value in spread(values)._asdict().items() if key != "rounds"}
                rows.append({"size": int(name.split()[0].replace(",", "")), "what": what, **known})
    return _lines(
        rows,
        x={"field": "size", "type": "quantitative", "scale": {"type": "log"}, "title": "keys or sessions in the store",
           "axis": {"format": "~s", "grid": False}},
        y="calls/s, against the smallest store",
        title="Writes on a store that has grown",
        floor=0.8,
    )  # fmt: skip


def _slow(part: Part) -> Json:
    """Calls a second against connections while every call waits for the store, a line for each model."""
    rows = [{"size": int(row["column"].split()[0]), "what": row["row"], **row} for row in _rows(part)]
    return _lines(
        rows,
        x={"field": "size", "type": "quantitative", "scale": {"type": "log", "base": 2}, "title": "connections",
           "axis": {"grid": False, "values": sorted({row["size"] for row in rows})}},
        y="calls/s",
        title=part.title,
    )  # fmt: skip


def _lines(rows: Sequence[Json], *, x: Json, y: str, title: str, floor: float | None = None) -> Json:
    """A line with points for each `what`; the bars at a point are its extremes."""
    colour: Json = {"field": "what", "type": "nominal", "title": None, "scale": {"range": COLOURS}, "sort": None,
                    "legend": {"orient": "bottom", "columns": 1}}  # fmt: skip
    shape: Json = {"field": "what", "type": "nominal", "title": None, "sort": None, "legend": None}
    height: Json = {"field": "median", "type": "quantitative", "title": y, "scale": {"zero": True}}
    layers: list[Json] = [
        {"mark": {"type": "rule", "strokeWidth": 1.5}, "encoding": {
            "x": x, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}, "color": colour}},
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"x": x, "y": height, "color": colour}},
        {"mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
         "encoding": {"x": x, "y": height, "color": colour, "shape": shape}},
    ]  # fmt: skip
    if floor is not None:
        rule = {"type": "rule", "strokeDash": [4, 4], "color": GREY}
        place = {"y": {"field": "at", "type": "quantitative"}}
        layers.insert(0, {"data": {"values": [{"at": floor}]}, "mark": rule, "encoding": place})
    return {"width": 560, "height": 240, "data": {"values": list(rows)}, "layer": layers, "title": title}


SPECS: dict[str, Callable[[Part], Json]] = {
    writes.NAME: _writes,
    identity.NAME: _identity,
    growth.NAME: _growth,
    names.SLOW: _slow,
    names.DISK: _slow,
}
