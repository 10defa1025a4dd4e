//! Google Consent Mode v2: storage types and the categories that grant them
//! (support.google.com/analytics/answer/12334711).

use super::{Category, CategorySet};

/// Each storage type with the category that grants it.
const STORAGES: [(&str, Category); 7] = [
    ("ad_storage", Category::TARGETING),
    ("ad_user_data", Category::TARGETING),
    ("ad_personalization", Category::TARGETING),
    ("analytics_storage", Category::ANALYTICS),
    ("functionality_storage", Category::FUNCTIONAL),
    ("personalization_storage", Category::FUNCTIONAL),
    ("security_storage", Category::NECESSARY),
];

/// Each storage type of Google Consent Mode v2, with `granted` or `denied`.
pub fn consent_mode(granted: CategorySet) -> impl Iterator<Item = (&'static str, &'static str)> {
    STORAGES.into_iter().map(move |(storage, category)| {
        let granted = category == Category::NECESSARY || granted.contains(category);
        (storage, if granted { "granted" } else { "denied" })
    })
}
