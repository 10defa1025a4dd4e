//! The texts of a language: the keys that its file has.

use std::collections::BTreeMap;

/// Declares the texts once: as they are used, and as a file may have them.
macro_rules! texts {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// What the pages say in one language.
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
        pub struct Texts {
            $($(#[$about])* pub $name: String,)*
        }

        /// A file of a language: any of its texts.
        #[derive(Debug, Default, Clone, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[allow(missing_docs, reason = "as those of `Texts`")]
        pub struct LocaleFile {
            $(pub $name: Option<String>,)*
            /// The months as they stand in a date.
            pub months: Option<Vec<String>>,
            /// The categories, by name.
            pub category: BTreeMap<String, CategoryTexts>,
        }

        impl LocaleFile {
            /// Every text: from this file, else from what is below; the names of those in neither are noted.
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

            /// The texts that are there, by name.
            pub fn present(&self) -> BTreeMap<&'static str, &str> {
                let all = [$((stringify!($name), self.$name.as_deref()),)*];
                all.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
            }

        }
    };
}

/// What a language may do without.
const OPTIONAL: [&str; 2] = ["first_day", "elsewhere"];

texts! {
    /// The language's own name.
    name,
    /// A date, of `{day}`, `{month}` and `{year}`.
    date,
    /// The first day of a month, where it is written differently; else empty.
    first_day,
    /// The preference centre's heading.
    preferences_title,
    /// What the preference centre is for.
    preferences_intro,
    /// A choice has been saved.
    saved,
    /// The visitor's choice: `{date}`, `{categories}`.
    decided,
    /// That there is none, and what holds: `{categories}`.
    undecided,
    /// What Global Privacy Control takes away: `{categories}`.
    gpc,
    /// The categories that another tool of the site refuses, so that this page cannot grant them: `{categories}`.
    elsewhere,
    /// The button that allows everything.
    accept_all,
    /// The button that refuses everything.
    reject_all,
    /// The button that saves the switches.
    save,
    /// The way from the banner to the preference centre.
    choose,
    /// Beside the switch of what is strictly necessary.
    always_on,
    /// Above a list of cookies: `{count}`.
    cookie_list,
    /// In place of an empty list.
    no_cookies,
    /// Under a list that was cut: `{count}`.
    more,
    /// A column of the list.
    column_name,
    /// A column of the list.
    column_vendor,
    /// A column of the list.
    column_purpose,
    /// A column of the list.
    column_lifetime,
    /// The lifetime of a session cookie.
    session,
    /// Cookies that no rule knows.
    unclassified_title,
    /// Cookies that no rule knows.
    unclassified_text,
    /// Before the list of languages.
    language,
    /// The way back.
    back,
    /// The banner's heading.
    banner_title,
    /// What the banner asks where nothing is used without consent: `{categories}`.
    banner_text,
    /// What it asks where the categories are used until they are refused: `{categories}`.
    banner_text_optout,
    /// The notice's heading, and the way to it.
    notice_title,
    /// From when on the notice holds: `{date}`.
    effective,
    /// The dates of earlier notices: `{dates}`.
    earlier,
    /// A heading of the notice.
    what_title,
    /// What cookies are.
    what_cookies,
    /// What beacons are.
    what_beacons,
    /// What local storage is.
    what_storage,
    /// A heading of the notice.
    categories_title,
    /// A heading of the notice.
    optout_title,
    /// How to opt out on the site.
    optout_here,
    /// How to opt out in the browser.
    optout_browser,
    /// How Global Privacy Control is heeded.
    optout_gpc,
    /// A heading of the notice.
    necessary_title,
    /// Why it cannot be refused.
    necessary_text,
    /// A heading of the notice.
    list_title,
}

/// What a category is called and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryTexts {
    /// What it is called.
    pub title: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub description: String,
}
