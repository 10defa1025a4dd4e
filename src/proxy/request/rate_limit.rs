//! Rate limit per client address, and concurrency limit with a queue.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::settings::SiteLimits;
use crate::proxy::request::error::ProxyError;

/// Permit for one in-flight request, released on drop.
pub(crate) type RequestPermit = OwnedSemaphorePermit;

/// The request limits of a site and their current use.
pub(crate) struct RateLimiter {
    limits: SiteLimits,
    places: Option<Arc<Semaphore>>,
    waiting: AtomicUsize,
    clients: Option<DefaultKeyedRateLimiter<IpAddr>>,
}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Counts one queued request until it is dropped.
struct QueueSlot<'a>(&'a AtomicUsize);

impl Drop for QueueSlot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl RateLimiter {
    /// Creates a limiter; `None` if neither limit is configured.
    pub(crate) fn new(limits: SiteLimits) -> Option<Arc<Self>> {
        let places = limits.concurrent_requests.map(|places| Arc::new(Semaphore::new(places)));
        let rate = limits.requests_per_second;
        let clients = rate.map(|rate| {
            DefaultKeyedRateLimiter::keyed(Quota::per_second(rate).allow_burst(limits.burst))
        });
        if places.is_none() && clients.is_none() {
            return None;
        }
        Some(Arc::new(Self { limits, places, waiting: AtomicUsize::new(0), clients }))
    }

    /// The configured limits.
    pub(crate) fn limits(&self) -> &SiteLimits {
        &self.limits
    }

    /// Admits a client's request, queues it until a permit is free, or rejects it.
    pub(crate) async fn admit(&self, address: IpAddr) -> Result<Option<RequestPermit>, ProxyError> {
        if let Some(clients) = &self.clients
            && let Err(not_until) = clients.check_key(&client(address))
        {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            return Err(ProxyError::TooManyRequests(wait));
        }
        let Some(places) = &self.places else { return Ok(None) };
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Ok(Some(place));
        }
        let waiting = self.waiting.fetch_add(1, Relaxed);
        let _waiting = QueueSlot(&self.waiting);
        if waiting >= self.limits.queue {
            return Err(ProxyError::Overloaded);
        }
        let place = Arc::clone(places).acquire_owned();
        match tokio::time::timeout(self.limits.queue_timeout, place).await {
            Ok(Ok(place)) => Ok(Some(place)),
            _ => Err(ProxyError::Overloaded),
        }
    }

    /// Drops the state of addresses whose burst is fully replenished.
    pub(crate) fn sweep(&self) {
        if let Some(clients) = &self.clients {
            clients.retain_recent();
            clients.shrink_to_fit();
        }
    }
}

/// The rate limit key: an IPv4 address or an IPv6 /64, the prefix of one household.
fn client(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    let bits = if address.is_ipv4() { 32 } else { 64 };
    IpNet::new(address, bits).map_or(address, |net| net.network())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::num::NonZeroU32;
    use std::time::Duration;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn limits() -> SiteLimits {
        SiteLimits {
            body_bytes: None,
            concurrent_requests: None,
            queue: 0,
            queue_timeout: Duration::from_secs(3600),
            requests_per_second: None,
            burst: NonZeroU32::MIN,
        }
    }

    /// Admits a burst, and then one request an hour.
    fn hourly(burst: u32) -> RateLimiter {
        let quota = Quota::with_period(Duration::from_secs(3600)).expect("not zero");
        let quota = quota.allow_burst(NonZeroU32::new(burst).expect("not zero"));
        let clients = Some(DefaultKeyedRateLimiter::keyed(quota));
        RateLimiter { limits: limits(), places: None, waiting: AtomicUsize::new(0), clients }
    }

    #[test]
    fn without_limits_there_is_no_rate_limiter() {
        assert!(RateLimiter::new(limits()).is_none());
    }

    #[test]
    fn a_burst_passes_then_only_that_address_is_limited() {
        let admission = hourly(3);
        let admit = |address: &str| {
            let address = address.parse().expect("an address");
            admission.admit(address).now_or_never().expect("nothing is waited for").is_ok()
        };
        assert!((0..3).all(|_| admit("192.0.2.1")));
        assert!(!admit("192.0.2.1"));
        assert!(admit("192.0.2.2"));
        assert!((0..3).all(|last| admit(&format!("2001:db8::{last}"))));
        assert!(!admit("2001:db8::ffff:1"), "a /64 is one visitor");
        assert!(admit("2001:db8:0:1::1"));
        assert!(!admit("::ffff:192.0.2.1"), "the same address as 192.0.2.1");
        assert!(admit("::ffff:192.0.2.3"), "mapped addresses do not share one /64");
    }

    #[test]
    fn requests_over_the_limit_queue_then_get_503() {
        let limits = SiteLimits { concurrent_requests: Some(1), queue: 1, ..limits() };
        let admission = RateLimiter::new(limits).expect("limits");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let first = admission.admit(ADDRESS).await.expect("a place");
            let mut second = Box::pin(admission.admit(ADDRESS));
            assert!(second.as_mut().now_or_never().is_none(), "it waits");
            let third = admission.admit(ADDRESS).now_or_never();
            assert!(matches!(third, Some(Err(ProxyError::Overloaded))), "refused at once");
            drop(first);
            let second = second.await.expect("a place");
            assert!(admission.admit(ADDRESS).now_or_never().is_none());
            drop(second);
            assert!(admission.admit(ADDRESS).await.is_ok());
        });
    }

    #[test]
    fn addresses_with_a_full_burst_are_evicted() {
        let rate = NonZeroU32::new(10_000_000);
        let limits = SiteLimits { requests_per_second: rate, ..limits() };
        let admission = RateLimiter::new(limits).expect("limits");
        for number in 0..1000_u32 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from(number));
            assert!(admission.admit(address).now_or_never().is_some());
        }
        admission.sweep();
        let clients = admission.clients.as_ref().expect("a rate");
        assert!(clients.len() < 1000, "{}", clients.len());
        let admission = hourly(1);
        assert!(admission.admit(ADDRESS).now_or_never().is_some_and(|admitted| admitted.is_ok()));
        admission.sweep();
        assert!(admission.admit(ADDRESS).now_or_never().is_some_and(|admitted| admitted.is_err()));
    }
}
