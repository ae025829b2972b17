"""deploy/kubernetes/, rendered by kustomize and held against the schemas of Kubernetes."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from consumers.archive.service import ArchiveSettings
from consumers.kit.settings import load as load_consumer
from relay.console.deployment import Deployment
from relay.console.guard import LIVENESS
from relay.settings import load

HERE = Path("deploy/kubernetes")
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.6.0"
_BUILD_LIMIT_S = 400
# persistentVolumeClaimRetentionPolicy is on by default since the first.
VERSIONS = ("1.27", "1.34")
OVERLAYS = ("outbox", "confirm", "archive", "console", "monitoring")
RECEIVERS = {"outbox": "StatefulSet", "confirm": "Deployment"}

Documents = dict[tuple[str, str], dict[str, Any]]

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
every_mode = pytest.mark.parametrize("overlay", RECEIVERS)


@pytest.fixture(scope="session")
def kustomize() -> list[str]:
    """The program on the PATH, or built by Go, once."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    if found := shutil.which("kustomize"):
        return [found, "build"]
    if not shutil.which("go"):
        pytest.skip("neither kubectl nor kustomize is installed, nor go to build one")
    directory = Path(".run/bin").resolve()
    program = directory / "kustomize"
    if not program.exists():
        environment = os.environ | {"GOBIN": str(directory), "GOFLAGS": "-mod=mod"}
        try:
            done = subprocess.run(
                ["go", "install", KUSTOMIZE],
                env=environment,
                capture_output=True,
                text=True,
                timeout=_BUILD_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"kustomize was not built within {_BUILD_LIMIT_S} s")
        if done.returncode:
            pytest.skip(f"kustomize can't be built: {done.stderr.strip()[-200:]}")
    return [str(program), "build"]


@pytest.fixture
def rendered(overlay: str, kustomize: list[str]) -> Documents:
    """What is applied, by kind and name."""
    done = subprocess.run([*kustomize, HERE / overlay], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = [document for document in yaml.safe_load_all(done.stdout) if document]
    return {(document["kind"], document["metadata"]["name"]): document for document in found}


def workload(rendered: Documents) -> dict[str, Any]:
    (found,) = [
        document
        for (kind, _), document in rendered.items()
        if kind in {"StatefulSet", "Deployment"}
    ]
    return found


def container(rendered: Documents) -> dict[str, Any]:
    (found,) = workload(rendered)["spec"]["template"]["spec"]["containers"]
    return found


def pod_labels(rendered: Documents) -> dict[str, str]:
    return workload(rendered)["spec"]["template"]["metadata"]["labels"]


@every_overlay
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(rendered: Documents, version: str) -> None:
    for (kind, name), document in rendered.items():
        if kind in {"ServiceMonitor", "PodMonitor"}:  # the operator's own
            assert document["apiVersion"] == "monitoring.coreos.com/v1"
            continue
        kubernetes_validate.validate(document, version, strict=True)
        assert name


def test_a_field_that_is_none_is_noticed() -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a"},
        "spec": {"prots": []},
    }

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, VERSIONS[0], strict=True)


@pytest.mark.parametrize("overlay", [*RECEIVERS, "archive"])
def test_selectors_select_the_pods_and_ports_have_a_name(rendered: Documents) -> None:
    labels = pod_labels(rendered)
    ports = {port["name"]: port["containerPort"] for port in container(rendered)["ports"]}

    assert labels
    for (kind, _), document in rendered.items():
        spec = document.get("spec", {})
        match kind:
            case "Service":
                assert spec["selector"].items() <= labels.items()
                assert {port["targetPort"] for port in spec["ports"]} <= ports.keys()
            case "StatefulSet" | "Deployment" | "PodDisruptionBudget":
                assert spec["selector"]["matchLabels"].items() <= labels.items()
            case "NetworkPolicy":
                assert spec["podSelector"]["matchLabels"].items() <= labels.items()
                named = [port["port"] for rule in spec["ingress"] for port in rule["ports"]]
                assert set(named) <= ports.keys()
            case "HorizontalPodAutoscaler":
                target = spec["scaleTargetRef"]
                assert (target["kind"], target["name"]) in rendered
    for probe in ("livenessProbe", "readinessProbe"):
        assert container(rendered)[probe]["httpGet"]["port"] in ports


