"""Finds the queries in the shipped files and the names in the queries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from faceanond.observe.catalogue import declared
from faceanond.observe.rows import Kind

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "faceanond.json"
RULES = DEPLOY / "alerts.yml"
FOREIGN = {
    "up",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
}
"""What Prometheus and its Python client add."""
FOREIGN_LABELS = {"job", "instance", "le"}


def dashboard() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return content


def dashboard_queries() -> Iterator[tuple[str, str]]:
    """(panel's title, query as written)."""
    content = dashboard()
    for panel in content["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in content["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["name"], annotation["expr"]


def alert_queries() -> Iterator[tuple[str, str]]:
    """(alert's name, query)."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def filled_in(query: str, *, camera: str = "yard") -> str:
    """The query as Grafana sends it."""
    for name, value in {
        "$__rate_interval": "1m",
        "$__range": "1h",
        "$job": ".*",
        "$instance": ".*",
        "$camera": camera,
    }.items():
        query = query.replace(name, value)
    return query


def sample_names() -> dict[str, set[str]]:
    """Every sample that the exposition can hold, with its labels."""
    names: dict[str, set[str]] = {}
    for name, kind, labels, _ in declared():
        if kind is Kind.HISTOGRAM:
            names |= {f"{name}_{end}": set(labels) for end in ("bucket", "count", "sum")}
        else:
            names[name] = set(labels)
    return names


def names_in(query: str) -> set[str]:
    """The metrics that a query reads."""
    return set(re.findall(r"\b(?:faceanond|process|python|go)_[a-z0-9_]+|\bup\b", re.sub(r'"[^"]*"', "", query)))


def selectors_in(query: str) -> Iterator[tuple[str, set[str]]]:
    """(metric, labels that its selector names)."""
    for name, matchers in re.findall(r"([a-z0-9_]+)\{([^}]*)\}", query):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", matchers))
