//! Load balancing: weighted round robin, least connections and session affinity.
//!
//! Ejected and unhealthy upstreams get no requests while another upstream is available.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use http::header::SET_COOKIE;

use crate::config::settings::BalanceMethod;
use crate::cookie::{Cookies, SetCookie};
use crate::http::FieldSection;
use crate::proxy::upstream::pool::{InFlightGuard, UpstreamPool};

/// Maximum length of the schedule. Weights that need a longer one are rounded.
const LONGEST: usize = 1000;

/// The upstreams of a site and the balancing method.
#[derive(Debug)]
pub(crate) struct LoadBalancer {
    upstreams: Vec<Arc<UpstreamPool>>,
    method: BalanceMethod,
    /// The schedule: upstream indices, each as often as its weight. Empty for a single upstream.
    turns: Vec<usize>,
    turn: AtomicUsize,
    /// The name of the session affinity cookie.
    sticky: Option<String>,
}

impl LoadBalancer {
    pub(crate) fn new(
        upstreams: Vec<Arc<UpstreamPool>>,
        method: BalanceMethod,
        sticky: Option<String>,
    ) -> Self {
        let turns =
            schedule(&upstreams.iter().map(|upstream| upstream.weight()).collect::<Vec<_>>());
        let sticky = sticky.filter(|_| upstreams.len() > 1);
        Self { upstreams, method, turns, turn: AtomicUsize::new(0), sticky }
    }

    /// All upstreams.
    pub(crate) fn all(&self) -> &[Arc<UpstreamPool>] {
        &self.upstreams
    }

    /// Returns the index of the upstream for the next request. `kept` is preferred if that upstream
    /// is available.
    pub(crate) fn next(&self, kept: Option<usize>) -> usize {
        if self.turns.is_empty() {
            return 0;
        }
        let takes =
            |place: &usize| self.upstreams.get(*place).is_some_and(|upstream| !upstream.is_out());
        if let Some(kept) = kept.filter(takes) {
            return kept;
        }
        let start = self.turn.fetch_add(1, Relaxed) % self.turns.len();
        let (before, from) = self.turns.split_at_checked(start).unwrap_or((&[], &[]));
        let turns = from.iter().chain(before).copied();
        let chosen = match self.method {
            BalanceMethod::RoundRobin => turns.clone().find(takes),
            BalanceMethod::LeastConnections => turns.clone().filter(takes).min_by(|a, b| {
                let load = |place: &usize| {
                    self.upstreams.get(*place).map_or((0, 1), |it| (it.in_flight(), it.weight()))
                };
                // Compares a/x with b/y without a division.
                let ((a, x), (b, y)) = (load(a), load(b));
                (a * y).cmp(&(b * x))
            }),
        };
        chosen.or_else(|| turns.clone().next()).unwrap_or_default()
    }

    /// The upstream at this index.
    pub(crate) fn at(&self, place: usize) -> Option<&Arc<UpstreamPool>> {
        self.upstreams.get(place)
    }

    /// Returns the upstreams in the order of attempts, unavailable ones last.
    pub(crate) fn candidates(&self, first: usize) -> Vec<&Arc<UpstreamPool>> {
        let (before, from) = self.upstreams.split_at_checked(first).unwrap_or((&[], &[]));
        let mut order: Vec<_> = from.iter().chain(before).collect();
        order.sort_by_key(|upstream| upstream.is_out());
        order
    }

    /// Counts a request to an upstream, for the least-connections method only.
    pub(crate) fn count(&self, upstream: &Arc<UpstreamPool>) -> Option<InFlightGuard> {
        let counts = self.method == BalanceMethod::LeastConnections && !self.turns.is_empty();
        counts.then(|| upstream.count())
    }

    /// Returns the index of the upstream named by the request's affinity cookie.
    pub(crate) fn affinity(&self, fields: &FieldSection) -> Option<usize> {
        let name = self.sticky.as_deref()?;
        let cookies = Cookies::of(fields);
        let value = cookies.values(name.as_bytes()).next()?;
        self.upstreams.iter().position(|upstream| upstream.has_tag(value))
    }

    /// Removes the upstream's own `Set-Cookie` lines for the affinity cookie.
    pub(crate) fn remove_foreign(&self, fields: &mut FieldSection) {
        let Some(name) = self.sticky.as_deref() else { return };
        fields.remove_where(|field, line| {
            field == SET_COOKIE.as_str() && SetCookie::parse(line).is_sent_as(name.as_bytes())
        });
    }

    /// Returns the affinity cookie for the upstream, unless the request has it already.
    pub(crate) fn affinity_cookie(
        &self,
        kept: Option<usize>,
        used: &Arc<UpstreamPool>,
        secure: bool,
    ) -> Option<String> {
        let name = self.sticky.as_deref()?;
        if kept.and_then(|place| self.at(place)).is_some_and(|kept| Arc::ptr_eq(kept, used)) {
            return None;
        }
        let secure = if secure { "; Secure" } else { "" };
        Some(format!("{name}={}; Path=/; HttpOnly; SameSite=Lax{secure}", used.id()))
    }
}

