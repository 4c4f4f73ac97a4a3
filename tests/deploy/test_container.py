"""The image and the compose files, as far as they can be checked without an engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from faceanond.config.load import load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def compose(name: str = "compose.yaml") -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())
    return content


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.y*ml")), ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_yaml_file_is_one(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text()), dict)


@pytest.mark.parametrize("name", ["faceanond", "prometheus", "grafana"])
def test_every_service_is_locked_down(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


def test_web_ports_are_for_this_machine_alone() -> None:
    published = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    tcp = [port for port in published if not port.endswith("/udp")]
    assert len(tcp) == 4
    assert all(port.startswith("127.0.0.1:") for port in tcp)


def test_every_mounted_file_exists() -> None:
    mounts = [mount for service in compose()["services"].values() for mount in service["volumes"]]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert files
    for file in files:
        assert (DEPLOY / file).exists(), file


def test_every_named_volume_is_declared() -> None:
    content = compose()
    mounts = [mount.split(":")[0] for service in content["services"].values() for mount in service["volumes"]]
    assert {mount for mount in mounts if not mount.startswith(".")} == set(content["volumes"])


def test_the_containers_configuration_is_valid_and_fits_the_published_ports() -> None:
    config = load(DEPLOY / "config.toml", environ={})
    ports = compose()["services"]["faceanond"]["ports"]
    first, last = config.webrtc.udp_ports
    assert first == last, "one port serves all viewers; Docker runs a process for each port that it publishes"
    assert f"{first}:{first}/udp" in ports
    assert f"127.0.0.1:{config.http.listen[1]}:{config.http.listen[1]}" in ports
    assert f"127.0.0.1:{config.rtsp.listen[1]}:{config.rtsp.listen[1]}" in ports
    assert config.http.listen[0] == config.rtsp.listen[0] == "0.0.0.0"
    exposed = re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)
    assert exposed
    assert exposed[1].split() == [str(config.http.listen[1]), str(config.rtsp.listen[1]), f"{first}/udp"]
    assert config.cameras


def test_prometheus_scrapes_the_services_name_and_port() -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["faceanond:8080"]}]


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "faceanond.yml").read_text())["providers"]
    assert source["url"] == "http://prometheus:9090"
    grafana = compose()["services"]["grafana"]
    mounted = dict(mount.split(":")[:2][::-1] for mount in grafana["volumes"])
    assert mounted[provider["options"]["path"]] == "./grafana/dashboards"


def test_the_gpu_file_adds_to_a_service_that_exists() -> None:
    assert set(compose("compose.gpu.yaml")["services"]) <= set(compose()["services"])
    assert 'ARG EXTRAS=""' in DOCKERFILE


def test_the_image_does_not_run_as_root() -> None:
    (user,) = re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)
    assert int(user) > 0


def test_whatever_the_build_copies_is_in_the_context_and_nothing_else() -> None:
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text().split("\n")
    assert "*" in ignore
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    copied = {
        path for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for path in line.split()
    }
    assert copied == allowed
    assert all((ROOT / path).exists() for path in copied)


@contextmanager
def answering(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (404, False)])
def test_the_health_check_believes_healthz(status: int, healthy: bool) -> None:
    check = re.search(r"^HEALTHCHECK .*\\\n\s+CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert check
    _, *arguments = json.loads(check[1])
    with answering(status) as port:
        arguments = [argument.replace("8080", str(port)) for argument in arguments]
        # A proxy in the environment must not come between.
        environ = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
        done = subprocess.run([sys.executable, *arguments], env=environ, timeout=30, check=False)
    assert (done.returncode == 0) == healthy


def test_the_licence_of_what_is_bundled_is_told() -> None:
    text = (DEPLOY / "IMAGE-LICENCES.md").read_text()
    assert "x264" in text
    assert "GPL" in text
    assert "IMAGE-LICENCES.md" in DOCKERFILE
