//! The dashboard in a real Chromium.

use std::process::Command;

use crate::nginx::program;
use crate::support::{Origin, Proxy};

#[test]
fn the_dashboard_shows_observed_cookies_in_every_state() {
    let origin = Origin::setting_cookies(&[
        "PHPSESSID=secret; HttpOnly",
        "_ga=secret",
        "own_8f14e45fceea=secret; HttpOnly",
    ]);
    let proxy = Proxy::start(&origin, "");
    // A name sent by a client is displayed as text.
    proxy.get("/", &[("Cookie", "_fbp=secret; <img/src/onerror=alert(1)>")]);
    proxy.get("/matomo.php?rec=1", &[]);
    let (_, figures) = proxy.admin("/dashboard.json");
    assert!(!figures.contains("secret"), "{figures}");

    let output = Command::new(program("node"))
        .arg("dashboard.mjs")
        .arg(program("chromium"))
        .arg(format!("http://{}/", proxy.admin))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let empty = serde_json::json!([]);
    assert_eq!(found["violations"], empty, "{found:#}");
    assert_eq!(found["console"], empty, "{found:#}");
    assert_eq!(found["wide"], empty, "no page is wider than its window");
    let texts = |key: &str| {
        found[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect::<Vec<_>>()
    };
    assert!(texts("stripped").contains(&"_ga") && texts("stripped").contains(&"_fbp"), "{found:#}");
    assert!(
        texts("unknown").contains(&"own_*") && texts("unknown").contains(&"<img/src/onerror"),
        "{found:#}"
    );
    assert!(
        texts("proposals")
            .iter()
            .any(|text| text.starts_with("necessary: HttpOnly session cookie of the origin"))
    );
    assert_eq!(texts("beacons"), ["/matomo.php"]);
    assert_eq!(texts("consent"), ["no decision"]);
    assert_eq!(texts("keyboard"), ["site", "true"]);
}
