//! Precedence of several values when the consent is read.

use consentry::config::{self, Overrides};
use consentry::consent::{Consent, ConsentReader, Reason, Signals};
use consentry::cookie::Cookies;

const NOW: i64 = 1_795_500_000;
const DAY: i64 = 24 * 60 * 60;

/// The consent in a header, and the names of the granted categories.
fn read(toml: &str, header: &str) -> (Consent, String) {
    let toml = format!("{toml}\n[[site]]\nupstream = 'http://127.0.0.1:1'");
    let config = config::parse(&toml, None, &Overrides::default()).unwrap();
    let reader: &ConsentReader = &config.sites[0].filter.reader;
    let consent = reader.read(&Cookies::new([header.as_bytes()]), Signals::default(), None, NOW);
    (consent, reader.categories.names_of(consent.granted).join(" "))
}

fn granted(toml: &str, header: &str) -> String {
    read(toml, header).1
}

/// Two cookies in both orders.
fn both_orders(one: &str, two: &str) -> [String; 2] {
    [format!("{one}; {two}"), format!("{two}; {one}")]
}

#[test]
fn a_decision_is_invalid_if_any_copy_of_the_revision_cookie_differs() {
    let toml = "[consent]\nsources = ['complianz']\n[consent.complianz]\nrevision = 3";
    let allowed = "cmplz_statistics=allow; cmplz_policy_id=3";
    assert_eq!(granted(toml, allowed), "necessary analytics");
    for copies in both_orders("cmplz_policy_id=3", "cmplz_policy_id=2") {
        assert_eq!(granted(toml, &format!("cmplz_statistics=allow; {copies}")), "necessary");
    }
    for copies in both_orders("cmplz_policy_id=3", "cmplz_policy_id=3") {
        let header = format!("cmplz_statistics=allow; {copies}");
        assert_eq!(granted(toml, &header), "necessary analytics");
    }
    assert_eq!(granted(toml, "cmplz_statistics=allow"), "necessary");
}

#[test]
fn the_last_of_two_entries_for_a_service_applies() {
    let toml = "[consent]\nsources = ['tarteaucitron']\n[consent.tarteaucitron]\n\
                map = { stats = 'analytics', ads = 'targeting' }";
    for (value, expected) in [
        ("!stats=true", "necessary analytics"),
        ("!stats=false!stats=true", "necessary analytics"),
        ("!stats=true!stats=false", "necessary"),
        ("!stats=wait!stats=true", "necessary analytics"),
        ("!stats=false!ads=true!stats=true", "necessary analytics targeting"),
        ("!stats=true!ads=false!stats=wait", "necessary"),
    ] {
        assert_eq!(granted(toml, &format!("tarteaucitron={value}")), expected, "{value}");
    }
}

/// Tools that list only grants: a missing category was refused, and never follows the default.
#[test]
fn categories_missing_in_a_list_of_grants_are_refused_for_any_default() {
    let borlabs = r#"{"consents":{"statistics":["matomo"]},"version":"1"}"#;
    let vanilla = r#"{"categories":["necessary","analytics"],"revision":0}"#;
    let script = r#"{"action":"accept","categories":"[\"performance\"]"}"#;
    for (source, cookie) in [
        ("borlabs", format!("borlabs-cookie={}", percent(borlabs))),
        ("vanilla-cookieconsent", format!("cc_cookie={}", percent(vanilla))),
        ("cookiescript", format!("CookieScriptConsent={}", percent(script))),
    ] {
        for default in ["allow", "deny"] {
            let toml = format!("[consent]\nsources = ['{source}']\ndefault = '{default}'");
            let (consent, names) = read(&toml, &cookie);
            assert!(consent.is_decided(), "{source}");
            let known = ["functional", "targeting"];
            assert!(!known.iter().any(|name| names.contains(name)), "{source} {default}: {names}");
            assert!(names.contains("analytics"), "{source} {default}: {names}");
        }
    }
}

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let byte =
        |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}

const GENERIC: &str = "[consent]\nsources = ['generic']\n[consent.generic]\ncookie = 'c'\n\
                       map = { a = 'analytics' }\ntime = 't'";

fn answer(a: bool, at: Option<i64>) -> String {
    let time = at.map(|at| format!(",\"t\":{at}")).unwrap_or_default();
    format!("c={{\"a\":{a}{time}}}").replace(',', "%2C")
}

#[test]
fn the_oldest_time_of_active_copies_applies_and_untimed_copies_are_ignored() {
    let (old, new) = (NOW - 10 * DAY, NOW - DAY);
    for (one, two, expected) in
        [(Some(old), Some(new), Some(old)), (Some(new), None, Some(new)), (None, None, None)]
    {
        for header in both_orders(&answer(true, one), &answer(true, two)) {
            assert_eq!(read(GENERIC, &header).0.decided_at, expected, "{header}");
        }
    }
}

#[test]
fn without_an_active_decision_the_first_reason_and_its_time_are_reported() {
    let stamp =
        |days: i64, notice: &str| format!("consentry=1~{}~{notice}~analytics~", NOW - days * DAY);
    let native = "[consent]\nsources = ['consentry', 'generic']\nmax_age_days = 100\nnotice_date = 2018-05-25\n\
                  [consent.generic]\ncookie = 'c'\nmap = { a = 'analytics' }\ntime = 't'";
    let [first, last] = both_orders(&stamp(300, "2018-05-25"), &stamp(400, "2018-05-25"));
    for (header, days) in [(first, 300), (last, 400)] {
        let (consent, _) = read(native, &header);
        assert_eq!((consent.reason, consent.decided_at), (Reason::Expired, Some(NOW - days * DAY)));
    }
    let expired = stamp(300, "2018-05-25");
    for later in ["c=junk", "", &answer(true, Some(NOW - 500 * DAY))] {
        let (consent, names) = read(native, &format!("{expired}; {later}"));
        assert_eq!((consent.reason, names.as_str()), (Reason::Expired, "necessary"), "{later}");
    }
    let (consent, names) = read(native, &format!("{expired}; {}", answer(true, Some(NOW))));
    assert_eq!((consent.reason, names.as_str()), (Reason::Decided, "necessary analytics"));
}

#[test]
fn the_native_cookie_decides_categories_unknown_to_the_tool_and_its_refusals_win() {
    let toml = "[consent]\nsources = ['generic', 'consentry']\n[consent.generic]\ncookie = 'c'\n\
                map = { a = 'analytics', s = 'social' }";
    let own = |categories: &str| format!("consentry=1~{NOW}~2018-05-25~{categories}~");
    for (tool, own, expected) in [
        (r#"{"a":true}"#, own("functional+analytics"), "necessary functional analytics"),
        (r#"{"a":true}"#, own("functional"), "necessary functional"),
        (r#"{"a":false}"#, own("functional+analytics"), "necessary functional"),
        (r#"{"a":true,"s":true}"#, String::new(), "necessary analytics social"),
    ] {
        let header = format!("c={}; {own}", percent(tool));
        assert_eq!(granted(toml, &header), expected, "{tool} {own}");
    }
}

#[test]
fn a_decision_dated_up_to_a_day_ahead_counts_and_a_later_one_grants_nothing() {
    let toml = "[consent]\nnotice_date = 2018-05-25";
    for (ahead, expected) in
        [(60 * 60, "necessary analytics"), (DAY, "necessary analytics"), (DAY + 1, "necessary")]
    {
        let header = format!("consentry=1~{}~2018-05-25~analytics~", NOW + ahead);
        assert_eq!(granted(toml, &header), expected, "{ahead}");
    }
}
