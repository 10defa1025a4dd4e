//! Inventory, suggested rules, and imported catalogues.

use crate::support::{Origin, Proxy, consent_cookie, run};

const CSV: &str = "ID,Platform,Category,Cookie / Data Key name,Domain,Description,Retention period,Data Controller,User Privacy & GDPR Rights Portals,Wildcard match\n\
    1,Example,Analytics,ex_id,,\"Counts \"\"visits\"\"\",1 year,Example,,0\n\
    2,Example,Marketing,ex_ad_,,Ads,,Example,,1\n";

fn admin(proxy: &Proxy) -> String {
    format!("http://{}", proxy.admin)
}

#[test]
fn the_inventory_lists_observed_cookies_with_origin_and_decision() {
    let origin = Origin::setting_cookies(&[
        "_ga=secret1; Max-Age=63072000; Domain=.shop.example",
        "shop_8f14e45fceea=secret2; HttpOnly; Secure; SameSite=Lax",
        "PHPSESSID=secret3; HttpOnly",
    ]);
    let proxy = Proxy::start(&origin, "");
    proxy.get("/", &[("Cookie", "written_by_script=secret4; _ga=secret5")]);
    proxy.get("/", &[("Cookie", &format!("{}; _ga=secret6", consent_cookie("analytics")))]);
    proxy.get("/matomo.php?rec=1", &[]);
    let (code, out, error) = run(&["inventory", "--admin", &admin(&proxy), "--json"], "");
    assert_eq!(code, 0, "{error}");
    assert!(!out.contains("secret"), "{out}");
    let sites: serde_json::Value = serde_json::from_str(&out).unwrap();
    let of = |kind: &str, name: &str| {
        let items = sites["default"][kind].as_array().unwrap();
        items
            .iter()
            .find(|item| item["name"] == name)
            .unwrap_or_else(|| panic!("{name} in {out}"))
            .clone()
    };
    let ga = of("cookies", "_ga");
    assert_eq!((ga["category"].as_str(), ga["rule"].as_str()), (Some("analytics"), Some("_ga")));
    assert_eq!((ga["set"].as_u64(), ga["sent"].as_u64()), (Some(2), Some(2)));
    assert_eq!(ga["undecided"], serde_json::json!({"passed": 0, "stripped": 2}));
    assert_eq!(ga["decided"], serde_json::json!({"passed": 2, "stripped": 0}));
    assert_eq!(ga["attributes"]["lifetime_seconds"], 63_072_000);
    assert_eq!(ga["attributes"]["domain"], "shop.example");
    assert!(ga["suggestion"].is_null() && ga["first_seen"].as_str().unwrap().ends_with('Z'));
    let shop = of("cookies", "shop_*");
    assert!(shop["category"].is_null());
    assert_eq!(
        shop["attributes"],
        serde_json::json!({
            "http_only": true, "secure": true, "same_site": "lax", "lifetime_seconds": null, "domain": null,
        })
    );
    assert_eq!(shop["suggestion"]["category"], "necessary");
    assert_eq!(of("cookies", "written_by_script")["from"], "script or elsewhere");
    assert_eq!(of("cookies", "PHPSESSID")["undecided"]["passed"], 1);
    assert_eq!(of("beacons", "/matomo.php")["undecided"]["stripped"], 1);

    let (_, table, _) = run(&["inventory", "--admin", &admin(&proxy), "--site", "default"], "");
    let row = table.lines().find(|line| line.starts_with("shop_*")).unwrap();
    assert!(
        row.contains("unclassified") && row.contains("HttpOnly Secure SameSite=lax session"),
        "{table}"
    );
    let (code, _, error) = run(&["inventory", "--admin", &admin(&proxy), "--site", "shop"], "");
    assert!(code == 1 && error.contains("the sites are default"), "{error}");
    let (code, _, error) = run(&["inventory", "--admin", "127.0.0.1:1"], "");
    assert!(
        code == 1 && error.contains("cannot reach the admin listener at 127.0.0.1:1"),
        "{error}"
    );
}

