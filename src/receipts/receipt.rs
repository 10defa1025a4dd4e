//! One receipt: the proof of one consent.

use serde::{Deserialize, Serialize};

/// The proof of one consent. No address and no browser unless the site says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// 32 hexadecimal digits at random; the consent cookie has it too.
    pub id: String,
    /// When the visitor decided, in Unix seconds; over the bridge by the visitor's clock.
    pub time: i64,
    /// When the decision reached the server, in Unix seconds; `None` in receipts of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<i64>,
    /// The site's name.
    pub site: String,
    /// The date of the notice in force then, `YYYY-MM-DD`.
    pub notice_date: Option<String>,
    /// The names of the categories granted.
    pub granted: Vec<String>,
    /// The names of the categories refused.
    pub refused: Vec<String>,
    /// The language of what the visitor saw, as a tag; none over the API.
    pub language: Option<String>,
    /// Where the decision was made.
    pub how: How,
    /// The browser sent Global Privacy Control.
    pub gpc: bool,
    /// The texts that the visitor was shown; none over the API and the bridge, and in receipts of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<ShownTexts>,
    /// The visitor's address, where the site keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The visitor's `User-Agent`, where the site keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

impl Receipt {
    /// The time that receipts are sorted and pruned by. Scripts cannot choose it.
    pub fn stored_at(&self) -> i64 {
        self.recorded_at.unwrap_or(self.time)
    }
}

/// Identifies the texts of the banner, preference centre and notice in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownTexts {
    /// The version of consentry, and with it of the markup.
    pub version: String,
    /// SHA-256 of the line that `consentry receipts texts` prints for the site and the language, in hexadecimal.
    pub sha256: String,
}

/// Where a decision was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// In the banner.
    Banner,
    /// In the preference centre.
    Centre,
    /// In a dialog of the site's own.
    Api,
    /// In the site's consent tool, which told the bridge.
    Bridge,
}

/// A random id for a receipt; `None` when the system has no randomness to give.
pub fn new_id() -> Option<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).ok()?;
    Some(hex(&random))
}

/// Bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