/// Builds the schedule: each index as often as its weight, evenly spread.
fn schedule(weights: &[usize]) -> Vec<usize> {
    if weights.len() <= 1 {
        return Vec::new();
    }
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let mut weights: Vec<usize> = weights.iter().map(|weight| weight / divisor).collect();
    let sum: usize = weights.iter().sum();
    if sum > LONGEST {
        weights.iter_mut().for_each(|weight| *weight = (*weight * LONGEST / sum).max(1));
    }
    let mut all: Vec<(usize, usize, usize)> = Vec::new();
    for (place, weight) in weights.iter().enumerate() {
        // The n-th turn of a weight w is at (2n + 1) / 2w of the schedule.
        all.extend((0..*weight).map(|turn| ((2 * turn + 1), *weight, place)));
    }
    all.sort_by(|(a, x, place), (b, y, other)| (a * y).cmp(&(b * x)).then(place.cmp(other)));
    all.into_iter().map(|(_, _, place)| place).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::{Upstream as Address, WeightedUpstream};

    fn balance(weights: &[u32], method: BalanceMethod) -> LoadBalancer {
        let upstream = |(place, weight): (usize, &u32)| {
            let address = Address::Unix(format!("/{place}").into());
            let upstream = WeightedUpstream { address, weight: *weight };
            Arc::new(UpstreamPool::new(&upstream, vec![format!("tag{place}")], None, 1, None))
        };
        let upstreams = weights.iter().enumerate().map(upstream).collect();
        LoadBalancer::new(upstreams, method, Some("srv".to_owned()))
    }

    #[test]
    fn the_schedule_follows_weights_and_interleaves() {
        assert!(schedule(&[1]).is_empty());
        assert_eq!(schedule(&[1, 1]), [0, 1]);
        assert_eq!(schedule(&[2, 2, 2]), [0, 1, 2]);
        assert_eq!(schedule(&[3, 1]), [0, 0, 1, 0]);
        assert_eq!(schedule(&[5, 1, 1]), [0, 0, 0, 1, 2, 0, 0]);
        assert_eq!(schedule(&[1000, 1]).len(), 1000);
        assert!(schedule(&[1000, 999, 1]).contains(&2));
    }

    #[test]
    fn ejected_upstreams_are_skipped_while_another_is_available() {
        let balance = balance(&[1, 1, 1], BalanceMethod::RoundRobin);
        let next = || (0..6).map(|_| balance.next(None)).collect::<Vec<_>>();
        assert_eq!(next(), [0, 1, 2, 0, 1, 2]);
        balance.upstreams[1].standing().eject();
        assert_eq!(next(), [0, 2, 2, 0, 2, 2]);
        let order: Vec<_> =
            balance.candidates(1).iter().map(|it| it.address().to_string()).collect();
        assert_eq!(order, ["unix:/2", "unix:/0", "unix:/1"]);
        balance.upstreams[0].standing().eject();
        balance.upstreams[2].standing().eject();
        assert_eq!(next(), [0, 1, 2, 0, 1, 2], "with all out, each is tried");
    }

    #[test]
    fn the_upstream_with_the_least_weighted_load_is_chosen() {
        let balance = balance(&[2, 1], BalanceMethod::LeastConnections);
        let mut in_flight = Vec::new();
        let mut chosen = Vec::new();
        for _ in 0..6 {
            let place = balance.next(None);
            chosen.push(place);
            in_flight.extend(balance.count(&balance.upstreams[place]));
        }
        assert_eq!(chosen.iter().filter(|place| **place == 0).count(), 4, "{chosen:?}");
        drop(in_flight);
        assert_eq!(balance.upstreams[0].in_flight(), 0);
    }

    #[test]
    fn session_affinity_lasts_until_the_upstream_is_ejected() {
        let balance = balance(&[1, 1], BalanceMethod::RoundRobin);
        let cookie = balance.affinity_cookie(None, &balance.upstreams[1], true).expect("a cookie");
        let line = cookie.as_str();
        assert!(line.starts_with("srv=") && line.ends_with("HttpOnly; SameSite=Lax; Secure"));
        let pair = line.split(';').next().expect("a pair");
        let sent = |cookies: &str| FieldSection::from_lines(&[("cookie", cookies)]);
        let kept = balance.affinity(&sent(&format!("a=b; {pair}")));
        assert_eq!(kept, Some(1));
        assert!((0..4).all(|_| balance.next(kept) == 1));
        assert!(balance.affinity_cookie(kept, &balance.upstreams[1], true).is_none());
        balance.upstreams[1].standing().eject();
        assert_eq!(balance.next(kept), 0);
        assert!(balance.affinity_cookie(kept, &balance.upstreams[0], false).is_some());
        assert_eq!(balance.affinity(&sent("srv=forged")), None);
    }
}
