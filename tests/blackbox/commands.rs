//! The subcommands other than `run`, as scripts use them.

use crate::support::{binary, run};

#[test]
fn classify_prints_category_vendor_and_rule() {
    let (code, out, _) = run(&["classify", "_ga_ABC123", "PHPSESSID", "never_heard_of"], "");
    assert_eq!(code, 0);
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines[0], ["_ga_ABC123", "analytics", "Google Analytics", "_ga_*"]);
    assert_eq!((lines[1][1], lines[1][3]), ("necessary", "PHPSESSID"));
    assert_eq!(lines[2], ["never_heard_of", "unclassified", "-", "-"]);
}

#[test]
fn classify_reads_standard_input_and_writes_json() {
    let (code, out, _) = run(&["classify", "--json"], "_fbp\nnever_heard_of\r\n");
    assert_eq!(code, 0);
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["category"], "targeting");
    assert_eq!(lines[1]["name"], "never_heard_of");
    assert!(lines[1]["category"].is_null());
}

#[test]
fn classify_uses_the_rules_of_a_config() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, "[[site]]\nupstream = 'http://a'\n[[cookie]]\nname = 'my_*'\ncategory = 'social'\nvendor = 'Me'\n").unwrap();
    let (code, out, error) = run(&["classify", "--config", path.to_str().unwrap(), "my_x"], "");
    assert_eq!((code, out.as_str()), (0, "my_x\tsocial\tMe\tmy_*\n"), "{error}");
}

#[test]
fn consent_prints_the_grants_of_a_header() {
    let header = "consentry=1~1795500000~2018-05-25~functional+analytics~";
    let (code, out, _) = run(&["consent", "--at", "1795500001", header], "");
    assert_eq!(code, 0);
    assert_eq!(
        out.trim_end(),
        r#"{"decided":true,"source":"consentry","granted":["necessary","functional","analytics"],"reason":"the visitor decided on 2026-11-24 (consentry)"}"#
    );
    let input = format!("Cookie: {header}\n\na=1; consentry=x\n");
    let (_, out, _) =
        run(&["consent", "--source", "consentry", "--at", "2026-11-24T09:00:00Z"], &input);
    let reasons: Vec<String> = out
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["reason"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let default = "the default applies and grants necessary";
    assert_eq!(
        reasons,
        [
            "the visitor decided on 2026-11-24 (consentry)".to_owned(),
            format!("the visitor has not decided (sources: consentry): {default}"),
            format!("the cookie of consentry is malformed: {default}"),
        ]
    );
    let older = header.replace("2018-05-25", "2018-05-24");
    for (time, header, reason) in [
        ("2026-11-25", header, "the visitor decided on 2026-11-24 (consentry)".to_owned()),
        (
            "2018-01-01",
            header,
            format!("the decision of 2026-11-24 (consentry) is dated in the future: {default}"),
        ),
        (
            "2030-01-01",
            header,
            format!("the decision of 2026-11-24 (consentry) is older than 182 days: {default}"),
        ),
        (
            "2026-11-25",
            &older,
            format!(
                "the decision of 2026-11-24 (consentry) was made before the notice of 2018-05-25: {default}"
            ),
        ),
    ] {
        let (_, out, _) = run(&["consent", "--at", time, header], "");
        let output: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(output["reason"], reason.as_str(), "{time}: {out}");
    }
    let with_gpc = ["consent", "--at", "2026-11-25", "--gpc", "--json"];
    let all = "consentry=1~1795500000~2018-05-25~functional+analytics+targeting+social~";
    let (_, out, _) = run(&[&with_gpc[..], &[all]].concat(), "");
    let output: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(output["granted"], serde_json::json!(["necessary", "functional", "analytics"]));
    assert_eq!(
        output["reason"],
        "the visitor decided on 2026-11-24 (consentry); Sec-GPC denies targeting, social"
    );
    assert_eq!(
        output["consent_mode"],
        serde_json::json!({
            "ad_storage": "denied", "ad_user_data": "denied", "ad_personalization": "denied",
            "analytics_storage": "granted", "functionality_storage": "granted",
            "personalization_storage": "granted", "security_storage": "granted",
        })
    );
    let (_, out, _) = run(&["consent", "--source", "auto", "--at", "2026-11-25", header], "");
    let output: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(output["source"], "auto");
    assert_eq!(output["reason"], "the visitor decided on 2026-11-24 (auto: consentry)");
    assert_eq!(run(&["consent", "--at", "yesterday", header], "").0, 2);
    let (code, _, error) = run(&["consent", "--source", "consentri", header], "");
    assert_eq!(code, 2);
    assert!(error.contains("did you mean `consentry`?"), "{error}");
}

#[test]
fn cookie_prints_a_cookie_that_consent_parses() {
    let (code, out, _) =
        run(&["cookie", "--allow", "analytics,social", "--notice", "2026-01-02"], "");
    assert_eq!(code, 0);
    assert!(
        out.starts_with("consentry=1~")
            && out.trim_end().ends_with("~2026-01-02~analytics+social~"),
        "{out}"
    );
    let (_, out, _) = run(&["consent", out.trim_end()], "");
    assert!(out.contains(r#""granted":["necessary","analytics","social"]"#), "{out}");
    let (code, out, _) = run(&["cookie", "--allow", ""], "");
    assert!(code == 0 && out.trim_end().ends_with("~2018-05-25~~"), "{out}");
    assert_eq!(run(&["cookie", "--allow", "anything"], "").0, 2);
    assert_eq!(run(&["cookie", "--allow", "social", "--notice", "soon"], "").0, 2);
}

#[test]
fn check_prints_a_summary_and_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, "[[site]]\nhosts = ['*.a.example']\nupstream = ['http://b:81', 'http://[::1]']\n[[cookie]]\nname = 'PHPSESSID'\ncategory = 'targeting'\n").unwrap();
    let (code, out, error) = run(&["check", "--config", path.to_str().unwrap()], "");
    assert_eq!(code, 0);
    assert!(
        out.starts_with("ok")
            && out.contains("*.a.example")
            && out.contains("http://b:81, http://[::1]:80"),
        "{out}"
    );
    assert!(error.contains("warning: ") && error.contains("PHPSESSID"), "{error}");
    let (code, _, error) = run(&["check", "--config", "/nowhere.toml"], "");
    assert_eq!(code, 2);
    assert!(error.starts_with("/nowhere.toml: cannot read the file: "), "{error}");
}

#[test]
fn check_prints_the_caps_of_cookie_lifetimes_and_rejects_unknown_categories() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let check = |caps: &str| {
        let toml = format!("max_cookie_lifetime = {caps}\n[[site]]\nupstream = 'http://a'\n");
        std::fs::write(&path, toml).unwrap();
        run(&["check", "--config", path.to_str().unwrap()], "")
    };
    let (code, out, _) = check("{ targeting = '1h', analytics = '395days' }");
    assert!(code == 0 && out.contains("of cookies, at most: analytics 1year"), "{out}");
    let (code, _, error) = check("{ analitics = '1h' }");
    assert!(code == 2 && error.contains("c.toml:1") && error.contains("`analytics`?"), "{error}");
    for invalid in ["{ analytics = '0s' }", "{ analytics = 395 }", "'395d'"] {
        assert_eq!(check(invalid).0, 2, "{invalid}");
    }
}

