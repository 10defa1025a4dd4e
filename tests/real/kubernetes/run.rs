//! The rendered container, run as a process: its config, its ports and its probes.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::prelude::*;
use serde_json::Value;

use super::{all, container, installations, list, pod, render};
use crate::nginx::{PeerProcess, free_port, wait_for_listener};
use crate::support::{Origin, RawClient, request};

/// A pod's volumes on this machine, and the process of one of its containers.
pub(super) struct Pod {
    folder: tempfile::TempDir,
    documents: Vec<Value>,
}

impl Pod {
    /// Writes the ConfigMaps and Secrets to the mount paths of the containers, below a directory.
    pub(super) fn new(documents: Vec<Value>) -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap(), documents };
        let pod = pod(&this.documents);
        for mount in list(&container(pod, "run")["volumeMounts"]) {
            let folder = this.path(mount["mountPath"].as_str().unwrap());
            std::fs::create_dir_all(&folder).unwrap();
            let volume = list(&pod["volumes"]).find(|each| each["name"] == mount["name"]).unwrap();
            for (name, content) in this.content(volume) {
                std::fs::write(format!("{folder}/{name}"), content).unwrap();
            }
        }
        this
    }

    fn content(&self, volume: &Value) -> Vec<(String, Vec<u8>)> {
        let named = |kind: &str, name: &Value| {
            let found = all(&self.documents, kind)
                .into_iter()
                .find(|each| each["metadata"]["name"] == *name);
            found.map(|each| each["data"].as_object().unwrap().clone()).unwrap_or_default()
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let files = named("ConfigMap", &volume["configMap"]["name"]);
        let files = files
            .iter()
            .map(|(name, value)| (name.clone(), self.move_paths(&text(value)).into_bytes()));
        let secret = named("Secret", &volume["secret"]["secretName"]);
        let items = list(&volume["secret"]["items"]);
        // The operator's own Secrets are not part of the manifests.
        let decoded = |value: &Value| BASE64_STANDARD.decode(text(value)).unwrap();
        let secrets = items.map(|item| {
            let value = secret.get(item["key"].as_str().unwrap());
            (text(&item["path"]), value.map_or(b"an-operators-token".to_vec(), decoded))
        });
        files.chain(secrets).collect()
    }

    /// The local path of a container path.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.folder.path().display())
    }

    fn move_paths(&self, text: &str) -> String {
        text.replace("/etc/", &self.path("/etc/")).replace("/var/lib/", &self.path("/var/lib/"))
    }

    /// Starts the container that runs this command of consentry.
    pub(super) fn start(&self, command: &str) -> PeerProcess {
        let container = container(pod(&self.documents), command);
        let mut process = Command::new(env!("CARGO_BIN_EXE_consentry"));
        process.args(
            list(&container["args"]).map(|argument| self.move_paths(argument.as_str().unwrap())),
        );
        let process = PeerProcess::spawn(process.stdout(Stdio::null()).stderr(Stdio::null()));
        for port in list(&container["ports"]) {
            wait_for_listener(address(port));
        }
        process
    }
}

fn address(port: &Value) -> SocketAddr {
    ([127, 0, 0, 1], port["containerPort"].as_u64().unwrap().try_into().unwrap()).into()
}

fn get(address: SocketAddr, path: &str, fields: &[(&str, &str)]) -> crate::support::Reply {
    let mut client = RawClient::connect(address);
    client.send(&request("GET", path, fields));
    client.reply("GET")
}

/// Runs `consentry check` on the ConfigMap of an installation at its mount path. Only the open admin port may cause
/// a warning.
pub(super) fn check_config(documents: Vec<Value>) {
    let pod = Pod::new(documents);
    let tls = pod.path("/etc/consentry-tls");
    if Path::new(&tls).exists() {
        let made = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
        std::fs::write(format!("{tls}/tls.crt"), made.cert.pem()).unwrap();
        std::fs::write(format!("{tls}/tls.key"), made.signing_key.serialize_pem()).unwrap();
    }
    let config = pod.path("/etc/consentry/consentry.toml");
    let (code, _, error) = crate::support::run(&["check", "--config", &config], "");
    let expected = error.lines().all(|line| line.contains("is reachable from the network without"));
    assert!(code == 0 && expected, "{error}");
}

#[test]
fn consentry_accepts_the_config_of_every_configmap() {
    let mut installations = installations();
    installations.retain(|each| !all(each, "ConfigMap").is_empty());
    assert_eq!(installations.len(), 11);
    for documents in installations {
        check_config(documents);
    }
}

#[test]
fn the_rendered_container_serves_visitors_and_answers_its_probes() {
    let origin = Origin::setting_cookies(&["_ga=1", "sid=1"]);
    let (http, admin) = (free_port(), free_port());
    let config = format!("config=[[site]]\nupstream = \"{}\"", origin.url());
    let ports = format!("listen.address=127.0.0.1,listen.http={http},listen.admin={admin}");
    let pod = Pod::new(render(&["--set", &ports, "--set-string", &config]));
    let _consentry = pod.start("run");
    let container = container(super::pod(&pod.documents), "run");
    let port = |name: &Value| {
        address(list(&container["ports"]).find(|port| port["name"] == *name).unwrap())
    };
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let probe = &container[probe]["httpGet"];
        assert_eq!(get(port(&probe["port"]), probe["path"].as_str().unwrap(), &[]).status, 200);
    }
    let service = &super::one(&pod.documents, "Service")["spec"]["ports"][0];
    assert_eq!(get(port(&service["targetPort"]), "/", &[]).set_cookies(), ["sid=1"]);
    // Prometheus authenticates with the token from the Secret.
    let metrics = |fields: &[(&str, &str)]| get(port(&"admin".into()), "/metrics", fields).status;
    assert_eq!(metrics(&[]), 401);
    let token = std::fs::read_to_string(pod.path("/etc/consentry-admin/token")).unwrap();
    assert_eq!(metrics(&[("Authorization", &format!("Bearer {token}"))]), 200);
}

#[test]
fn the_value_mode_wins_over_the_config() {
    let origin = Origin::setting_cookies(&["_ga=1"]);
    let (http, admin) = (free_port(), free_port());
    let config = format!("config=mode = \"enforce\"\n[[site]]\nupstream = \"{}\"", origin.url());
    let values =
        format!("mode=observe,listen.address=127.0.0.1,listen.http={http},listen.admin={admin}");
    let pod = Pod::new(render(&["--set", &values, "--set-string", &config]));
    let _consentry = pod.start("run");
    assert_eq!(get(([127, 0, 0, 1], http).into(), "/", &[]).set_cookies(), ["_ga=1"]);
}
