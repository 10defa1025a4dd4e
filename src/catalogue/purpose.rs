//! Purposes of cookies: a closed set of kinds, which locale files translate once, and free texts.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Declares the kinds with their names in catalogue and locale files.
macro_rules! kinds {
    ($($(#[$about:meta])* $kind:ident $name:literal,)*) => {
        /// The kind of purpose of a cookie.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
        pub enum PurposeKind {
            $($(#[$about])* #[serde(rename = $name)] $kind,)*
        }

        impl PurposeKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The name in catalogue and locale files.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// Session.
    Session "session",
    /// Login.
    SignIn "sign_in",
    /// State between the steps of a login.
    SignInFlow "sign_in_flow",
    /// Protection against cross-site request forgery.
    Csrf "csrf",
    /// Protection against attacks and fraud.
    Security "security",
    /// Bot detection.
    Bots "bots",
    /// Session affinity of a load balancer.
    LoadBalancing "load_balancing",
    /// Selection of a cached variant.
    Caching "caching",
    /// Shopping basket.
    Basket "basket",
    /// Payment.
    Payment "payment",
    /// Privacy choices.
    Consent "consent",
    /// Message between two pages.
    Message "message",
    /// Position in a waiting room.
    Queue "queue",
    /// Unlocked page, for example after an age check.
    Access "access",
    /// Test of browser features.
    Test "test",
    /// Editing and administration of the site.
    Administration "administration",
    /// Language, region or currency.
    Language "language",
    /// Settings.
    Settings "settings",
    /// Appearance.
    Display "display",
    /// Prefilled forms.
    Form "form",
    /// Items viewed, searched for or saved.
    Recent "recent",
    /// Chat.
    Chat "chat",
    /// Video and audio.
    Media "media",
    /// Closed messages.
    Dismissed "dismissed",
    /// Page to return to.
    Navigation "navigation",
    /// Push messages and subscriptions.
    Notifications "notifications",
    /// Statistics by visitor.
    Statistics "statistics",
    /// Visits and page views.
    Visit "visit",
    /// Origin of a visit.
    Referrer "referrer",
    /// A/B test.
    Experiment "experiment",
    /// Session replay.
    Recording "recording",
    /// Speed and errors.
    Performance "performance",
    /// Surveys and forms.
    Survey "survey",
    /// Advertising.
    Advertising "advertising",
    /// Effect of advertising.
    AdMeasurement "ad_measurement",
    /// Frequency cap of advertisements.
    Frequency "frequency",
    /// Exchange of identifiers.
    IdSync "id_sync",
    /// Interest profile.
    Profile "profile",
    /// Referring partners.
    Affiliate "affiliate",
    /// Marketing contacts.
    Marketing "marketing",
    /// Recommendations.
    Personalisation "personalisation",
    /// Account at a social network.
    SocialNetwork "social_network",
    /// Share buttons.
    Sharing "sharing",
    /// Content of another provider.
    Embedded "embedded",
    /// Account at the provider.
    VendorAccount "vendor_account",
}

/// A purpose in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// One text for all languages.
    Text(Arc<str>),
    /// A text per language tag, in lower case.
    ByLanguage(Arc<BTreeMap<String, String>>),
}

impl Purpose {
    /// The text for a language tag: that of the language, else of its primary language, else English, else the first.
    pub fn text(&self, tag: &str) -> &str {
        let texts = match self {
            Self::Text(text) => return text,
            Self::ByLanguage(texts) => texts,
        };
        let tag = tag.to_ascii_lowercase();
        let primary = tag.split('-').next().unwrap_or_default();
        let found = [tag.as_str(), primary, "en"].iter().find_map(|tag| texts.get(*tag));
        found.or_else(|| texts.values().next()).map(String::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fall_back_to_the_primary_language_then_to_english() {
        let texts = [("de", "D"), ("pt-br", "B"), ("en", "E")];
        let texts = texts.map(|(tag, text)| (tag.to_owned(), text.to_owned()));
        let purpose = Purpose::ByLanguage(Arc::new(BTreeMap::from(texts)));
        for (tag, text) in [("de", "D"), ("de-AT", "D"), ("pt-BR", "B"), ("ja", "E")] {
            assert_eq!(purpose.text(tag), text, "{tag}");
        }
        let only = Purpose::ByLanguage(Arc::new(BTreeMap::from([("fr".into(), "F".into())])));
        assert_eq!(only.text("ja"), "F");
        assert_eq!(Purpose::Text("T".into()).text("ja"), "T");
    }

    #[test]
    fn kinds_are_parsed_by_name() {
        for kind in PurposeKind::ALL {
            let read = serde_json::from_value(kind.name().into());
            assert_eq!(read.ok(), Some(*kind), "{}", kind.name());
        }
    }
}
