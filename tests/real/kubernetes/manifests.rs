//! The manifests for kubectl and Kustomize, rendered from the chart.

use super::chart::assert_valid;
use super::{
    CHART, ROOT, all, containers, documents, feed, file, helm_template, one, render_sidecar,
    stdout, tool,
};

/// Each manifest in the repository, and its first lines.
pub(super) const STATIC: [(&str, &str); 4] = [
    (
        "deploy/kubernetes/gateway.yaml",
        "consentry as a gateway in front of a Service `site`: `kubectl apply -f gateway.yaml`. Set `listen.trusted_proxies` to\n\
         # the network of your ingress controller or load balancer. The pods reload a changed ConfigMap automatically.",
    ),
    (
        "deploy/kubernetes/sidecar.yaml",
        "consentry beside an application, in the same pod: `kubectl apply -f sidecar.yaml`. Visitors connect to port 8080. The\n\
         # application listens on 127.0.0.1:3000, which only the pod can reach. Kubernetes 1.30 or newer.",
    ),
    (
        "deploy/envoy/envoy-gateway.yaml",
        "consentry as the external processor of Envoy Gateway, in the namespace of an HTTPRoute `shop` that keeps its\n\
         # backends: `kubectl apply -n shop -f envoy-gateway.yaml`. The HTTPRoute below routes consentry's own pages.",
    ),
    (
        "deploy/envoy/istio.yaml",
        "consentry as the external processor of an Istio ingress gateway, in a namespace `consentry`. Add this route to the\n\
         # VirtualService of your host, before all others:\n\
         #\n\
         #     - name: consentry-pages\n\
         #       match: [{ uri: { prefix: /.consentry/ } }, { uri: { exact: /.well-known/gpc.json } }]\n\
         #       route: [{ destination: { host: consentry.consentry.svc.cluster.local, port: { number: 80 } } }]",
    ),
];

/// Renders a manifest again.
fn rendered(path: &str, about: &str) -> String {
    let example = |name: &str| format!("deploy/helm/examples/{name}.yaml");
    // kubectl does not restart pods after a ConfigMap change. It is not necessary, because consentry reloads the
    // file.
    let reload = "restartOnConfigChange=false";
    let from_chart = |name: &str, namespace: &str| {
        let values = example(name);
        let arguments = ["-f", &values, "--set", reload, "--namespace", namespace];
        stdout(helm_template("consentry", CHART.as_ref(), &arguments))
    };
    let text = match path.rsplit_once('/').unwrap().1 {
        "gateway.yaml" => from_chart("gateway", "web"),
        "envoy-gateway.yaml" => from_chart("envoy-gateway", "web"),
        "istio.yaml" => from_chart("istio", "consentry"),
        _ => render_sidecar(&["--set", &format!("consentry.{reload}")]),
    };
    // kubectl installs the manifest into a namespace chosen by the operator.
    let of_helm =
        ["# Source: ", "helm.sh/chart: ", "app.kubernetes.io/managed-by: ", "namespace: web"];
    let lines =
        text.lines().filter(|line| !of_helm.iter().any(|part| line.trim_start().starts_with(part)));
    let text: String = lines.map(|line| format!("{}\n", line.trim_end())).collect();
    let text =
        text.replace("\n\n---\n", "\n---\n").trim_start_matches("---\n").trim_end().to_owned();
    format!(
        "# {about}\n# Rendered from deploy/helm by `UPDATE=1 cargo test --test real manifests`.\n{text}\n"
    )
}

#[test]
fn the_manifests_are_rendered_from_the_chart() {
    for (path, about) in STATIC {
        let text = rendered(path, about);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(format!("{ROOT}/{path}"), &text).unwrap();
        }
        assert!(
            file(path) == text,
            "{path} is stale: run `UPDATE=1 cargo test --test real manifests`"
        );
        assert_valid(&text);
    }
}

#[test]
fn kubectl_builds_the_kustomization_and_an_overlay_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    for name in ["kustomization.yaml", "gateway.yaml"] {
        std::fs::create_dir_all(folder.path().join("base")).unwrap();
        write(&format!("base/{name}"), &file(&format!("deploy/kubernetes/{name}")));
    }
    // The overlay of the comment in kustomization.yaml.
    let comment = file("deploy/kubernetes/kustomization.yaml");
    let overlay: String = comment
        .lines()
        .filter_map(|line| line.strip_prefix("#     "))
        .map(|line| format!("{line}\n"))
        .collect();
    write("kustomization.yaml", &overlay);
    write(
        "config.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: consentry }\ndata: { consentry.toml: mine }\n",
    );
    let kustomize = |path: &std::path::Path| {
        let text = stdout(feed(tool("kubectl").arg("kustomize").arg(path), ""));
        assert_valid(&text);
        documents(&text)
    };
    let base = kustomize(&folder.path().join("base"));
    assert_eq!(base.len(), documents(&file("deploy/kubernetes/gateway.yaml")).len());
    let overlaid = kustomize(folder.path());
    assert!(overlaid.iter().all(|each| each["metadata"]["namespace"] == "shop"));
    let image = containers(super::pod(&overlaid)).next().unwrap()["image"].as_str().unwrap();
    assert_eq!(image, "registry.example/consentry:0.1.0");
    assert_eq!(one(&overlaid, "ConfigMap")["data"]["consentry.toml"], "mine");
    assert!(all(&overlaid, "Secret").is_empty());
}
