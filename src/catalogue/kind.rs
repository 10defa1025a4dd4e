//! What a cookie's name can speak of.

use crate::consent::Category;

/// What a name speaks of. Of several kinds of a sort, a name is of the one listed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A record of the visitor's choice about cookies or privacy.
    ConsentRecord,
    /// Protection against cross-site request forgery.
    Csrf,
    /// A login, or the way to one.
    Login,
    /// A shopping basket.
    Basket,
    /// A session.
    Session,
    /// Session affinity of a load balancer.
    Affinity,
    /// Protection against bots and abuse.
    Protection,
    /// A choice of the visitor, such as a language.
    Preference,
    /// Advertising.
    Advertising,
    /// Social networks.
    Social,
    /// Statistics and tests.
    Statistics,
    /// Telling visitors apart.
    Identifier,
}

impl Kind {
    /// The category that a cookie of this kind most likely has.
    pub fn category(self) -> Category {
        match self {
            Self::ConsentRecord
            | Self::Csrf
            | Self::Login
            | Self::Basket
            | Self::Session
            | Self::Affinity
            | Self::Protection => Category::NECESSARY,
            Self::Preference => Category::FUNCTIONAL,
            Self::Advertising => Category::TARGETING,
            Self::Social => Category::SOCIAL,
            Self::Statistics | Self::Identifier => Category::ANALYTICS,
        }
    }

    /// Whether a site needs such cookies to do what the visitor asks for: sessions, logins, baskets and their protection.
    pub fn is_needed(self) -> bool {
        self != Self::ConsentRecord && self.category() == Category::NECESSARY
    }

    /// Whether the kind is tracking: advertising, social networks or statistics.
    pub fn tracks(self) -> bool {
        matches!(self, Self::Advertising | Self::Social | Self::Statistics)
    }
}
