//! The chart's external processor behind a real Envoy, which uses the filter of the rendered EnvoyFilter.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::run::Pod;
use super::{TOOLS, containers, documents, file, one, pod, render};
use crate::nginx::{PeerProcess, free_port, wait_for_listener};
use crate::support::{Origin, RawClient, consent_cookie, request};

/// The example config for Envoy, with the patches of an EnvoyFilter applied.
fn envoy_config(filter: &Value, listen: u16, clusters: &[(&str, u16)]) -> Value {
    let mut config = documents(&file("deploy/envoy/envoy.yaml")).remove(0);
    let resources = &mut config["static_resources"];
    resources["listeners"][0]["address"]["socket_address"] =
        json!({ "address": "127.0.0.1", "port_value": listen });
    for (name, port) in clusters {
        let clusters = resources["clusters"].as_array_mut().unwrap();
        let cluster = clusters.iter_mut().find(|each| each["name"] == *name).unwrap();
        let endpoint =
            &mut cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
        endpoint["address"]["socket_address"]["port_value"] = json!(port);
    }
    let manager = &mut resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let patches = &filter["spec"]["configPatches"];
    let mut processor = patches[0]["patch"]["value"].clone();
    processor["typed_config"]["grpc_service"]["envoy_grpc"]["cluster_name"] = json!("consentry");
    assert_eq!(manager["http_filters"][0]["name"], processor["name"]);
    manager["http_filters"][0] = processor;
    let pages = &mut manager["route_config"]["virtual_hosts"][0]["routes"][0];
    assert_eq!(pages["route"]["cluster"], "consentry-pages");
    pages["name"] = patches[1]["match"]["routeConfiguration"]["vhost"]["route"]["name"].clone();
    pages["typed_per_filter_config"] =
        patches[1]["patch"]["value"]["typed_per_filter_config"].clone();
    config
}

#[test]
fn envoy_with_the_rendered_filter_strips_cookies_serves_the_pages_and_fails_closed() {
    let origin = Origin::setting_cookies(&["_ga=1", "sid=1"]);
    let [clients, http, admin, grpc, processor_admin] = [(); 5].map(|()| free_port());
    let values = format!(
        "listen.address=127.0.0.1,listen.http={http},listen.admin={admin},extProc.enabled=true,extProc.port={grpc},\
         extProc.adminPort={processor_admin},extProc.istio.enabled=true,extProc.messageTimeout=20s"
    );
    let config = format!("config=[[site]]\nupstream = \"{}\"", origin.url());
    let manifests = render(&["--set", &values, "--set-string", &config]);
    let filter = one(&manifests, "EnvoyFilter").clone();
    let pod = Pod::new(manifests);
    let _pages = pod.start("run");
    let processor = pod.start("ext-proc");

    let clusters = [("app", origin.address.port()), ("consentry", grpc), ("consentry-pages", http)];
    let config = pod.path("/envoy.json");
    std::fs::write(&config, envoy_config(&filter, clients, &clusters).to_string()).unwrap();
    let mut envoy = Command::new(format!("{TOOLS}/python/bin/envoy"));
    envoy.args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "error", "-c", &config]);
    let _envoy = PeerProcess::spawn(envoy.stdout(Stdio::null()));
    let address = ([127, 0, 0, 1], clients).into();
    wait_for_listener(address);

    let send = |bytes: &[u8]| {
        let mut client = RawClient::connect(address);
        client.send(bytes);
        client.reply("GET")
    };
    let get = |path: &str, cookies: &str| send(&request("GET", path, &[("Cookie", cookies)]));
    assert_eq!(get("/", "_ga=2; sid=3").set_cookies(), ["sid=1"]);
    assert_eq!(origin.next_request().field("cookie").as_deref(), Some("sid=3"));
    assert_eq!(get("/", &consent_cookie("analytics")).set_cookies(), ["_ga=1", "sid=1"]);
    origin.next_request();

    // The preference centre reads a body.
    let page = get("/.consentry/", "");
    assert!(page.status == 200 && page.text().contains("<form"), "{}", page.text());
    let body = "choice=save&allow=analytics";
    let head = request(
        "POST",
        "/.consentry/",
        &[
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", &body.len().to_string()),
            ("Sec-Fetch-Site", "same-origin"),
        ],
    );
    let decision = send(&[&head, body.as_bytes()].concat());
    let set = decision.set_cookies();
    assert!(
        set.iter().any(|line| line.starts_with("consentry=1~") && line.contains("~analytics~")),
        "{set:?}"
    );

    drop(processor);
    let failed = get("/", "");
    assert!(failed.status >= 500 && failed.set_cookies().is_empty(), "{}", failed.status);
    assert!(origin.received_nothing());
    assert_eq!(get("/.consentry/", "").status, 200);
}

