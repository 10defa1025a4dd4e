//! Resources rendered by the chart.

use super::{
    ALL, CHART, EXAMPLES, VARIANTS, all, containers, documents, feed, file, list, one, pod,
    rejected, render, render_sidecar, stdout, tool,
};
use serde_json::{Value, json};

#[test]
fn helm_lints_the_chart_with_every_values_file() {
    for arguments in VARIANTS {
        stdout(feed(tool("helm").args(["lint", "--strict", CHART]).args(arguments), ""));
    }
}

/// Whether the schema is built into Kubernetes, not a custom resource definition.
fn is_built_in(document: &Value) -> bool {
    let version = document["apiVersion"].as_str().unwrap();
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    ["", "apps", "autoscaling", "policy", "networking.k8s.io"].contains(&group)
}

/// Validates manifests with kubectl, against the schemas of Kubernetes and of the custom resources.
pub(super) fn assert_valid(text: &str) {
    let documents = documents(text);
    let read = stdout(feed(
        tool("kubectl").args([
            "label",
            "--local",
            "--dry-run=client",
            "-o",
            "name",
            "-f",
            "-",
            "a=b",
        ]),
        text,
    ));
    assert_eq!(read.lines().count(), documents.len(), "{read}");
    let (built_in, custom): (Vec<&Value>, Vec<_>) =
        documents.iter().partition(|each| is_built_in(each));
    // The oldest version that the chart supports, and the newest version.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifests.yaml");
    std::fs::write(&path, text).unwrap();
    for version in [&["-k", "1.30"][..], &[]] {
        let mut validate = tool("kubernetes-validate");
        let output = feed(validate.args(["--strict", "--no-warn"]).args(version).arg(&path), "");
        let report = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(
            output.status.success() && report.matches(" passed ").count() == built_in.len(),
            "{report}"
        );
    }
    if !custom.is_empty() {
        let mut node = std::process::Command::new("node");
        node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools/crds.mjs"));
        let report = stdout(feed(&mut node, &json!(custom).to_string()));
        assert_eq!(report.trim(), format!("{} passed", custom.len()));
    }
}

#[test]
fn every_manifest_is_valid_by_kubectl_and_by_the_schemas() {
    let mut text = render_sidecar(&[]);
    for arguments in VARIANTS {
        let output = super::helm_template("consentry", CHART.as_ref(), arguments);
        text += &format!("\n---\n{}", stdout(output));
    }
    assert_valid(&text);
}

#[test]
fn custom_resources_are_validated() {
    let monitor = |endpoint: Value| {
        let spec = json!({ "selector": {}, "endpoints": [endpoint] });
        let version = "monitoring.coreos.com/v1";
        let monitor = json!({ "apiVersion": version, "kind": "ServiceMonitor", "metadata": { "name": "a" }, "spec": spec });
        let mut node = std::process::Command::new("node");
        node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools/crds.mjs"));
        feed(&mut node, &json!([monitor]).to_string()).status.success()
    };
    assert!(monitor(json!({ "port": "admin" })));
    assert!(!monitor(json!({ "port": 9090 })), "a type is wrong");
    assert!(!monitor(json!({ "prot": "admin" })), "a field is unknown");
}

