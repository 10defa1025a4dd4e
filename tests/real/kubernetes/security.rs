//! The restricted Pod Security Standard, and the location of secrets.

use serde_json::{Value, json};

use super::{ALL, all, containers, installations, list, one, pod, rejected, render};

/// Violations of the restricted Pod Security Standard
/// (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>).
fn violations(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            found.push(what.to_owned());
        }
    };
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        check(pod[host] != true, host);
    }
    let allowed = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for volume in list(&pod["volumes"]) {
        let sources = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        check(sources.into_iter().all(|source| allowed.contains(&source.as_str())), "volumes");
    }
    let of_pod = &pod["securityContext"];
    check(
        of_pod.get("sysctls").is_none() && of_pod.get("seLinuxOptions").is_none(),
        "sysctls, seLinuxOptions",
    );
    for container in containers(pod) {
        let context = &container["securityContext"];
        // The container's field overrides the pod's.
        let either = |pointer: &str| context.pointer(pointer).or(of_pod.pointer(pointer)).cloned();
        check(context["privileged"] != true, "privileged");
        check(context["allowPrivilegeEscalation"] == false, "allowPrivilegeEscalation");
        check(
            list(&context["capabilities"]["drop"]).any(|each| each == "ALL"),
            "capabilities.drop",
        );
        check(
            list(&context["capabilities"]["add"]).all(|each| each == "NET_BIND_SERVICE"),
            "capabilities.add",
        );
        check(either("/runAsNonRoot") == Some(json!(true)), "runAsNonRoot");
        check(either("/runAsUser") != Some(json!(0)), "runAsUser");
        let profile = either("/seccompProfile/type");
        check(
            profile == Some(json!("RuntimeDefault")) || profile == Some(json!("Localhost")),
            "seccompProfile",
        );
        check(
            context.get("procMount").is_none() && context.get("seLinuxOptions").is_none(),
            "procMount",
        );
        check(list(&container["ports"]).all(|port| port.get("hostPort").is_none()), "hostPort");
        // Stricter than the standard.
        if container["args"].is_array() {
            check(context["readOnlyRootFilesystem"] == true, "readOnlyRootFilesystem");
        }
    }
    found
}

#[test]
fn every_pod_meets_the_restricted_pod_security_standard() {
    for documents in installations() {
        let pod = pod(&documents);
        assert_eq!(violations(pod), Vec::<String>::new());
        assert_eq!(pod["automountServiceAccountToken"], false);
    }
    // The check itself fails for a pod that violates the standard.
    let mut loose = pod(&render(&[])).clone();
    loose["hostNetwork"] = json!(true);
    loose["volumes"][0]["hostPath"] = json!({ "path": "/" });
    loose["containers"][0]["securityContext"] = json!({});
    assert_eq!(
        violations(&loose),
        [
            "hostNetwork",
            "volumes",
            "allowPrivilegeEscalation",
            "capabilities.drop",
            "readOnlyRootFilesystem"
        ]
    );
}

/// The Secret of the chart, decoded.
fn token(documents: &[Value], key: &str) -> String {
    use base64::prelude::*;
    let encoded = one(documents, "Secret")["data"][key].as_str().unwrap();
    String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap()
}

#[test]
fn the_admin_token_is_in_its_secret_and_nowhere_else() {
    let documents = render(&["-f", ALL]);
    assert_eq!(token(&documents, "token"), "a-token-for-tests-only");
    for document in documents.iter().filter(|each| each["kind"] != "Secret") {
        let text = document.to_string();
        assert!(
            !text.contains("a-token-for-tests-only") && !text.contains("YS10b2tlbi1mb3Itd"),
            "{text}"
        );
    }
    let config = one(&documents, "ConfigMap")["data"]["consentry.toml"].as_str().unwrap();
    assert!(config.contains("listen.admin_token_file = \"/etc/consentry-admin/token\""));
}

#[test]
fn without_a_token_in_the_values_a_random_one_is_made() {
    let (one, other) = (token(&render(&[]), "token"), token(&render(&[]), "token"));
    assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{one}");
    assert_ne!(one, other);
    assert_eq!(token(&render(&["--set", "adminToken.key=admin"]), "admin").len(), 32);
}

#[test]
fn an_existing_secret_is_mounted_instead_of_a_new_one() {
    let documents = render(&["--set", "adminToken.existingSecret=mine,adminToken.key=admin"]);
    assert!(all(&documents, "Secret").is_empty());
    let volume =
        list(&pod(&documents)["volumes"]).find(|each| each["name"] == "consentry-admin").unwrap();
    assert_eq!(
        volume["secret"],
        json!({ "secretName": "mine", "items": [{ "key": "admin", "path": "token" }] })
    );
    let documents = render(&["--set", "adminToken.enabled=false"]);
    assert!(all(&documents, "Secret").is_empty());
    assert_eq!(list(&pod(&documents)["volumes"]).count(), 1);
}

#[test]
fn a_config_with_passwords_can_come_from_a_secret() {
    let documents =
        render(&["--set", "existingConfigSecret=mine,listen.http=8000,listen.admin=9000"]);
    assert!(all(&documents, "ConfigMap").is_empty());
    let pod = pod(&documents);
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], "mine");
    // The flags override the config, so probes and Services use the right ports.
    let arguments =
        ["run", "--config", "/etc/consentry/consentry.toml", "--listen", "0.0.0.0:8000", "--admin"];
    assert_eq!(pod["containers"][0]["args"], json!([&arguments[..], &["0.0.0.0:9000"]].concat()));
}

#[test]
fn a_token_that_consentry_rejects_is_rejected_by_helm() {
    for token in ["fifteen-letters", "sixteen letters!", "\u{fc}ber-sechzehn-zeichen"] {
        let set = format!("adminToken.value={token}");
        assert!(rejected(&["--set", &set]).contains("/adminToken/value"), "{token}");
    }
}
