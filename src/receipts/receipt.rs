//! A consent receipt.

use serde::{Deserialize, Serialize};

/// The proof of one decision. Contains no address and no `User-Agent` unless the site enables them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// 32 random hexadecimal digits, which the consent cookie also contains.
    pub id: String,
    /// The time of the decision, in Unix seconds. Over the bridge it comes from the visitor's clock.
    pub time: i64,
    /// The time when the decision reached the server, in Unix seconds. `None` in receipts of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<i64>,
    /// The site's name.
    pub site: String,
    /// The date of the notice at that time, `YYYY-MM-DD`.
    pub notice_date: Option<String>,
    /// The names of the granted categories.
    pub granted: Vec<String>,
    /// The names of the refused categories.
    pub refused: Vec<String>,
    /// The language tag of the texts that the visitor saw. `None` over the API.
    pub language: Option<String>,
    /// How the decision was made.
    pub how: DecisionChannel,
    /// Whether the browser sent Global Privacy Control.
    pub gpc: bool,
    /// The texts shown to the visitor. `None` over the API and the bridge, and in receipts of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<ShownTexts>,
    /// The visitor's address, if the site records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The visitor's `User-Agent`, if the site records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

impl Receipt {
    /// The time used for sorting and pruning. Scripts cannot choose it.
    pub fn stored_at(&self) -> i64 {
        self.recorded_at.unwrap_or(self.time)
    }
}

/// Identifies the texts of the banner, preference centre and notice in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownTexts {
    /// The version of consentry, which also identifies the markup.
    pub version: String,
    /// SHA-256, in hexadecimal, of the line that `consentry receipts texts` prints for the site and the language.
    pub sha256: String,
}

/// How a decision was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecisionChannel {
    /// In the banner.
    Banner,
    /// In the preference centre.
    Centre,
    /// In the site's own dialog, over the API.
    Api,
    /// In the site's consent tool, over the bridge.
    Bridge,
}

/// Generates a random receipt id. `None` if the system provides no randomness.
pub(crate) fn new_id() -> Option<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).ok()?;
    Some(hex(&random))
}

/// Formats bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
