//! Texts of a language, with the keys of its file.

use std::collections::BTreeMap;

/// Declares the texts in a single place, both for `Texts` and for `LocaleFile`.
macro_rules! texts {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// The texts of the pages in one language.
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
        pub struct Texts {
            $($(#[$about])* pub $name: String,)*
        }

        /// A locale file, with any subset of the texts.
        #[derive(Debug, Default, Clone, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[allow(missing_docs, reason = "as those of `Texts`")]
        pub struct LocaleFile {
            $(pub $name: Option<String>,)*
            /// The month names as used in dates.
            pub months: Option<Vec<String>>,
            /// The categories, by name.
            pub category: BTreeMap<String, CategoryTexts>,
            /// Lifetimes by unit: a text with `{count}` for each plural category of the language (Unicode TR 35).
            pub lifetime: BTreeMap<String, BTreeMap<String, String>>,
            /// Purposes, by the name of their kind.
            pub kind: BTreeMap<String, String>,
            /// The error pages, by topic.
            pub error: BTreeMap<ErrorTopic, ErrorTexts>,
        }

        impl LocaleFile {
            /// All texts: from this file, else from `below`. Adds the keys that are in neither to
            /// `missing`.
            pub(super) fn over(&self, below: Option<&Texts>, missing: &mut Vec<String>) -> Texts {
                Texts {
                    $($name: self.$name.as_ref().or(below.map(|below| &below.$name)).cloned().unwrap_or_else(|| {
                        if !OPTIONAL.contains(&stringify!($name)) {
                            missing.push(stringify!($name).to_owned());
                        }
                        String::new()
                    }),)*
                }
            }

            /// The texts in the file, by key.
            pub fn present(&self) -> BTreeMap<&'static str, &str> {
                let all = [$((stringify!($name), self.$name.as_deref()),)*];
                all.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
            }

        }
    };
}

/// Texts that a language may omit.
const OPTIONAL: [&str; 3] = ["first_day", "elsewhere", "repeat"];

texts! {
    /// The language's own name.
    name,
    /// A date, with `{day}`, `{month}` and `{year}`.
    date,
    /// The first day of a month, if it has a special form. Otherwise empty.
    first_day,
    /// The preference centre's heading.
    preferences_title,
    /// Introduction of the preference centre.
    preferences_intro,
    /// How to choose in the preference centre.
    preferences_choose,
    /// Instead of `preferences_choose` and `optout_here`: another tool of the site decides.
    decides_elsewhere,
    /// The preference centre's heading, and text of links to it, where categories are allowed until refused.
    privacy_choices,
    /// Nothing is blocked or deleted (observe mode).
    observe,
    /// Confirmation after saving a choice.
    saved,
    /// The visitor's choice: `{date}`, `{categories}`.
    decided,
    /// The visitor's choice in a tool that stores no date: `{categories}`.
    decided_undated,
    /// No choice yet, with the current default: `{categories}`.
    undecided,
    /// The opt-out request is honoured, with the categories denied by Global Privacy Control: `{categories}`.
    gpc,
    /// Categories denied by Do Not Track: `{categories}`.
    dnt,
    /// Categories that another tool of the site refuses, so that this page cannot grant them:
    /// `{categories}`.
    elsewhere,
    /// Why a choice must be repeated here: the browser did not report on which page it was made.
    /// Optional.
    repeat,
    /// Button: accept everything.
    accept_all,
    /// Button: reject everything.
    reject_all,
    /// Button: save the selection.
    save,
    /// Link from the banner to the preference centre.
    choose,
    /// Label next to the switch of the strictly necessary category.
    always_on,
    /// Heading of a cookie list: `{count}`.
    cookie_list,
    /// Heading of a beacon list: `{count}`.
    beacon_list,
    /// Heading of a list of third-party hosts: `{count}`.
    host_list,
    /// Heading of a list of storage keys: `{count}`.
    storage_list,
    /// Heading of a list of query parameters: `{count}`.
    parameter_list,
    /// Shown instead of an empty list.
    no_cookies,
    /// Below a truncated list: `{count}`.
    more,
    /// Table column of the list.
    column_name,
    /// Table column of the list.
    column_vendor,
    /// Table column of the list.
    column_purpose,
    /// Table column of the list.
    column_lifetime,
    /// The lifetime of a session cookie.
    session,
    /// The lifetime of data without an expiry.
    persistent,
    /// The provider of cookies that the site's own code uses.
    this_site,
    /// Unclassified cookies.
    unclassified_title,
    /// Unclassified cookies.
    unclassified_text,
    /// When unclassified cookies are used, if they need consent.
    unclassified_all,
    /// Purpose of a cookie that is presumed necessary.
    presumed,
    /// Label of the language list.
    language,
    /// Link back.
    back,
    /// The banner's heading.
    banner_title,
    /// Text of the banner if nothing is used without consent: `{categories}`.
    banner_text,
    /// Text of the banner if the categories are used until refused: `{categories}`.
    banner_text_optout,
    /// Text of the banner if the categories `{allowed}` are used until refused, and `{categories}` with consent.
    banner_text_mixed,
    /// Heading of the notice, and text of links to it.
    notice_title,
    /// Effective date of the notice: `{date}`.
    effective,
    /// The dates of earlier notices: `{dates}`.
    earlier,
    /// Heading in the notice.
    what_title,
    /// Explanation of cookies.
    what_cookies,
    /// Explanation of beacons.
    what_beacons,
    /// Explanation of local storage.
    what_storage,
    /// Explanation of content from other websites.
    what_hosts,
    /// How identifiers in URLs are removed.
    what_urls,
    /// The notice's statements about cookies also hold for beacons and storage.
    what_applies,
    /// Heading in the notice.
    categories_title,
    /// Heading in the notice.
    optout_title,
    /// Where to opt out on the site.
    optout_here,
    /// When an opt-out takes effect.
    optout_effect,
    /// Cookies without consent are deleted.
    optout_deletes,
    /// How to opt out in the browser.
    optout_browser,
    /// How Global Privacy Control is honoured.
    optout_gpc,
    /// Heading in the notice.
    necessary_title,
    /// Why the strictly necessary category cannot be refused.
    necessary_text,
    /// Heading in the notice.
    list_title,
    /// Heading in the notice.
    controller_title,
    /// Label of the contact.
    contact,
    /// Text of links to the privacy policy.
    privacy_policy,
    /// Text of links to the imprint.
    imprint,
}

/// Title and description of a category.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryTexts {
    /// The title.
    pub title: String,
    /// The description, in a sentence.
    #[serde(default)]
    pub description: String,
}

/// The error pages. Each covers all errors that a visitor can react to in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorTopic {
    /// The request is invalid.
    BadRequest,
    /// The body or the header section is too large.
    TooLarge,
    /// The request is not known to come from the visitor, on a page of the site.
    Forbidden,
    /// Nothing is served at this address.
    NotFound,
    /// The site gets too many requests, from the visitor or from everybody.
    TooManyRequests,
    /// No upstream can be reached.
    Unreachable,
    /// The request or its response took too long.
    TimedOut,
    /// The visitor's choice could not be recorded.
    NotSaved,
    /// Any other failure of the site.
    Internal,
}

/// The texts of an error page.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorTexts {
    /// The heading.
    pub title: String,
    /// The cause, and advice for the visitor.
    pub text: String,
}