#[test]
fn every_feature_renders_its_kinds() {
    let kinds = |arguments: &[&str]| {
        let documents = render(arguments);
        let mut kinds: Vec<_> =
            documents.iter().map(|each| each["kind"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        kinds.join(" ")
    };
    let default = "ConfigMap Deployment PodDisruptionBudget Secret Service ServiceAccount";
    assert_eq!(kinds(&[]), default);
    assert_eq!(
        kinds(&["-f", ALL]),
        "ConfigMap Deployment EnvoyExtensionPolicy EnvoyFilter HTTPRoute HorizontalPodAutoscaler Ingress \
         NetworkPolicy PodDisruptionBudget PodMonitor PrometheusRule Secret Service Service ServiceAccount"
    );
    assert_eq!(
        kinds(&["--set", "serviceMonitor.enabled=true"]),
        "ConfigMap Deployment PodDisruptionBudget Secret Service Service ServiceAccount ServiceMonitor"
    );
    // A sidecar's pod belongs to the application.
    assert_eq!(
        kinds(&["-f", ALL, "--set", "sidecar=true,podMonitor.selector.matchLabels.app=shop"]),
        "ConfigMap PodMonitor PrometheusRule Secret"
    );
}

#[test]
fn with_an_autoscaler_the_deployment_sets_no_replicas() {
    let documents = render(&["--set", "replicas=4"]);
    assert_eq!(one(&documents, "Deployment")["spec"]["replicas"], 4);
    let documents = render(&["--set", "replicas=4,autoscaling.enabled=true"]);
    assert_eq!(one(&documents, "Deployment")["spec"]["replicas"], Value::Null);
    let scaler = &one(&documents, "HorizontalPodAutoscaler")["spec"];
    assert_eq!((&scaler["minReplicas"], &scaler["maxReplicas"]), (&json!(2), &json!(10)));
    // Utilization is relative to the request.
    assert_eq!(scaler["metrics"][0]["resource"]["target"]["averageUtilization"], 70);
    let requests = containers(pod(&documents)).map(|each| &each["resources"]["requests"]["cpu"]);
    assert!(requests.into_iter().all(Value::is_string));
}

#[test]
fn only_a_changed_config_restarts_the_pods() {
    let checksum = |arguments: &[&str]| {
        let documents = render(arguments);
        let template = &one(&documents, "Deployment")["spec"]["template"];
        template["metadata"]["annotations"]["checksum/config"].as_str().map(str::to_owned)
    };
    let before = checksum(&[]).unwrap();
    assert_eq!(checksum(&["--set", "replicas=5,service.port=8000"]).unwrap(), before);
    for change in ["config=mode = \"observe\"", "configFiles.a\\.toml=#", "listen.http=8081"] {
        let flag = if change.starts_with("listen") { "--set" } else { "--set-string" };
        assert_ne!(checksum(&[flag, change]).unwrap(), before, "{change}");
    }
    assert_eq!(checksum(&["--set", "restartOnConfigChange=false"]), None);
    assert_eq!(checksum(&["--set", "existingConfigSecret=config"]), None);
}

#[test]
fn network_policies_allow_dns_of_the_cluster_and_of_the_node() {
    let policy = |arguments: &[&str]| one(&render(arguments), "NetworkPolicy")["spec"].clone();
    let rules = policy(&["--set", "networkPolicy.enabled=true"]);
    let dns = json!({
        "ports": [{ "port": 53, "protocol": "UDP" }, { "port": 53, "protocol": "TCP" }],
        "to": [
            {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } },
                "podSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
            },
            { "ipBlock": { "cidr": "169.254.20.10/32" } },
        ],
    });
    assert_eq!(rules["egress"], json!([dns]));
    // Any client may reach the HTTP port. Only the monitoring may reach the admin port.
    assert_eq!(rules["ingress"][0], json!({ "ports": [{ "port": "http" }] }));
    assert_eq!(rules["ingress"][1]["ports"], json!([{ "port": "admin" }]));
    assert_eq!(rules["ingress"][1]["from"].as_array().unwrap().len(), 1);
    // An empty list of peers would mean everyone.
    let closed = policy(&["--set", "networkPolicy.enabled=true,networkPolicy.monitoring=null"]);
    assert_eq!(closed["ingress"].as_array().unwrap().len(), 1);
    let full = policy(&["-f", ALL]);
    assert_eq!(full["egress"].as_array().unwrap().len(), 2);
    assert_eq!(full["ingress"][0]["from"].as_array().unwrap().len(), 1);
}

