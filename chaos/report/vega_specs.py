"""The plots as Vega-Lite specifications, plain dicts that are the same for all cells; `plots` has each cell's data.

Colours are names (`var(--lost)`), which the page's script looks up in its style sheet when it draws, so that light and
dark have one source. What a colour says, a shape says too, or the lane it stands in.
"""

from __future__ import annotations

from typing import Any

__all__ = ["SPECS"]

Json = dict[str, Any]
_SHAPES = {"answered": "circle", "replayed": "diamond", "refused": "square", "unsent": "circle"}
_CROSS = "M-0.8,-0.8L0.8,0.8M0.8,-0.8L-0.8,0.8"
_NAMES = ["answered", "replayed", "refused", "lost", "unsent"]

_COLOURS: Json = {"domain": _NAMES, "range": [f"var(--{name})" for name in _NAMES]}
_SIGNS: Json = {"domain": _NAMES, "range": [_SHAPES.get(name, _CROSS) for name in _NAMES]}
_COLOUR: Json = {"field": "kind", "type": "nominal", "scale": _COLOURS, "legend": None}
_SHAPE: Json = {"field": "kind", "type": "nominal", "scale": _SIGNS, "legend": None}
# A circle says both answered (filled) and not sent (hollow); a cross has no inside.
_FILL: Json = {"condition": {"test": "datum.kind === 'unsent'", "value": "var(--paper)"}, **_COLOUR}
_LANE: Json = {
    "field": "lane",
    "type": "nominal",
    "title": None,
    "sort": None,
    "axis": {"ticks": False, "domain": False},
}
_SECONDS: Json = {"title": "seconds since the start", "scale": {"nice": False, "zero": True}, "axis": {"grid": False}}
_MS: Json = {"field": "ms", "type": "quantitative", "scale": {"type": "log", "nice": True}}
_MS_AXIS: Json = {
    "values": [10**power for power in range(-1, 7)],
    "labelExpr": "datum.value < 1000 ? datum.value + ' ms' : datum.value / 1000 + ' s'",
}


def _tips(**fields: str) -> list[Json]:
    return [{"field": name.rstrip("_"), "title": title} for name, title in fields.items()]


def _span(start: str = "from", end: str = "to", **more: Any) -> Json:
    return {"x": {"field": start, "type": "quantitative", **_SECONDS, **more}, "x2": {"field": end}}


_BANDS: Json = {
    "data": {"name": "bands"},
    "mark": {"type": "rect", "color": "var(--fault)", "opacity": 0.16},
    "encoding": {**_span(), "tooltip": _tips(fault="fault", **{"from": "from (s)", "to": "to (s)"})},
}
_CALL_TIPS = _tips(call="call", key="key", told="told", ms="ms", tries="attempts", effects="effects in the store")
_ATTEMPT_TIPS = _tips(call="call", try_="attempt", key="key", ending="ending", ms="ms", link="link")


def _base(height: int | Json, layers: list[Json]) -> Json:
    return {"width": "container", "height": height, "layer": layers}


_TIMELINE = _base(
    {"step": 34},
    [
        {"data": {"name": "lanes"}, "mark": {"type": "point", "opacity": 0}, "encoding": {"y": _LANE}},
        _BANDS,
        {
            "data": {"name": "calls"},
            "mark": {"type": "bar", "size": 2, "color": "var(--rail)"},
            "encoding": {"y": _LANE, **_span()},
        },
        {
            "data": {"name": "attempts"},
            "mark": {"type": "bar", "size": 12, "strokeWidth": 1, "fillOpacity": 0.55},
            "encoding": {"y": _LANE, **_span(), "fill": _COLOUR, "stroke": _COLOUR, "tooltip": _ATTEMPT_TIPS},
        },
        {
            "data": {"name": "attempts"},
            "transform": [{"filter": "datum.kind !== 'answered'"}],
            "mark": {"type": "point", "size": 44, "strokeWidth": 1.8, "opacity": 1},
            "encoding": {
                "y": _LANE,
                "x": {"field": "to", "type": "quantitative"},
                "shape": _SHAPE,
                "stroke": _COLOUR,
                "fill": _FILL,
                "tooltip": _ATTEMPT_TIPS,
            },
        },
        {
            "data": {"name": "calls"},
            "transform": [{"filter": "datum.mark !== ''"}],
            "mark": {"type": "text", "dy": -12, "fontSize": 11, "fontWeight": "bold", "color": "var(--lost)"},
            "encoding": {
                "y": _LANE,
                "x": {"field": "to", "type": "quantitative"},
                "text": {"field": "mark"},
                "tooltip": _CALL_TIPS,
            },
        },
    ],
)

_LATENCY = _base(
    220,
    [
        _BANDS,
        {
            "data": {"name": "calls"},
            "mark": {"type": "point", "size": 34, "strokeWidth": 1.5, "fillOpacity": 0.45, "opacity": 1},
            "encoding": {
                "x": {"field": "from", "type": "quantitative", **_SECONDS},
                "y": {**_MS, "title": None, "axis": _MS_AXIS},
                "shape": _SHAPE,
                "stroke": _COLOUR,
                "fill": _COLOUR,
                "tooltip": _CALL_TIPS,
            },
        },
    ],
)

_DISTRIBUTION = _base(
    220,
    [
        {
            "data": {"name": "curve"},
            "mark": {"type": "area", "interpolate": "step-after", "color": "var(--answered)", "opacity": 0.12},
            "encoding": {
                "x": {**_MS, "title": "answered within", "axis": {**_MS_AXIS, "grid": False}},
                "y": {
                    "field": "share",
                    "type": "quantitative",
                    "title": None,
                    "stack": None,
                    "scale": {"domain": [0, 1]},
                    "axis": {"format": "%", "values": [0, 0.25, 0.5, 0.75, 1]},
                },
            },
        },
        {
            "data": {"name": "curve"},
            "mark": {"type": "line", "interpolate": "step-after", "color": "var(--answered)", "strokeWidth": 2},
            "encoding": {
                "x": _MS,
                "y": {"field": "share", "type": "quantitative"},
                "tooltip": _tips(ms="ms", share="share of all calls"),
            },
        },
    ],
)

SPECS: Json = {"timeline": _TIMELINE, "latency": _LATENCY, "distribution": _DISTRIBUTION}
