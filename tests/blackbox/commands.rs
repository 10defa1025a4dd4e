//! The subcommands other than `run`, as scripts use them.

use crate::support::{Origin, Proxy, binary, run};

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

const SENT: &str =
    "consentry=1~1795500000~2018-05-25~functional~; _ga=1; my_x=2; csrftoken=3; foo=4; _fbp=5; =6";
const SET: [&str; 6] = [
    "sid=1; HttpOnly",
    "_ga=2; Max-Age=60",
    "my_y=3",
    "unknown=4; HttpOnly",
    "consentry=forged",
    "_fbp=; Max-Age=0",
];

/// The names with a verdict in a list of `explain --json`.
fn explained(output: &str, list: &str, verdict: &str) -> Vec<String> {
    let output: serde_json::Value = serde_json::from_str(output).unwrap();
    let items = output[list].as_array().unwrap().iter();
    let items = items.filter(|item| item["verdict"] == verdict);
    items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn look_ups_use_the_site_of_a_name_or_host() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let site = |name: &str, category: &str| {
        format!(
            "[[site]]\nname = '{name}'\nhosts = ['{name}.example']\nupstream = 'http://a'\nconsent.default = '{category}'\n[[site.cookie]]\nname = 'mine'\ncategory = 'necessary'\nvendor = '{name}'\n"
        )
    };
    std::fs::write(&path, site("one", "deny") + &site("two", "allow")).unwrap();
    let path = path.to_str().unwrap();
    for (arguments, vendor) in [
        (&[][..], "one"),
        (&["--site", "two"], "two"),
        (&["--host", "two.example"], "two"),
        (&["--host", "ONE.example:8080"], "one"),
    ] {
        let arguments = [&["classify", "--config", path, "mine"], arguments].concat();
        let (code, out, error) = run(&arguments, "");
        assert_eq!(code, 0, "{error}");
        assert_eq!(out.split('\t').nth(2), Some(vendor), "{arguments:?}");
    }
    let granted = |site: &str| run(&["consent", "--config", path, "--site", site, "a=1"], "").1;
    assert!(granted("two").contains("\"social\"") && !granted("one").contains("\"social\""));
    for (arguments, message) in [
        (["--site", "three"], "no site `three`: the sites are one, two"),
        (["--host", "three.example"], "no site has the host `three.example`"),
    ] {
        let arguments = [&["classify", "--config", path, "mine"], &arguments[..]].concat();
        let (code, _, error) = run(&arguments, "");
        assert!(code == 2 && error.contains(message), "{error}");
    }
}

#[test]
fn explain_gives_the_verdicts_of_the_proxy() {
    let origin = Origin::setting_cookies(&SET);
    let toml = "[[cookie]]\nname = 'my_*'\ncategory = 'functional'\n";
    let proxy = Proxy::start(&origin, toml);
    let reply = proxy.get("/shop?gclid=1&a=2&fbclid=3", &[("Cookie", SENT)]);
    let received = origin.next_request();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, format!("{toml}[[site]]\nupstream = 'http://a'\n")).unwrap();
    let mut arguments = vec!["explain", "--json", "--config", path.to_str().unwrap()];
    arguments.extend(["--host", "shop.example", "--path", "/shop?gclid=1&a=2&fbclid=3"]);
    SET.iter().for_each(|line| arguments.extend(["--set-cookie", line]));
    arguments.push(SENT);
    let (code, out, error) = run(&arguments, "");
    assert_eq!(code, 0, "{error}");
    let name = |pair: &str| pair.split('=').next().unwrap().to_owned();
    let cookie = received.field("cookie").unwrap();
    let passed: Vec<String> = cookie.split("; ").map(name).collect();
    assert_eq!(explained(&out, "cookies", "pass"), passed);
    assert_eq!(explained(&out, "cookies", "strip"), ["_ga", "foo", "_fbp", ""]);
    let kept = SET.iter().filter(|line| reply.set_cookies().iter().any(|set| set == *line));
    assert_eq!(
        explained(&out, "set_cookies", "pass"),
        kept.map(|line| name(line)).collect::<Vec<_>>()
    );
    assert_eq!(explained(&out, "set_cookies", "strip"), ["_ga", "consentry"]);
    assert_eq!(explained(&out, "set_cookies", "delete"), ["_fbp"]);
    assert_eq!(explained(&out, "parameters", "strip"), ["gclid", "fbclid"]);
    assert_eq!(received.line, "GET /shop?a=2 HTTP/1.1");
}

#[test]
fn explain_names_the_rule_with_its_file_and_line_or_the_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let toml = "mode = 'observe'\n[[site]]\nname = 'shop'\nhosts = ['shop.example']\nupstream = 'http://a'\n\n[[site.cookie]]\nname = 'my_*'\ncategory = 'functional'\nvendor = 'Me'\n";
    std::fs::write(&path, toml).unwrap();
    let path = path.to_str().unwrap();
    let curl = "curl 'https://shop.example/matomo.php?rec=1' -H 'Sec-GPC: 1' -b 'my_x=1; csrf_acme=2; foo=3'";
    let (code, out, error) = run(&["explain", "--config", path, "--request", "-"], curl);
    assert_eq!(code, 0, "{error}");
    for line in [
        "site        shop (mode observe)".to_owned(),
        "granted     necessary".to_owned(),
        "request     GET /matomo.php: block as a beacon".to_owned(),
        format!("cookie      strip   my_x: functional, Me, rule `my_*` ({path}:7)"),
        "cookie      pass    csrf_acme: unclassified, the name suggests protection against cross-site request forgery".to_owned(),
        "cookie      strip   foo: unclassified, passes only if every category is granted".to_owned(),
    ] {
        assert!(out.lines().any(|found| found == line), "no {line} in {out}");
    }
    assert!(out.contains("rule `/matomo.php` (builtin:beacons.toml:"), "{out}");
    for (arguments, message) in [
        (&["--host", "other.example"][..], "no site has the host `other.example`"),
        (&[], "missing host: add --host HOST"),
        (&["--host", "a\nb"], "invalid field value"),
        (&["--host", "shop.example", "-H", "x"], "invalid header field `x`: use `NAME: VALUE`"),
        (&["--request", "/does/not/exist"], "cannot read /does/not/exist"),
    ] {
        let arguments = [&["explain", "--config", path], arguments].concat();
        let (code, out, error) = run(&arguments, "");
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(error.contains(message), "{error}");
    }
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