#[test]
fn check_names_the_lifetime_of_consent_for_each_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    for (consent, expected) in [
        ("", "consent expires after 182 days (consentry), refusals never"),
        (
            "sources = ['cookiebot', 'onetrust', 'klaro', 'civic', 'consentry']",
            "consent expires after 365 days (cookiebot, onetrust), with the cookie (klaro), at the end in the cookie (civic), after 182 days (consentry), refusals never",
        ),
        (
            "sources = ['cookiebot', 'klaro', 'civic', 'consentry']\nmax_age_days = 100",
            "consent expires after 100 days (cookiebot, consentry), with the cookie (klaro), after at most 100 days (civic), refusals never",
        ),
        ("sources = ['auto']", "consent expires as in each tool (auto), refusals never"),
        (
            "sources = ['auto']\nmax_age_days = 100",
            "consent expires after 100 days (auto), refusals never",
        ),
    ] {
        let toml = format!("[consent]\n{consent}\n[[site]]\nupstream = 'http://a'\n");
        std::fs::write(&path, toml).unwrap();
        let (_, out, _) = run(&["check", "--config", path.to_str().unwrap()], "");
        assert!(out.contains(expected), "{out}");
    }
}

#[test]
fn bad_usage_exits_with_2_and_help_and_version_with_0() {
    for arguments in
        [&["run", "--mode", "off"][..], &["fly"], &[], &["run"], &["completions", "cobol"]]
    {
        assert_eq!(run(arguments, "").0, 2, "{arguments:?}");
    }
    let (code, out, _) = run(&["--version"], "");
    assert_eq!((code, out.trim_end()), (0, concat!("consentry ", env!("CARGO_PKG_VERSION"))));
    for command in ["run", "demo", "check", "classify", "consent", "cookie", "completions"] {
        let (code, out, _) = run(&[command, "--help"], "");
        assert!(code == 0 && out.contains("Usage: consentry "), "{out}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(&["completions", shell], "");
        assert!(code == 0 && out.contains("classify"));
    }
}

#[test]
fn every_run_flag_has_an_environment_variable() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = |name: &str, value: &str| {
        let mut command = binary();
        command
            .arg("run")
            .env("CONSENTRY_UPSTREAM", "http://127.0.0.1:1")
            .env("CONSENTRY_LISTEN", &address);
        let output = command.env("CONSENTRY_ADMIN", "off").env(name, value).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // The only error is the address in use: the other settings are valid.
    let (code, error) = output("CONSENTRY_MODE", "observe");
    assert!(code == Some(1) && error.contains("is already in use"), "{error}");
    for (name, value) in [
        ("MODE", "off"),
        ("UPSTREAM", "ftp://a"),
        ("LISTEN", "here"),
        ("ADMIN", "there"),
        ("CONFIG", "/nowhere"),
    ] {
        let (code, error) = output(&format!("CONSENTRY_{name}"), value);
        assert_eq!(code, Some(2), "{name}: {error}");
    }
}

#[test]
fn a_closed_output_pipe_is_not_an_error() {
    use std::process::Stdio;
    let mut child = binary()
        .args(["classify", "_ga"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