#[test]
fn monitors_scrape_every_admin_port_under_the_job_of_the_alerts() {
    for (kind, monitor, endpoints) in [
        ("PodMonitor", "podMonitor", "podMetricsEndpoints"),
        ("ServiceMonitor", "serviceMonitor", "endpoints"),
    ] {
        let set = format!("{monitor}.enabled=true,extProc.enabled=true");
        let documents = render(&["--set", &set]);
        let endpoints: Vec<_> = list(&one(&documents, kind)["spec"][endpoints]).collect();
        assert_eq!(
            endpoints.iter().map(|each| &each["port"]).collect::<Vec<_>>(),
            ["admin", "ext-proc-admin"]
        );
        for endpoint in endpoints {
            assert_eq!(endpoint["path"], "/metrics");
            assert_eq!(
                endpoint["authorization"]["credentials"],
                json!({ "name": "consentry-admin", "key": "token" })
            );
            assert_eq!(
                endpoint["relabelings"],
                json!([{ "targetLabel": "job", "replacement": "consentry" }])
            );
        }
    }
    assert!(file("deploy/alerts.yml").contains("up{job=\"consentry\"}"));
    let documents = render(&["--set", "podMonitor.enabled=true,adminToken.enabled=false"]);
    assert!(
        one(&documents, "PodMonitor")["spec"]["podMetricsEndpoints"][0]
            .get("authorization")
            .is_none()
    );
}

#[test]
fn the_alert_rules_of_the_chart_equal_those_tested_by_promtool() {
    let documents_of_chart = render(&["--set", "prometheusRule.enabled=true"]);
    let alerts = documents(&file("deploy/alerts.yml"));
    assert_eq!(one(&documents_of_chart, "PrometheusRule")["spec"], alerts[0]);
}

#[test]
fn ingresses_and_routes_point_to_the_service() {
    let documents = render(&["-f", ALL]);
    let rules = &one(&documents, "Ingress")["spec"]["rules"];
    assert_eq!(
        (&rules[0]["host"], &rules[1]["host"]),
        (&json!("shop.example"), &json!("www.shop.example"))
    );
    let route = &one(&documents, "HTTPRoute")["spec"];
    assert_eq!(route["hostnames"], json!(["shop.example"]));
    assert_eq!(
        route["rules"][0]["matches"],
        json!([{ "path": { "type": "PathPrefix", "value": "/" } }])
    );
    let any = render(&["--set", "ingress.enabled=true"]);
    assert_eq!(one(&any, "Ingress")["spec"]["rules"][0].get("host"), None);
}