/// The Envoy filter that Envoy Gateway generates from a policy. A message is sent if its key is present, and with
/// the body if the key sets a mode
/// (<https://gateway.envoyproxy.io/docs/api/extension_types/#extprocprocessingmode>).
fn of_envoy_gateway(policy: &Value) -> Value {
    let processor = &policy["spec"]["extProc"][0];
    let headers = |message: &str| match processor["processingMode"][message].is_object() {
        true => "SEND",
        false => "SKIP",
    };
    for message in ["request", "response"] {
        assert_eq!(processor["processingMode"][message].get("body"), None);
    }
    json!({
        "failure_mode_allow": processor["failOpen"],
        "message_timeout": processor["messageTimeout"],
        "processing_mode": {
            "request_header_mode": headers("request"), "response_header_mode": headers("response"),
            "request_body_mode": "NONE", "response_body_mode": "NONE",
            "request_trailer_mode": "SKIP", "response_trailer_mode": "SKIP",
        },
    })
}

#[test]
fn the_examples_for_envoy_istio_and_envoy_gateway_process_the_same_messages() {
    let settings = |filter: &Value| {
        let config = &filter["typed_config"];
        json!({
            "failure_mode_allow": config["failure_mode_allow"],
            "message_timeout": config["message_timeout"],
            "processing_mode": config["processing_mode"],
        })
    };
    let envoy = documents(&file("deploy/envoy/envoy.yaml")).remove(0);
    let manager = &envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let tested = settings(&manager["http_filters"][0]);
    assert_eq!(tested["failure_mode_allow"], false);
    let istio = documents(&file("deploy/envoy/istio.yaml"));
    let filter = &one(&istio, "EnvoyFilter")["spec"];
    assert_eq!(settings(&filter["configPatches"][0]["patch"]["value"]), tested);
    assert_eq!(filter["workloadSelector"]["labels"], json!({ "istio": "ingressgateway" }));
    let gateway = documents(&file("deploy/envoy/envoy-gateway.yaml"));
    assert_eq!(of_envoy_gateway(one(&gateway, "EnvoyExtensionPolicy")), tested);
    // The policy applies to the application's route, not to the route of consentry's pages.
    assert_eq!(one(&gateway, "EnvoyExtensionPolicy")["spec"]["targetRefs"][0]["name"], "shop");
    let pages = &one(&gateway, "HTTPRoute")["spec"]["rules"][0]["matches"];
    let prefix = |value: &str| json!({ "path": { "type": "PathPrefix", "value": value } });
    assert_eq!(pages, &json!([prefix("/.consentry/"), prefix("/.well-known/gpc.json")]));
    // The hook ends before the grace period, with enough time for `drain_delay` and `drain`.
    for manifests in [&istio, &gateway] {
        let spec = pod(manifests);
        let hooks = containers(spec).map(|container| &container["lifecycle"]["preStop"]["sleep"]);
        assert_eq!(hooks.collect::<Vec<_>>(), [&json!({ "seconds": 5 }); 2]);
        assert!(spec["terminationGracePeriodSeconds"].as_u64().unwrap() > 5 + 10 + 30);
    }
}
