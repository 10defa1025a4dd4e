//! References between manifests: ports, labels, volumes and names must exist.

use serde_json::Value;

use super::{all, containers, installations, list};

/// External references of the manifests: the application behind consentry, and Secrets of the operator.
const OUTSIDE: [&str; 5] = ["token", "config", "shop-tls", "shop", "more"];

fn contains(labels: &Value, selector: &Value) -> bool {
    let selector = selector.as_object().unwrap();
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Checks every reference of one installation.
fn assert_consistent(documents: &[Value]) {
    let deployment = super::one(documents, "Deployment");
    let template = &deployment["spec"]["template"];
    let (labels, pod) = (&template["metadata"]["labels"], &template["spec"]);
    let exists = |kind: &str, name: &Value| {
        let found = all(documents, kind).iter().any(|each| each["metadata"]["name"] == *name);
        assert!(found || OUTSIDE.contains(&name.as_str().unwrap()), "{kind} {name}");
    };

    // Container ports are unique, and every named port exists.
    let ports: Vec<&Value> = containers(pod).flat_map(|each| list(&each["ports"])).collect();
    let named =
        |name: &Value| assert!(ports.iter().any(|port| port["name"] == *name), "port {name}");
    for (index, port) in ports.iter().enumerate() {
        for other in &ports[..index] {
            assert_ne!(port["name"], other["name"]);
            assert_ne!(port["containerPort"], other["containerPort"]);
        }
    }
    for container in containers(pod) {
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let probe = &container[probe];
            if probe.is_object() {
                named(&probe["httpGet"]["port"]);
                let own =
                    list(&container["ports"]).any(|port| port["name"] == probe["httpGet"]["port"]);
                assert!(own, "the probe connects to another container");
            }
        }
        for mount in list(&container["volumeMounts"]) {
            let mounted = list(&pod["volumes"]).any(|volume| volume["name"] == mount["name"]);
            assert!(mounted, "volume {}", mount["name"]);
            assert_eq!(mount.get("subPath"), None, "a subPath mount is never updated");
        }
    }
    for volume in list(&pod["volumes"]) {
        if volume["configMap"].is_object() {
            exists("ConfigMap", &volume["configMap"]["name"]);
        }
        if volume["secret"].is_object() {
            exists("Secret", &volume["secret"]["secretName"]);
        }
    }
    if pod["serviceAccountName"].is_string() {
        exists("ServiceAccount", &pod["serviceAccountName"]);
    }

    // Selectors match the labels of the pod.
    assert!(contains(labels, &deployment["spec"]["selector"]["matchLabels"]));
    for constraint in list(&pod["topologySpreadConstraints"]) {
        assert!(contains(labels, &constraint["labelSelector"]["matchLabels"]));
    }
    for service in all(documents, "Service") {
        assert!(contains(labels, &service["spec"]["selector"]));
        for port in list(&service["spec"]["ports"]) {
            named(&port["targetPort"]);
        }
    }
    for (kind, selector) in [
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
        ("PodMonitor", "selector"),
    ] {
        for each in all(documents, kind) {
            assert!(contains(labels, &each["spec"][selector]["matchLabels"]), "{kind}");
        }
    }
    for monitor in all(documents, "PodMonitor") {
        for endpoint in list(&monitor["spec"]["podMetricsEndpoints"]) {
            named(&endpoint["port"]);
        }
    }
    for monitor in all(documents, "ServiceMonitor") {
        let selector = &monitor["spec"]["selector"]["matchLabels"];
        let selected: Vec<_> = all(documents, "Service")
            .into_iter()
            .filter(|service| contains(&service["metadata"]["labels"], selector))
            .collect();
        // The Service for clients must not be scraped.
        assert_eq!(selected.len(), 1);
        for endpoint in list(&monitor["spec"]["endpoints"]) {
            assert!(
                list(&selected[0]["spec"]["ports"]).any(|port| port["name"] == endpoint["port"])
            );
        }
    }
    for policy in all(documents, "NetworkPolicy") {
        for port in list(&policy["spec"]["ingress"]).flat_map(|rule| list(&rule["ports"])) {
            named(&port["port"]);
        }
    }
    for scaler in all(documents, "HorizontalPodAutoscaler") {
        exists("Deployment", &scaler["spec"]["scaleTargetRef"]["name"]);
    }

    // Backends are ports of the Service.
    let serves = |name: &Value, port: &Value| {
        let service =
            all(documents, "Service").into_iter().find(|each| each["metadata"]["name"] == *name);
        let mut ports = list(&service.unwrap_or_else(|| panic!("Service {name}"))["spec"]["ports"]);
        assert!(ports.any(|each| each["port"] == *port || each["name"] == *port), "{name}: {port}");
    };
    for ingress in all(documents, "Ingress") {
        for path in list(&ingress["spec"]["rules"]).flat_map(|rule| list(&rule["http"]["paths"])) {
            let service = &path["backend"]["service"];
            serves(&service["name"], &service["port"]["name"]);
        }
    }
    for route in all(documents, "HTTPRoute") {
        for backend in list(&route["spec"]["rules"]).flat_map(|rule| list(&rule["backendRefs"])) {
            serves(&backend["name"], &backend["port"]);
        }
    }
    for policy in all(documents, "EnvoyExtensionPolicy") {
        for backend in list(&policy["spec"]["extProc"]).flat_map(|each| list(&each["backendRefs"]))
        {
            serves(&backend["name"], &backend["port"]);
        }
    }
    for filter in all(documents, "EnvoyFilter") {
        let value = &filter["spec"]["configPatches"][0]["patch"]["value"];
        let cluster =
            value["typed_config"]["grpc_service"]["envoy_grpc"]["cluster_name"].as_str().unwrap();
        let parts: Vec<&str> = cluster.split('|').collect();
        let [direction, port, subset, host] = parts[..] else { panic!("{cluster}") };
        assert_eq!((direction, subset), ("outbound", ""));
        let names: Vec<&str> = host.splitn(3, '.').collect();
        assert_eq!(names[2], "svc.cluster.local");
        assert_eq!(deployment["metadata"]["namespace"], names[1]);
        serves(&names[0].into(), &port.parse::<u16>().unwrap().into());
    }
}

#[test]
fn ports_labels_volumes_and_names_that_manifests_refer_to_exist() {
    for documents in installations() {
        assert_consistent(&documents);
    }
}
