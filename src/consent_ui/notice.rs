//! The notice: explains cookies and other technologies, lists those of the site by category, describes
//! opt-out, and shows the effective date and the controller.

use askama::Template;
use bytes::Bytes;
use http::header::HeaderMap;
use http::{Response, Uri};

use super::claims::honoured_signals;
use super::context::SiteContext;
use super::error::ConsentUiError;
use super::item_list::List;
use super::layout::Layout;
use super::preferences::{CategoryRow, categories};
use super::request_info::RequestInfo;
use crate::consent::{CategorySet, Signals};
use crate::locale::fill;

/// Maximum number of items in a list.
const MOST_LISTED: usize = 200;

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    page: Layout<'a>,
    effective: Option<String>,
    earlier: Option<String>,
    categories: Vec<CategoryRow>,
    unclassified: Vec<List>,
    /// The visitor's signals that are honoured, in sentences.
    signals: Vec<String>,
}

/// Renders the page.
pub(super) fn page(
    site: &SiteContext,
    uri: &Uri,
    headers: &HeaderMap,
    info: RequestInfo,
) -> Result<Response<Bytes>, ConsentUiError> {
    let frame = Layout::new(site, "notice", uri, headers, info)?;
    let locale = frame.locale;
    let dates: Vec<String> =
        site.settings.earlier_notices.iter().map(|date| locale.date(*date)).collect();
    let effective = (site.settings.notice_date)
        .map(|date| fill(&locale.texts.effective, &[("date", &locale.date(date))]).into_owned());
    let earlier = (!dates.is_empty())
        .then(|| fill(&locale.texts.earlier, &[("dates", &dates.join("; "))]).into_owned());
    let (categories, unclassified) = categories(site, locale, CategorySet::NECESSARY, MOST_LISTED);
    let notice = Notice {
        effective,
        earlier,
        categories,
        unclassified,
        signals: honoured_signals(site, locale, Signals::of(headers)),
        page: frame,
    };
    notice.page.respond(&notice)
}
