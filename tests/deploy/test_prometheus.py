"""The alerts and the dashboard ask for what is there, in a language that Prometheus understands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from faceanond.observe.catalogue import declared
from tests.conftest import need_tool
from tests.deploy import promql

QUERIES = [*promql.dashboard_queries(), *promql.alert_queries()]


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run([need_tool("promtool"), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_accepts_its_configuration() -> None:
    assert "SUCCESS" in promtool("check", "config", promql.DEPLOY / "prometheus.yml")


def test_prometheus_accepts_the_alerts() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", promql.RULES)


def test_every_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", promql.DEPLOY / "alerts_test.yml")


def test_every_alert_has_such_a_test() -> None:
    tests = yaml.safe_load((promql.DEPLOY / "alerts_test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {name for name, _ in promql.alert_queries()}


def test_every_alert_says_how_urgent_it_is_and_what_to_do() -> None:
    for group in yaml.safe_load(promql.RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
            assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_query_reads_only_metrics_that_exist(title: str, query: str) -> None:
    names = promql.names_in(query)
    assert names, f"{title} reads nothing"
    assert names <= set(promql.sample_names()) | promql.FOREIGN


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_query_selects_only_by_labels_that_exist(title: str, query: str) -> None:
    known = promql.sample_names()
    for name, labels in promql.selectors_in(query):
        assert labels <= known.get(name, set()) | promql.FOREIGN_LABELS, f"{title}: {name}"
    every = set().union(*known.values()) | promql.FOREIGN_LABELS
    for listed in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", query):
        assert {label.strip() for label in listed.split(",")} <= every, title


def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"query_{number}", "expr": promql.filled_in(query)}
        for number, (_, query) in enumerate(promql.dashboard_queries())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


def test_no_metric_is_left_unseen() -> None:
    seen = set().union(*(promql.names_in(query) for _, query in QUERIES))
    unseen = {name for name, *_ in declared() if not any(read.startswith(name) for read in seen)}
    assert unseen == {"faceanond_camera_fps"}, "camera_fps is the pages' figure; the dashboard computes rates"
