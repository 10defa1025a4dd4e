//! What is put into the HTML, as it streams by: the banner at the beginning of `body`, the guard at the
//! beginning of `head`, and foreign tags without consent made inert.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use lol_html::html_content::ContentType;
use lol_html::send::{ElementContentHandlers, Settings};
use lol_html::{DocumentContentHandlers, HtmlRewriter, MemorySettings, Selector};
use memchr::memmem::Finder;

use super::inert;
use super::known::KnownBodies;
use crate::consent::CategorySet;
use crate::filter::Filter;

/// The most memory that the parser takes for one page, in octets.
const MEMORY: usize = 32 * 1024;

/// What is put into one page.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) banner: Option<String>,
    pub(super) guard: Option<Guard>,
    /// Beginnings of the site's pages.
    pub(super) known: Arc<KnownBodies>,
}

/// The guard of one page.
#[derive(Debug)]
pub(super) struct Guard {
    /// The script's tag; none where the page's policy does not let it run.
    pub(super) tag: Option<String>,
    pub(super) granted: CategorySet,
    /// The page's own host, without port, in lower case.
    pub(super) host: String,
    pub(super) filter: Arc<Filter>,
}

type Out = Arc<Mutex<Vec<u8>>>;
type Sink = Box<dyn FnMut(&[u8]) + Send>;
type Rewriter = HtmlRewriter<'static, Sink, lol_html::send::SendHandlerTypes>;

/// Puts things into a page.
pub(super) struct Insertion {
    /// What is put in, before the first octets have come.
    plan: Option<Plan>,
    rewriter: Option<Rewriter>,
    known: Arc<KnownBodies>,
    out: Out,
    /// The banner is in its place.
    placed: Arc<AtomicBool>,
    /// Nothing but the banner is to be put in.
    only_banner: bool,
    banner: bool,
    failed: bool,
}

static BODY: LazyLock<Option<Selector>> = LazyLock::new(|| "body".parse().ok());
static TAGS: LazyLock<Option<Selector>> =
    LazyLock::new(|| "head, body, script, img, iframe, link".parse().ok());

static LOWER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("<body"));
static UPPER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("<BODY"));