#[test]
fn only_the_port_for_visitors_can_be_behind_a_load_balancer() {
    let documents = render(&[
        "-f",
        ALL,
        "--set",
        "service.type=LoadBalancer,podMonitor.enabled=false,serviceMonitor.enabled=true",
    ]);
    let services = all(&documents, "Service");
    let (public, internal): (Vec<&Value>, Vec<_>) =
        services.into_iter().partition(|each| each["spec"]["type"] == "LoadBalancer");
    let ports = |services: &[&Value]| {
        let ports = services.iter().flat_map(|each| list(&each["spec"]["ports"]));
        ports.map(|port| port["targetPort"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ports(&public), ["http", "https"]);
    assert_eq!(ports(&internal).len(), 3);
}

#[test]
fn the_notes_print_how_to_read_the_admin_token_and_warn_of_open_secrets() {
    let notes = |set: &str, user: &str| {
        let mut helm = tool("helm");
        helm.args(["install", "consentry", CHART, "--dry-run=client", "--set", set]);
        helm.args([
            "--set-string",
            &format!("config=receipts.url = \"postgres://{user}@db/consents\""),
        ]);
        stdout(feed(&mut helm, ""))
    };
    let text = notes("adminToken.existingSecret=mine,adminToken.key=admin", "shop");
    let secret = "get secret mine -o go-template='{{index .data \"admin\" | base64decode}}'";
    assert!(text.contains(secret) && !text.contains("WARNING"), "{text}");
    let open = "WARNING: neither adminToken nor networkPolicy";
    assert!(notes("adminToken.enabled=false", "shop").contains(open));
    assert!(!notes("adminToken.enabled=false,networkPolicy.enabled=true", "shop").contains(open));
    assert!(notes("replicas=1", "shop:secret").contains("WARNING: config contains a password"));
}

#[test]
fn invalid_values_are_rejected_with_a_message() {
    for (arguments, message) in [
        (&["--set", "colour=blue"][..], "additional properties 'colour' not allowed"),
        (&["--set", "listen.http=99999"], "at '/listen/http': maximum"),
        (&["--set", "mode=strict"], "at '/mode': value must be one of"),
        (&["--set", "replicas=two"], "at '/replicas': got string, want integer"),
        (&["--set", "image.digest=sha256:0"], "at '/image/digest'"),
        (&["--set", "adminToken.value=short"], "at '/adminToken/value'"),
        (
            &["--set", "podDisruptionBudget.maxUnavailable=half"],
            "at '/podDisruptionBudget/maxUnavailable'",
        ),
        (&["--set-string", "configFiles.a/b=x"], "'a/b' does not match pattern"),
        (&["--set", "listen.admin=8080"], "two listeners have the same port"),
        (
            &["--set-string", "config=[listen]\nhttp = \":80\""],
            "config: the chart writes the `[listen]` table",
        ),
        (
            &["--set-string", "config=listen.http = \":80\""],
            "config: the chart writes the `[listen]` table",
        ),
        (&["--set-string", "configFiles.consentry\\.toml=x"], "configFiles: `consentry.toml`"),
        (
            &["--set", "autoscaling.enabled=true,autoscaling.minReplicas=20"],
            "autoscaling.minReplicas is larger",
        ),
        (&["--set", "podMonitor.enabled=true,serviceMonitor.enabled=true"], "scraped twice"),
        (&["--set", "httpRoute.enabled=true"], "httpRoute.parentRefs is empty"),
        (&["--set", "sidecar=true,podMonitor.enabled=true"], "podMonitor.selector is empty"),
        (&["--set", "tls.secretName=shop"], "listen.https is 0"),
        (&["--set", "extProc.istio.enabled=true"], "need extProc.enabled"),
        (
            &["--set", "extProc.enabled=true,extProc.envoyGateway.enabled=true"],
            "targetRefs is empty",
        ),
        (&["--kube-version", "1.28.0"], "incompatible with Kubernetes"),
    ] {
        let error = rejected(arguments);
        assert!(error.contains(message), "{arguments:?}: {error}");
    }
}

#[test]
fn names_and_label_values_fit_into_63_characters() {
    let long = "a-release-with-a-name-of-exactly-fifty-characters-x";
    let chart = std::path::Path::new(CHART);
    let all_on = [
        "-f",
        ALL,
        "--set",
        "fullnameOverride=,podMonitor.enabled=false,serviceMonitor.enabled=true",
    ];
    let documents = documents(&stdout(super::helm_template(long, chart, &all_on)));
    for document in &documents {
        let name = document["metadata"]["name"].as_str().unwrap();
        assert!(name.len() <= 63 && !name.ends_with('-'), "{name}");
        assert!(name.starts_with("a-release") || name == "web", "{name}");
    }
    // Two releases in one namespace share no name and no pod.
    let selector = |release: &str| {
        let documents = super::documents(&stdout(super::helm_template(release, chart, &[])));
        one(&documents, "Service")["spec"]["selector"].clone()
    };
    assert_ne!(selector("one"), selector("two"));
    assert_eq!(all(&documents, "Service").len(), 3);
}

#[test]
fn the_example_application_includes_the_container_as_a_native_sidecar() {
    let documents = documents(&render_sidecar(&["--set", "consentry.mode=observe"]));
    let pod = pod(&documents);
    let sidecar = &pod["initContainers"][0];
    assert_eq!(
        (&sidecar["name"], &sidecar["restartPolicy"]),
        (&json!("consentry"), &json!("Always"))
    );
    let mode: Vec<&Value> = list(&sidecar["args"]).skip(3).collect();
    assert_eq!(mode, ["--mode", "observe"]);
    assert!(sidecar["startupProbe"].is_object());
    assert_eq!(one(&documents, "Service")["spec"]["ports"][0]["targetPort"], "http");
    assert_eq!(one(&documents, "ConfigMap")["metadata"]["name"], "shop-consentry");
    assert!(std::path::Path::new(&format!("{EXAMPLES}/sidecar/Chart.yaml")).exists());
}
