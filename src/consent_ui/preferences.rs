//! The preference centre: shows the visitor's consent, with a form to change it. No scripts.

use askama::Template;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, LOCATION};
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;
use time::OffsetDateTime;
use tower::BoxError;

use super::activation::is_activated;
use super::claims::{has_just_saved, honoured_signals};
use super::context::SiteContext;
use super::csrf::Sender;
use super::error::{ConsentUiError, Rejection};
use super::form_token::{form_token, is_form_token};
use super::item_list::{List, Lists};
use super::layout::{Layout, in_language, queried, query};
use super::posted_body::{FormBody, allowed, posted_form};
use super::record_decision::{PostedDecision, decide};
use super::request_info::RequestInfo;
use super::responses::empty;
use super::return_to::{back, is_local_path};
use crate::consent::{Category, CategorySet, Reason, Signals};
use crate::locale::{Locale, fill};
use crate::receipts::DecisionChannel;

/// Maximum number of cookies to list per category, to keep the page small.
const MOST_LISTED: usize = 12;

/// The query parameter of the page that asks for a choice again.
const REPEAT: &str = "repeat";

#[derive(Template)]
#[template(path = "preferences.html")]
struct Preferences<'a> {
    page: Layout<'a>,
    saved: bool,
    /// The visitor must repeat a choice, because the browser did not report where it was made.
    repeat: bool,
    /// The token of the forms.
    token: Option<String>,
    /// Identifies the texts in the receipt.
    texts_version: Option<String>,
    state: String,
    /// The visitor's signals that are honoured, in sentences.
    signals: Vec<String>,
    /// The categories that cannot be granted here, as a sentence.
    elsewhere: Option<String>,
    categories: Vec<CategoryRow>,
    unclassified: Vec<List>,
    /// Choices made here are effective.
    writable: bool,
    /// A choice made here can grant something.
    grants: bool,
}

/// A category as displayed.
pub(super) struct CategoryRow {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) granted: bool,
    /// It cannot be refused.
    pub(super) fixed: bool,
    /// It cannot be granted here: another tool or a signal of the browser denies it.
    pub(super) denied: bool,
    /// The lists of its items, the cookie list first.
    pub(super) lists: Vec<List>,
}

/// The site's categories in a language with their items, and the list of unclassified cookies.
pub(super) fn categories(
    site: &SiteContext,
    locale: &Locale,
    granted: CategorySet,
    most: usize,
) -> (Vec<CategoryRow>, Vec<List>) {
    let mut lists = Lists::new(&site.filter, &site.reader().categories, locale, most);
    let shown = site.reader().categories.iter().map(|(category, name)| {
        let texts = locale.category(name);
        CategoryRow {
            name: name.to_owned(),
            title: texts.title.clone(),
            description: texts.description.clone(),
            granted: granted.contains(category),
            fixed: category == Category::NECESSARY,
            denied: false,
            lists: lists.of_category(Some(category)),
        }
    });
    let shown = shown.collect();
    (shown, lists.of_category(None))
}

/// Renders the page.
pub(super) fn page(
    site: &SiteContext,
    uri: &Uri,
    headers: &HeaderMap,
    info: RequestInfo,
) -> Result<Response<Bytes>, ConsentUiError> {
    let frame = Layout::new(site, "", uri, headers, info)?;
    let (reader, locale) = (site.reader(), frame.locale);
    let signals = Signals::of(headers);
    let consent = site.consent(headers, info.trusted, info.now);
    let granted = locale.list(reader.categories.names_of(consent.granted));
    // A decision that ended is still the visitor's decision.
    let has_decided = matches!(
        consent.reason,
        Reason::Decided | Reason::AskAgain | Reason::Expired | Reason::OldNotice
    );
    let date = consent.decided_at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let state = match date {
        Some(at) if has_decided => {
            let date = locale.date(at.date());
            fill(&locale.texts.decided, &[("date", &date), ("categories", &granted)])
        }
        _ if has_decided => fill(&locale.texts.decided_undated, &[("categories", &granted)]),
        _ => fill(&locale.texts.undecided, &[("categories", &granted)]),
    };
    let denied = reader.signals.denied_by(signals);
    let writable = reader.reads_own_cookie();
    let all = reader.categories.all();
    let grantable = if writable { site.grantable(headers, info) } else { all };
    let refused = all.difference(grantable);
    let not_grantable = reader.categories.names_of(refused.union(denied));
    let (mut categories, unclassified) = categories(site, locale, consent.granted, MOST_LISTED);
    for category in &mut categories {
        category.denied = not_grantable.contains(&category.name.as_str());
    }
    let elsewhere = reader.categories.names_of(refused);
    let elsewhere = (!elsewhere.is_empty() && !locale.texts.elsewhere.is_empty()).then(|| {
        let names = locale.list(elsewhere);
        fill(&locale.texts.elsewhere, &[("categories", &names)]).into_owned()
    });
    let preferences = Preferences {
        saved: queried(uri, "saved").is_some() && has_just_saved(reader, headers, info.now),
        repeat: queried(uri, REPEAT).is_some() && !locale.texts.repeat.is_empty(),
        token: form_token(site, headers, info),
        texts_version: site.texts.field(&locale.tag),
        state: state.into_owned(),
        signals: honoured_signals(site, locale, signals),
        elsewhere,
        categories,
        unclassified,
        writable,
        grants: writable && grantable.difference(denied) != CategorySet::NECESSARY,
        page: frame,
    };
    preferences.page.respond(&preferences)
}