impl Insertion {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            known: Arc::clone(&plan.known),
            only_banner: plan.guard.is_none(),
            banner: plan.banner.is_some(),
            plan: Some(plan),
            rewriter: None,
            out: Out::default(),
            placed: Arc::default(),
            failed: false,
        }
    }

    /// Begins to parse the page.
    fn start(&mut self, Plan { banner, guard, .. }: Plan) {
        let mut settings = Settings::new_send().with_strict(false).with_memory_settings(
            MemorySettings::new()
                .with_preallocated_parsing_buffer_size(256)
                .with_max_allowed_memory_usage(MEMORY)
                .with_graceful_bail_out_on_memory_limit_exceeded(true),
        );
        if let Some(guard) = guard
            && let Some(tags) = TAGS.as_ref()
        {
            let mut tag = guard.tag.clone();
            let handlers = ElementContentHandlers::default().element(
                move |element: &mut lol_html::send::Element<'_, '_>| {
                    if let Some(tag) = tag.take() {
                        match element.tag_name().as_str() {
                            "head" => element.prepend(&tag, ContentType::Html),
                            _ => element.before(&tag, ContentType::Html),
                        }
                    }
                    inert::disarm(element, &guard.filter, guard.granted, &guard.host);
                    Ok(())
                },
            );
            settings = settings.append_element_content_handler((Cow::Borrowed(tags), handlers));
        }
        if let Some(banner) = banner
            && let Some(body) = BODY.as_ref()
        {
            let (at_body, at_end) = (Arc::clone(&self.placed), Arc::clone(&self.placed));
            let banner: Arc<str> = banner.into();
            let late = Arc::clone(&banner);
            let handlers = ElementContentHandlers::default().element(
                move |element: &mut lol_html::send::Element<'_, '_>| {
                    if !at_body.swap(true, Relaxed) {
                        element.prepend(&banner, ContentType::Html);
                    }
                    Ok(())
                },
            );
            settings = settings.append_element_content_handler((Cow::Borrowed(body), handlers));
            // A page may leave out the tag of its body.
            settings =
                settings.append_document_content_handler(DocumentContentHandlers::default().end(
                    move |end: &mut lol_html::html_content::DocumentEnd<'_>| {
                        if !at_end.swap(true, Relaxed) {
                            end.append(&late, ContentType::Html);
                        }
                        Ok(())
                    },
                ));
        }
        let sink: Sink = {
            let out = Arc::clone(&self.out);
            Box::new(move |chunk: &[u8]| locked(&out).extend_from_slice(chunk))
        };
        self.rewriter = Some(HtmlRewriter::new(settings, sink));
    }

    /// Whether the rest of the page passes as it is.
    pub(super) fn is_over(&self) -> bool {
        self.rewriter.is_none() && self.plan.is_none()
    }

    /// Whether the page could not be changed, or not to its end.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether the banner is in the page.
    pub(super) fn has_banner(&self) -> bool {
        self.banner && self.placed.load(Relaxed)
    }

    /// Takes octets of the page in, and puts out what is ready. Returns how many were taken: fewer than all
    /// when the rest passes as it is.
    pub(super) fn push(&mut self, html: &[u8], out: &mut Vec<u8>) -> usize {
        if let Some(mut plan) = self.plan.take_if(|_| !html.is_empty()) {
            if html.starts_with(&[0xfe, 0xff]) || html.starts_with(&[0xff, 0xfe]) {
                // UTF-16, whatever the head says (Encoding section 6).
                self.failed = true;
                return 0;
            }
            let beginning = to_body(html);
            if self.only_banner && self.known.contains(beginning) {
                self.placed.store(true, Relaxed);
                let banner = plan.banner.take().unwrap_or_default();
                out.reserve(beginning.len() + banner.len());
                out.extend_from_slice(beginning);
                out.extend_from_slice(banner.as_bytes());
                return beginning.len();
            }
            self.start(plan);
            let taken = self.parse(html);
            if self.only_banner && self.has_banner() && taken == beginning.len() {
                self.known.insert(beginning);
            }
            out.append(&mut locked(&self.out));
            return taken;
        }
        let taken = self.parse(html);
        out.append(&mut locked(&self.out));
        taken
    }

    fn parse(&mut self, html: &[u8]) -> usize {
        let mut taken = 0;
        while let (Some(rewriter), Some(rest)) = (&mut self.rewriter, html.get(taken..)) {
            if rest.is_empty() {
                break;
            }
            // Behind the banner nothing need be parsed: a step ends where its place may be.
            let step = if self.only_banner { to_body(rest) } else { rest };
            taken += step.len();
            if rewriter.write(step).is_err() {
                // What was held back was let out as it is.
                self.give_up();
            } else if self.only_banner && self.placed.load(Relaxed) {
                self.end_parsing();
            }
        }
        taken
    }

    /// The page is over.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(plan) = self.plan.take() {
            self.start(plan);
        }
        self.end_parsing();
        out.append(&mut locked(&self.out));
    }

    fn end_parsing(&mut self) {
        if let Some(rewriter) = self.rewriter.take()
            && rewriter.end().is_err()
        {
            self.failed = true;
        }
    }

    fn give_up(&mut self) {
        self.rewriter = None;
        self.failed = true;
    }
}

/// The beginning of the HTML up to the end of what may be the tag of its body; all of it, where none is seen.
fn to_body(html: &[u8]) -> &[u8] {
    let found = LOWER.find(html).or_else(|| UPPER.find(html));
    let end = found.and_then(|start| Some(start + memchr::memchr(b'>', html.get(start..)?)? + 1));
    end.and_then(|end| html.get(..end)).unwrap_or(html)
}

fn locked(out: &Out) -> MutexGuard<'_, Vec<u8>> {
    out.lock().unwrap_or_else(PoisonError::into_inner)
}
