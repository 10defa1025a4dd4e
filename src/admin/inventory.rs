//! The inventory as JSON, for `consentry inventory`, `consentry suggest` and the dashboard.

use serde_json::{Value, json};

use crate::catalogue::{Catalogue, CookieContext, Evidence, suggest};
use crate::consent::{Categories, Category};
use crate::filter::{BlockedKind, Filter, Rule, SeenItem};
use crate::http::rfc3339;

/// The inventory of one site.
pub(super) fn of_site(filter: &Filter) -> Value {
    let catalogue = &filter.settings().policy.catalogue;
    let categories = &filter.settings().reader.categories;
    let list = |items: Vec<SeenItem<'_>>| -> Vec<Value> {
        items.iter().map(|item| item_json(item, categories)).collect()
    };
    let inventory = filter.inventory();
    let beacons = inventory.beacons(catalogue);
    let beacons: Vec<Value> = beacons.iter().map(|item| beacon_json(item, categories)).collect();
    let blocked: Vec<Value> = BlockedKind::ALL
        .into_iter()
        .flat_map(|kind| {
            let items = inventory.blocked(kind);
            items.into_iter().map(move |item| blocked_json(kind, &item, catalogue, categories))
        })
        .collect();
    let cookies = list(inventory.cookies(catalogue));
    let parameters = inventory.parameters(catalogue);
    let parameters: Vec<Value> =
        parameters.iter().map(|item| parameter_json(item, categories)).collect();
    json!({
        "cookies": cookies,
        "beacons": beacons,
        "held_back": blocked,
        "url_parameters": parameters,
    })
}

/// A beacon with a rule, or a detected one.
fn beacon_json(item: &SeenItem<'_>, categories: &Categories) -> Value {
    let mut json = item_json(item, categories);
    let Some(fields) = json.as_object_mut() else { return json };
    for key in ["attributes", "set_together", "presumed"] {
        fields.remove(key);
    }
    // A beacon's only evidence is that it looks like one.
    if fields.remove("suggestion").is_some() {
        let name = categories.name(Category::ANALYTICS);
        let reason = match item.post {
            None => "the responses are a tracking pixel, or empty for image requests",
            Some(_) => "no script can read the responses to these POSTs, and they are empty",
        };
        fields.insert("suggestion".to_owned(), json!({ "category": name, "reason": reason }));
    }
    if let Some(post) = item.post {
        fields.insert("method".to_owned(), json!("POST"));
        fields.insert("content_type".to_owned(), json!(post.content_type()));
    }
    json
}

/// An entry that the guard blocked in pages.
fn blocked_json(
    kind: BlockedKind,
    item: &SeenItem<'_>,
    catalogue: &Catalogue,
    categories: &Categories,
) -> Value {
    let entry = match kind {
        BlockedKind::Host => catalogue.third_party(&item.name, "", "", ""),
        BlockedKind::Cookie | BlockedKind::Storage => {
            let rule = catalogue.cookie_in(item.name.as_bytes(), &CookieContext::script());
            rule.map(|rule| &rule.entry)
        }
    };
    let mut json = json!({
        "kind": kind,
        "name": item.name,
        "times": item.counts.sent,
        "first_seen": rfc3339(item.first_seen),
        "last_seen": rfc3339(item.last_seen),
        "category": entry.map(|entry| categories.name(entry.category)),
        "vendor": entry.and_then(|entry| entry.vendor.as_deref()),
    });
    if entry.is_none()
        && kind != BlockedKind::Host
        && let Some(fields) = json.as_object_mut()
    {
        fields.insert("suggestion".to_owned(), suggestion(item, categories));
    }
    json
}

/// A query parameter with a rule.
fn parameter_json(item: &SeenItem<'_>, categories: &Categories) -> Value {
    let mut json = item_json(item, categories);
    if let Some(fields) = json.as_object_mut() {
        // Only visitors send parameters.
        for key in ["attributes", "set", "set_together", "presumed", "from"] {
            fields.remove(key);
        }
    }
    json
}

/// The suggested category of a cookie without a rule, and the reason.
fn suggestion(item: &SeenItem<'_>, categories: &Categories) -> Value {
    let attributes = item.attributes.as_ref();
    let (category, reason) = suggest(&Evidence {
        name: &item.name,
        set_by_origin: item.counts.set > 0,
        http_only: attributes.is_some_and(|attributes| attributes.http_only),
        lifetime: attributes.and_then(|attributes| attributes.lifetime_seconds),
        companion: item.set_together,
        presumed: item.presumed,
    });
    json!({ "category": categories.name(category), "reason": reason })
}

fn item_json(item: &SeenItem<'_>, categories: &Categories) -> Value {
    let mut json = serde_json::to_value(item).unwrap_or_default();
    let presumed = item
        .presumed
        .map(|evidence| json!({ "evidence": evidence.as_str(), "reason": evidence.reason() }));
    let Some(fields) = json.as_object_mut() else { return json };
    for (key, at) in [("first_seen", item.first_seen), ("last_seen", item.last_seen)] {
        fields.insert(key.to_owned(), json!(rfc3339(at)));
    }
    let (entry, rule) = match item.rule {
        Some(Rule::Cookie(rule)) => (Some(&rule.entry), Some(rule.pattern.as_str())),
        Some(Rule::Beacon(rule)) => (Some(&rule.entry), Some(rule.path.as_str())),
        Some(Rule::Parameter(rule)) => (Some(&rule.entry), Some(rule.name())),
        None => (None, None),
    };
    fields.insert("category".to_owned(), json!(entry.map(|entry| categories.name(entry.category))));
    fields.insert("vendor".to_owned(), json!(entry.and_then(|entry| entry.vendor.as_deref())));
    fields.insert("rule".to_owned(), json!(rule));
    fields.insert("presumed".to_owned(), json!(presumed));
    let from = if item.counts.set > 0 { "origin" } else { "script or elsewhere" };
    fields.insert("from".to_owned(), json!(from));
    if item.rule.is_none() {
        fields.insert("suggestion".to_owned(), suggestion(item, categories));
    }
    json
}
