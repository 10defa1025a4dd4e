//! Cookies that one response sets together, as evidence for `suggest`.
//!
//! A login response sets several cookies at once. All of them are needed, whatever their names
//! suggest.

use std::cell::OnceCell;

use http::Method;

use crate::catalogue::SessionCompanion;
use crate::catalogue::names::{Kind, name_kind};
use crate::cookie::SetCookie;

/// The `Set-Cookie` lines of one response. They are parsed only if one of the cookies is
/// unclassified.
#[derive(Debug)]
pub(super) struct SetTogether<'a> {
    lines: &'a [&'a [u8]],
    posted: bool,
    now: i64,
    sessions: OnceCell<usize>,
}

impl<'a> SetTogether<'a> {
    /// The lines of a response at `now` (Unix seconds) to a request with this method.
    pub(super) fn new(lines: &'a [&'a [u8]], method: &Method, now: i64) -> Self {
        Self { lines, posted: *method == Method::POST, now, sessions: OnceCell::new() }
    }

    /// How the response sets this cookie together with another cookie that looks like a session.
    pub(super) fn of(&self, cookie: &SetCookie<'_>) -> Option<SessionCompanion> {
        let sessions = *self.sessions.get_or_init(|| {
            let lines = self.lines.iter().map(|line| SetCookie::parse(line));
            lines.filter(|cookie| self.is_session(cookie)).count()
        });
        let others = sessions.saturating_sub(usize::from(self.is_session(cookie)));
        match others {
            0 => None,
            _ if self.posted => Some(SessionCompanion::Login),
            _ => Some(SessionCompanion::Session),
        }
    }

    fn is_session(&self, cookie: &SetCookie<'_>) -> bool {
        let scope = cookie.scope();
        let session = || {
            scope.lifetime(self.now).is_none()
                || matches!(name_kind(cookie.name), Some(Kind::Session | Kind::Login))
        };
        cookie.access().http_only && !scope.deletes(self.now) && session()
    }
}