@pytest.mark.parametrize("overlay", [*RECEIVERS, "archive", "console"])
def test_a_pod_may_do_little(rendered: Documents) -> None:
    pod = workload(rendered)["spec"]["template"]["spec"]
    secured = container(rendered)["securityContext"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert secured["readOnlyRootFilesystem"] is True
    assert secured["allowPrivilegeEscalation"] is False
    assert secured["capabilities"] == {"drop": ["ALL"]}
    assert container(rendered)["resources"]["limits"]["memory"]
    assert not [kind for kind, _ in rendered if kind == "Secret"]


@pytest.mark.parametrize("overlay", [*RECEIVERS, "archive", "console"])
def test_names_are_resolved_by_the_cluster_or_by_a_cache_on_the_node(rendered: Documents) -> None:
    (policy,) = [
        document
        for (kind, _), document in rendered.items()
        if kind == "NetworkPolicy" and "Egress" in document["spec"]["policyTypes"]
    ]

    (rule,) = [
        rule
        for rule in policy["spec"]["egress"]
        if {"port": 53, "protocol": "UDP"} in rule["ports"]
    ]

    assert {"port": 53, "protocol": "TCP"} in rule["ports"]
    namespace, cache = rule["to"]
    labels = namespace["namespaceSelector"]["matchLabels"]
    assert labels == {"kubernetes.io/metadata.name": "kube-system"}
    assert cache == {"ipBlock": {"cidr": "169.254.20.10/32"}}  # NodeLocal DNSCache


@every_mode
def test_receivers_read_their_settings_and_have_time_to_stop(
    rendered: Documents, overlay: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(rendered, tmp_path, "broker-url", "swiftsell")
    monkeypatch.setenv("RELAY_OUTBOX__DIRECTORY", "/var/lib/relay/outbox")  # the image's
    for variable in container(rendered).get("env", []):
        monkeypatch.setenv(variable["name"], variable["value"])

    found = load(settings)

    assert found.ingress.ack_after == overlay
    assert found.admin.host == "0.0.0.0"
    ports = {port["name"]: port["containerPort"] for port in container(rendered)["ports"]}
    assert ports == {"http": found.ingress.port, "admin": found.admin.port}
    pod = workload(rendered)["spec"]["template"]["spec"]
    pre_stop = container(rendered)["lifecycle"]["preStop"]["exec"]["command"][-1]
    pause_s = int(pre_stop.partition("sleep(")[2].rstrip(")"))
    assert pause_s + 2 * found.ingress.shutdown_grace_s < pod["terminationGracePeriodSeconds"]
    if overlay == "outbox":
        mounts = {
            mount["mountPath"]: mount["name"] for mount in container(rendered)["volumeMounts"]
        }
        (claim,) = workload(rendered)["spec"]["volumeClaimTemplates"]
        assert mounts["/var/lib/relay"] == claim["metadata"]["name"]
        size = claim["spec"]["resources"]["requests"]["storage"]
        assert int(size.removesuffix("Gi")) << 30 > found.outbox.max_bytes


@pytest.mark.parametrize("overlay", ["archive"])
def test_the_archive_reads_its_settings(rendered: Documents, tmp_path: Path) -> None:
    settings = settings_of(rendered, tmp_path, "broker-url", "database")
    (tmp_path / "database").write_text("postgresql://archive:secret@postgres/archive")

    _, found = load_consumer("archive", ArchiveSettings, settings)

    assert container(rendered)["command"] == ["python", "-m", "consumers.archive"]
    assert found.admin.port == container(rendered)["ports"][0]["containerPort"]


@pytest.mark.parametrize("overlay", ["console"])
def test_the_console_reads_its_settings_and_is_alone(rendered: Documents, tmp_path: Path) -> None:
    settings = settings_of(rendered, tmp_path, "broker-url", "operator-token")
    receivers = tomllib.loads((HERE / "base/relay.toml").read_text())

    deployment = Deployment(load(settings))

    assert container(rendered)["command"] == ["relay", "console"]
    assert container(rendered)["ports"][0]["containerPort"] == deployment.console.port
    assert workload(rendered)["spec"]["replicas"] == 1
    assert not deployment.access.is_open
    assert {(name, source.origin.vendor) for name, source in deployment.sources.items()} == {
        (name, section["vendor"]) for name, section in receivers["sources"].items()
    }


@pytest.mark.parametrize("overlay", ["console"])
def test_the_console_reaches_what_it_watches(rendered: Documents) -> None:
    console = tomllib.loads(rendered["ConfigMap", _config_map(rendered)]["data"]["relay.toml"])
    urls = [*console["console"]["receivers"], *console["console"]["services"].values()]
    watched = [rendered["Service", urlsplit(url).hostname or ""]["spec"] for url in urls]
    selectors = [service["selector"] for service in watched]
    own, asks = (
        rendered["NetworkPolicy", name]["spec"] for name in ("relay-console", "relay-console-asks")
    )
    (page,) = rendered["Service", "relay-console"]["spec"]["ports"]

    for url, service in zip(urls, watched, strict=True):
        assert service["clusterIP"] == "None"
        assert [port["port"] for port in service["ports"]] == [urlsplit(url).port]
        assert [port["targetPort"] for port in service["ports"]] == ["admin"]
    assert [each["podSelector"]["matchLabels"] for each in own["egress"][0]["to"]] == selectors
    (pods,) = asks["podSelector"]["matchExpressions"]
    assert pods["values"] == [selector["app.kubernetes.io/name"] for selector in selectors]
    (peer,) = asks["ingress"][0]["from"]
    assert peer["podSelector"]["matchLabels"] == pod_labels(rendered)
    assert own["podSelector"]["matchLabels"] == pod_labels(rendered)
    assert rendered["Service", "relay-console"]["spec"]["selector"] == pod_labels(rendered)
    assert page["targetPort"] == container(rendered)["ports"][0]["name"]
    for probe in ("livenessProbe", "readinessProbe"):
        assert container(rendered)[probe]["httpGet"] == {"path": LIVENESS, "port": "http"}


@pytest.mark.parametrize("overlay", [*RECEIVERS, "archive"])
def test_what_the_console_watches_has_the_labels_it_looks_for(
    rendered: Documents, overlay: str
) -> None:
    name = "relay" if overlay in RECEIVERS else f"consumer-{overlay}"

    assert pod_labels(rendered)["app.kubernetes.io/name"] == name
    assert "admin" in {port["name"] for port in container(rendered)["ports"]}


def _config_map(rendered: Documents) -> str:
    (name,) = [name for kind, name in rendered if kind == "ConfigMap"]
    return name


def settings_of(rendered: Documents, directory: Path, *secrets: str) -> Path:
    """Write the settings and secrets a pod mounts; return the settings."""
    volumes = {
        volume["name"]: volume
        for volume in workload(rendered)["spec"]["template"]["spec"]["volumes"]
    }
    mounts = {mount["name"]: mount["mountPath"] for mount in container(rendered)["volumeMounts"]}
    text = rendered["ConfigMap", volumes["settings"]["configMap"]["name"]]["data"]["relay.toml"]
    for name in secrets:
        assert f"{mounts['secrets']}/{name}" in text
        (directory / name).write_text("amqps://relay:secret@rabbitmq/")
    path = directory / "relay.toml"
    path.write_text(text.replace(mounts["secrets"], str(directory)))
    assert mounts["settings"] == "/etc/relay"  # where the image's RELAY_CONFIG looks
    return path


def test_the_image_can_be_named_in_one_place(kustomize: list[str], tmp_path: Path) -> None:
    shutil.copytree(HERE, tmp_path / "kubernetes")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(
        "resources: [../kubernetes/outbox]\n"
        "images: [{name: relay, newName: registry.example.com/relay, newTag: '1'}]\n"
    )

    done = subprocess.run([*kustomize, mine], capture_output=True, text=True, check=True)

    assert "image: registry.example.com/relay:1" in done.stdout
