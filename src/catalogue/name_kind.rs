//! Kinds of cookies by name.

use crate::consent::Category;

/// The kind of a cookie by its name. If a name matches several kinds of one group, the first one in
/// this list wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A record of the visitor's cookie or privacy choice.
    ConsentRecord,
    /// Protection against cross-site request forgery.
    Csrf,
    /// A login or a login flow.
    Login,
    /// A shopping cart.
    Basket,
    /// A session.
    Session,
    /// Session affinity of a load balancer.
    Affinity,
    /// Protection against bots and abuse.
    Protection,
    /// A preference of the visitor, such as a language.
    Preference,
    /// Advertising.
    Advertising,
    /// Social networks.
    Social,
    /// Statistics and A/B tests.
    Statistics,
    /// Identifiers of visitors.
    Identifier,
}

impl Kind {
    /// The most likely category of a cookie of this kind.
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

    /// Whether a site needs such cookies for its functions: sessions, logins, carts and their
    /// protection.
    pub fn is_needed(self) -> bool {
        self != Self::ConsentRecord && self.category() == Category::NECESSARY
    }

    /// Whether the kind is tracking: advertising, social networks or statistics.
    pub fn tracks(self) -> bool {
        matches!(self, Self::Advertising | Self::Social | Self::Statistics)
    }
}
