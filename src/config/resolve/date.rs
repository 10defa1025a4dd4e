//! Calendar dates.

use time::Date;

use super::defaults::Ctx;
use crate::config::document::span;
use crate::config::spanned::Spanned;
use crate::http::parse_date;

/// A date without a time. Any other value is reported.
pub(super) fn calendar_date(
    document: Ctx,
    key: String,
    at: &Spanned<toml::value::Datetime>,
) -> Option<Date> {
    let date = parse_date(&at.get_ref().to_string());
    if date.is_none() {
        let hint = Some("such as 2018-05-25, without quotes or time".to_owned());
        document.problem(Some(span(at)), key, "is not a date".to_owned(), hint);
    }
    date
}
