//! The notice: explains cookies, lists the categories, describes opt-out, and shows the effective
//! date.

use askama::Template;
use bytes::Bytes;
use http::header::HeaderMap;
use http::{Response, Uri};

use super::context::SiteContext;
use super::cookie_list::List;
use super::error::ConsentUiError;
use super::layout::Layout;
use super::preferences::{CategoryRow, categories};
use crate::consent::CategorySet;
use crate::locale::fill;

/// Maximum number of cookies to list per category.
const MOST_LISTED: usize = 200;

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    page: Layout<'a>,
    effective: Option<String>,
    earlier: Option<String>,
    categories: Vec<CategoryRow>,
    unclassified: List,
    /// Global Privacy Control is honoured.
    gpc: bool,
}

/// Renders the page.
pub(super) fn page(
    site: &SiteContext,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response<Bytes>, ConsentUiError> {
    let frame = Layout::new(&site.settings.prefix, "notice", &site.settings.locales, uri, headers)?;
    let (reader, locale) = (site.reader(), frame.locale);
    let dates: Vec<String> =
        site.settings.earlier_notices.iter().map(|date| locale.date(*date)).collect();
    let effective = reader
        .notice_date
        .map(|date| fill(&locale.texts.effective, &[("date", &locale.date(date))]).into_owned());
    let earlier = (!dates.is_empty())
        .then(|| fill(&locale.texts.earlier, &[("dates", &dates.join("; "))]).into_owned());
    let (categories, unclassified) = categories(site, locale, CategorySet::NECESSARY, MOST_LISTED);
    let notice = Notice {
        effective,
        earlier,
        categories,
        unclassified,
        gpc: reader.signals.gpc_denies != CategorySet::EMPTY,
        page: frame,
    };
    notice.page.respond(&notice)
}
