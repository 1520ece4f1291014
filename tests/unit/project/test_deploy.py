"""deploy/: every command, option, port, path and variable in it is one that exists."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from grpclab.cli import commands, serve
from grpclab.factors.defaults import DEFAULT_PORTS
from grpclab.servers.process import sidecar
from tests.support import deploy
from tests.support.deploy import DEPLOY, ROOT

SERVICES = deploy.services()
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "grpclab"}
OTHERS = {name: service for name, service in SERVICES.items() if name not in OURS}
SERVERS = {"grpc-server-optimized": "optimized", "grpc-server-basic": "basic"}
MOUNTS = [(name, volume.split(":")) for name, service in SERVICES.items() for volume in service.get("volumes", ())]


def ports(name: str) -> list[list[str]]:
    """The published ports of a service: the address if there is one, the port of the host, that of the container."""
    return [port.split(":") for port in SERVICES[name].get("ports", ())]


def variable(name: str, variable: str) -> str:
    return str(SERVICES[name]["environment"][variable])


# ---- the services ------------------------------------------------------------------------------------------------


def test_the_services_of_the_demo_are_on_their_ports() -> None:
    assert ports("grpc-server-optimized") == [["50051", "50051"]]
    assert ports("grpc-server-basic") == [["50052", "50052"]]
    assert ports("pprof-dashboard") == [["127.0.0.1", "3000", "3000"]]
    without = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert without == {*SERVERS, "pprof-dashboard"}


@pytest.mark.parametrize("name", OURS)
def test_the_command_of_a_service_is_one_that_grpclab_takes(name: str) -> None:
    options = commands.read(OURS[name]["command"])
    assert options.command in ("serve", "bench")
    assert getattr(options, "variant", None) == SERVERS.get(name)


@pytest.mark.parametrize(("name", "variant"), SERVERS.items())
def test_a_server_listens_on_the_port_that_is_published(name: str, variant: str) -> None:
    assert ports(name) == [[variable(name, "GRPC_SERVER_PORT")] * 2]
    assert int(variable(name, "GRPC_SERVER_PORT")) == DEFAULT_PORTS[variant]
    assert int(variable(name, "PPROF_PORT")) == sidecar.DEFAULT_PORT
    options = commands.read(OURS[name]["command"])
    assert (options.host, options.desk_host) == ("0.0.0.0", "0.0.0.0")


@pytest.mark.parametrize("name", OURS)
def test_the_variables_of_our_services_are_read(name: str) -> None:
    known = set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", serve.SERVE_HELP))
    assert set(OURS[name].get("environment", ())) <= known


@pytest.mark.parametrize("name", OURS)
def test_our_services_can_change_nothing_and_may_nothing(name: str) -> None:
    assert OURS[name]["read_only"] is True
    assert OURS[name]["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in OURS[name]["security_opt"]


def test_the_load_generator_names_a_server_and_its_ceilings() -> None:
    options = commands.read(OURS["load-generator"]["command"])
    host, _, port = options.target.partition(":")
    assert port == variable(host, "GRPC_SERVER_PORT")
    assert all((options.allow_remote, options.max_rate, options.max_calls, options.max_time))


def test_what_has_no_password_is_for_this_machine_only() -> None:
    assert {port[0] for name in OTHERS for port in ports(name)} == {"127.0.0.1"}


@pytest.mark.parametrize("name", OTHERS)
def test_an_image_of_others_has_a_version(name: str) -> None:
    assert re.search(r":v?\d+\.\d+", OTHERS[name]["image"])


@pytest.mark.parametrize(("name", "mount"), MOUNTS, ids=str)
def test_what_is_mounted_is_there(name: str, mount: list[str]) -> None:
    source, target, *mode = mount
    if source.startswith("./"):
        assert (DEPLOY / source).is_dir()
        assert mode == ["ro"]
    else:
        assert source in deploy.read("compose.yaml")["volumes"]
    assert target.startswith("/")


def inside(name: str, path: str) -> bool:
    """Whether a path in the container of a service is a file of deploy/ that is mounted there."""
    mounted = [(source, target) for user, (source, target, *_) in MOUNTS if user == name and source.startswith("./")]
    return any(
        PurePosixPath(path).is_relative_to(target)
        and Path(DEPLOY, source, PurePosixPath(path).relative_to(target)).exists()
        for source, target in mounted
    )


def test_the_files_that_a_service_is_told_of_are_mounted() -> None:
    for name in ("prometheus", "blackbox"):
        (file,) = (word.partition("=")[2] for word in SERVICES[name]["command"] if word.startswith("--config.file="))
        assert inside(name, file)
    assert inside("grafana", SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    provider = deploy.read("grafana/provisioning/dashboards/grpclab.yaml")["providers"][0]
    assert inside("grafana", provider["options"]["path"])


# ---- the image ---------------------------------------------------------------------------------------------------


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    copied = {
        source
        for word, rest in deploy.instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    allowed = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    build = SERVICES["grpc-server-basic"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


def test_the_image_installs_an_extra_that_there_is() -> None:
    optional = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (extra,) = {
        extra for word, rest in deploy.instructions() if word == "RUN" for extra in re.findall(r"\.\[(\w+)\]", rest)
    }
    names = {re.split(r"[>=<]", requirement)[0].replace("-", "_") for requirement in optional[extra]}
    assert set(sidecar.NEEDS) <= names


def test_the_image_runs_a_server_that_is_not_root_and_is_asked_for_its_health() -> None:
    found = dict(deploy.instructions())
    assert int(found["USER"]) > 0
    words = [*json.loads(found["ENTRYPOINT"]), *json.loads(found["CMD"])]
    assert words[0] == "grpclab"
    assert commands.read(words[1:]).variant == "optimized"
    values = dict(re.findall(r"(\w+)=(\S+)", found["ENV"]))
    assert found["EXPOSE"].split() == [values["GRPC_SERVER_PORT"], values["PPROF_PORT"]]
    check = json.loads(found["HEALTHCHECK"].partition("CMD ")[2])
    assert check[:3] == ["python3", "-P", "-m"]
    assert importlib.util.find_spec(check[3]) is not None


# ---- monitoring --------------------------------------------------------------------------------------------------


def scraped() -> dict[str, dict[str, Any]]:
    return {job["job_name"]: job for job in deploy.read("prometheus/prometheus.yml")["scrape_configs"]}


def test_prometheus_scrapes_the_diagnostics_servers_with_their_token() -> None:
    job = scraped()["grpc-servers"]
    (found,) = job["dns_sd_configs"]
    assert set(found["names"]) == set(SERVERS)
    assert {variable(name, "PPROF_PORT") for name in SERVERS} == {str(found["port"])}
    (secret,) = SERVICES["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert deploy.read("compose.yaml")["secrets"][secret] == {"environment": "PPROF_TOKEN"}
    assert all("PPROF_TOKEN" in SERVICES[name]["environment"] for name in SERVERS)


def test_the_exporter_connects_to_every_server() -> None:
    job = scraped()["grpc-connections"]
    tried = {name: str(found["port"]) for found in job["dns_sd_configs"] for name in found["names"]}
    assert tried == {name: variable(name, "GRPC_SERVER_PORT") for name in SERVERS}
    assert job["params"]["module"] == list(deploy.read("blackbox/blackbox.yml")["modules"])
    (exporter,) = (rule["replacement"] for rule in job["relabel_configs"] if "replacement" in rule)
    assert exporter.partition(":")[0] in SERVICES


def test_prometheus_reads_the_rules_that_there_are() -> None:
    assert tuple(deploy.read("prometheus/prometheus.yml")["rule_files"]) == deploy.RULES


def test_the_dashboard_leads_to_a_diagnostics_server() -> None:
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    assert [port[-1] for port in ports("pprof-dashboard")] == re.findall(r"bind :(\d+)", text)
    assert re.findall(r"(grpc-[\w-]+):(\d+)$", text, re.MULTILINE) == [
        ("grpc-server-optimized", variable("grpc-server-optimized", "PPROF_PORT"))
    ]
    longest = pytest.importorskip("grpclab.diagnostics.app", reason="pip install 'grpclab[desk]'").LONGEST_S
    assert all(int(seconds) > longest for seconds in re.findall(r"timeout (?:client|server) (\d+)s", text))


def test_grafana_asks_prometheus_in_every_panel() -> None:
    (source,) = deploy.read("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    host, port = re.fullmatch(r"http://([\w-]+):(\d+)", source["url"]).groups()  # type: ignore[union-attr]
    assert (port, *ports(host)[0][-1:]) == ("9090", "9090")
    assert len({panel["id"] for panel in deploy.panels()}) == len(deploy.panels())
    for panel in deploy.panels():
        for one in [panel, *panel["targets"]]:
            assert one["datasource"] == {"type": "prometheus", "uid": source["uid"]}


def test_each_alert_has_a_limit_in_the_file_of_limits_and_each_limit_an_alert() -> None:
    limits = {rule["record"] for rule in deploy.read("prometheus/thresholds.yml")["groups"][0]["rules"]}
    alerts = [rule for rule in deploy.rules() if "alert" in rule]
    used = [name for rule in alerts for name in re.findall(r"grpclab:limit:\w+", rule["expr"])]
    assert sorted(used) == sorted(limits)
    assert {rule["alert"] for rule in alerts} == {
        *("GrpcHighLatency", "GrpcConnectionFailures", "GrpcErrorRate", "GrpcResourceExhaustion"),
    }
    drawn = {
        name
        for panel in deploy.panels()
        for one in panel["targets"]
        for name in re.findall(r"grpclab:\w[\w:]*", one["expr"])
    }
    assert drawn <= {rule.get("record") for rule in deploy.rules()}
