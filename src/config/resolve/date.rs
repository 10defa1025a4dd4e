//! Calendar dates.

use time::{Date, Month};

use super::defaults::Ctx;
use crate::config::document::span;
use crate::config::spanned::Spanned;

/// A date without a time. Any other value is reported.
pub(super) fn calendar_date(
    document: Ctx,
    key: String,
    at: &Spanned<toml::value::Datetime>,
) -> Option<Date> {
    let date = at.get_ref().date.and_then(|date| {
        let month = Month::try_from(date.month).ok()?;
        Date::from_calendar_date(i32::from(date.year), month, date.day).ok()
    });
    if date.is_none() || at.get_ref().time.is_some() {
        let hint = Some("such as 2018-05-25, without quotes or time".to_owned());
        document.problem(Some(span(at)), key, "is not a date".to_owned(), hint);
    }
    date
}