/// Records the posted choice and redirects to the return path.
pub(super) async fn post<B>(
    site: &SiteContext,
    request: Request<B>,
    info: RequestInfo,
) -> Result<Response<Bytes>, Rejection>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let (headers, form, sender) = posted_form(site.reader(), request).await?;
    let is_ours = |token: &str| is_form_token(token, site, &headers, info);
    if sender == Sender::Unknown && !form.token.as_deref().is_some_and(is_ours) {
        return repeat(site, &headers, &form).map_err(Rejection::from);
    }
    let recorded = record(site, &headers, &form, info).await;
    recorded.map_err(|error| {
        let back = page_with_form(site, &headers, &form);
        Rejection { error, lang: form.lang, back }
    })
}

/// Redirects to the preference centre, whose forms have a token. Nothing is recorded.
fn repeat(
    site: &SiteContext,
    headers: &HeaderMap,
    form: &FormBody,
) -> Result<Response<Bytes>, ConsentUiError> {
    let prefix = &site.settings.prefix;
    let locale = in_language(&site.settings.locales, form.lang.as_deref(), headers)?;
    let back = return_path(form, headers, prefix)?;
    see_other(format!("{prefix}?{REPEAT}=1&{}", query(&locale.tag, back)))
}

/// The path to return to after the choice.
fn return_path<'a>(
    form: &'a FormBody,
    headers: &'a HeaderMap,
    prefix: &str,
) -> Result<Option<&'a str>, ConsentUiError> {
    let named = match form.return_to.as_deref() {
        Some(back) => Some(is_local_path(back).ok_or(ConsentUiError::ReturnTo)?),
        None => None,
    };
    Ok(match form.banner {
        // The banner of a compressed page contains no return path, and some pages send no referrer.
        true => back(named, headers, prefix).or(Some("/")),
        false => named,
    })
}

fn see_other(location: String) -> Result<Response<Bytes>, ConsentUiError> {
    let mut response = empty(StatusCode::SEE_OTHER);
    let location = HeaderValue::try_from(location).map_err(|_| ConsentUiError::ReturnTo)?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// Path and query of the page with the form. `None` if the form's language is unknown.
fn page_with_form(site: &SiteContext, headers: &HeaderMap, form: &FormBody) -> Option<String> {
    let prefix = &site.settings.prefix;
    let named = form.return_to.as_deref().and_then(is_local_path);
    if form.banner {
        return Some(back(named, headers, prefix).unwrap_or("/").to_owned());
    }
    let locale = in_language(&site.settings.locales, form.lang.as_deref(), headers).ok()?;
    Some(format!("{prefix}?{}", query(&locale.tag, named)))
}

async fn record(
    site: &SiteContext,
    headers: &HeaderMap,
    form: &FormBody,
    info: RequestInfo,
) -> Result<Response<Bytes>, ConsentUiError> {
    let granted = granted(site, form)?;
    // A refusal needs no user activation, because browser extensions refuse automatically. Forging
    // one gains nothing.
    if granted != CategorySet::NECESSARY && !is_activated(headers) {
        return Err(ConsentUiError::NotActivated);
    }
    let back = return_path(form, headers, &site.settings.prefix)?;
    let locale = in_language(&site.settings.locales, form.lang.as_deref(), headers)?;
    let how = if form.banner { DecisionChannel::Banner } else { DecisionChannel::Centre };
    let language = Some(locale.tag.as_str());
    let texts = site.texts.of_form(&locale.tag, form.texts.as_deref());
    let decision = PostedDecision { granted, decided_at: info.now, how, language, texts };
    let recorded = decide(site, headers, decision, info).await?;
    let location = match back {
        Some(back) => back.to_owned(),
        None => format!("{}?saved=1&lang={}", site.settings.prefix, locale.tag),
    };
    let mut response = see_other(location)?;
    recorded.add_to(response.headers_mut());
    Ok(response)
}

fn granted(site: &SiteContext, form: &FormBody) -> Result<CategorySet, ConsentUiError> {
    let reader = site.reader();
    match form.choice.as_deref() {
        Some("accept") => Ok(reader.categories.all()),
        Some("reject") => Ok(CategorySet::NECESSARY),
        Some("save") => allowed(reader, &form.allow),
        _ => Err(ConsentUiError::NotAForm),
    }
}
