"""The guide to recording shows a configuration that loads, and names what exists."""

from __future__ import annotations

import re
from pathlib import Path

from faceanond.config.load import parse
from faceanond.config.record import Record, RecordOptions
from faceanond.observe.catalogue import declared
from faceanond.publish.record.names import Name
from tests.deploy import promql

PLACE = Path(__file__).parents[2] / "docs" / "guide" / "recording.md"
GUIDE = PLACE.read_text(encoding="utf-8")


def test_its_example_loads_and_shows_every_key_with_its_default() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    config = parse(example + '\n[cameras.lobby]\nsource = "demo:"\n', "guide")
    assert config.record == Record(enabled=True)
    assert config.record.model_fields_set == set(Record.model_fields)
    assert config.cameras["lobby"].record == RecordOptions(enabled=True, keep=86_400.0)


def test_its_metrics_alerts_and_links_exist() -> None:
    metrics = {name for name, *_ in declared()}
    named = set(re.findall(r"`(faceanond_\w+)`", GUIDE))
    assert len(named) >= 4
    assert named <= metrics
    assert set(re.findall(r"`(Faceanond\w+)`", GUIDE)) <= {name for name, _ in promql.alert_queries()}
    for link in re.findall(r"\]\(([^)#]+)", GUIDE):
        assert (PLACE.parent / link).exists(), link


def test_its_file_is_called_as_files_are() -> None:
    folder, day, file = re.findall(r"recordings/(\w+)/([\d-]+)/(\S+\.mp4)", GUIDE)[0]
    name = Name.read(folder, file)
    assert name is not None
    assert name.day == day