#[test]
fn suggested_rules_are_a_config_without_unclassified_cookies() {
    let cookies = [
        "shop_8f14e45fceea=1; HttpOnly",
        "theme=dark; Max-Age=31536000",
        "quo\"te=1",
        "campaign=1",
    ];
    let origin = Origin::setting_cookies(&cookies);
    let proxy = Proxy::start(&origin, "");
    proxy.get("/", &[("Cookie", "from_script=1; b\\s=2")]);
    let (code, rules, error) = run(&["suggest", "--admin", &admin(&proxy)], "");
    assert_eq!(code, 0, "{error}");
    assert!(rules.contains("# shop_*: HttpOnly session cookie of the origin"), "{rules}");
    assert!(rules.contains("name = \"shop_*\"\ncategory = \"necessary\""), "{rules}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, format!("{rules}\n[[site]]\nupstream = '{}'\n", origin.url())).unwrap();
    let (code, out, error) = run(&["check", "--config", path.to_str().unwrap()], "");
    assert_eq!(code, 0, "{error}{out}\n{rules}");

    let proxy = Proxy::start(&origin, &rules);
    proxy.get("/", &[("Cookie", "from_script=1")]);
    let (_, again, _) = run(&["suggest", "--admin", &admin(&proxy)], "");
    assert!(again.starts_with("# 0 rules"), "{again}");
}

#[test]
fn the_open_cookie_database_imports_as_a_catalogue_with_conflicts_reported() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("open.csv");
    std::fs::write(&csv, CSV).unwrap();
    let (code, toml, log) = run(&["catalogue", "import", csv.to_str().unwrap()], "");
    assert_eq!(code, 0, "{log}");
    assert!(
        log.contains("Marketing -> targeting: 1\n")
            && log.contains("Functional -> functional: 0\n"),
        "{log}"
    );
    std::fs::write(folder.path().join("open.toml"), &toml).unwrap();
    std::fs::write(
        folder.path().join("mine.toml"),
        "[[cookie]]\nname = 'ex_id'\ncategory = 'social'\n",
    )
    .unwrap();
    let config = folder.path().join("c.toml");
    std::fs::write(
        &config,
        "catalogue = ['builtin', 'open.toml', 'mine.toml']\n[[site]]\nupstream = 'http://a'\n",
    )
    .unwrap();
    let config = config.to_str().unwrap();
    let (_, out, _) = run(&["classify", "--config", config, "ex_id", "ex_ad_7", "_ga"], "");
    assert_eq!(
        out,
        "ex_id\tsocial\t-\tex_id\nex_ad_7\ttargeting\tExample\tex_ad_*\n_ga\tanalytics\tGoogle Analytics\t_ga\n"
    );
    let (code, _, warnings) = run(&["check", "--config", config], "");
    assert_eq!(code, 0);
    assert!(
        warnings.contains(
            "`ex_id` is analytics in `open.toml` and social in `mine.toml`: the later file wins"
        ),
        "{warnings}"
    );

    std::fs::write(&csv, format!("{CSV}3,X,Sorcery,x,,,,,,0\n")).unwrap();
    let (code, toml, log) = run(&["catalogue", "import", csv.to_str().unwrap()], "");
    assert!(code == 1 && toml.contains("ex_ad_*"), "{log}");
    assert!(log.contains("open.csv:4: `Sorcery` is not a category of the table"), "{log}");
    assert!(log.contains("1 rows not imported, 2 imported"), "{log}");
    let (code, _, _) =
        run(&["catalogue", "import", csv.to_str().unwrap(), "--map", "Sorcery=social"], "");
    assert_eq!(code, 0);
    assert_eq!(run(&["catalogue", "import", csv.to_str().unwrap(), "--map", "x"], "").0, 2);
    std::fs::write(&csv, "a,b\n").unwrap();
    let (code, _, error) = run(&["catalogue", "import", csv.to_str().unwrap()], "");
    assert!(code == 2 && error.contains("line 1: missing column `Platform`"), "{error}");
}
