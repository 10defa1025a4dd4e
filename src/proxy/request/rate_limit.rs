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
    permits: Option<Arc<Semaphore>>,
    queued: AtomicUsize,
    clients: Option<DefaultKeyedRateLimiter<IpAddr>>,
}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiter").field("limits", &self.limits).finish_non_exhaustive()
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
        let permits = limits.concurrent_requests.map(|permits| Arc::new(Semaphore::new(permits)));
        let rate = limits.requests_per_second;
        let clients = rate.map(|rate| {
            DefaultKeyedRateLimiter::keyed(Quota::per_second(rate).allow_burst(limits.burst))
        });
        if permits.is_none() && clients.is_none() {
            return None;
        }
        Some(Arc::new(Self { limits, permits, queued: AtomicUsize::new(0), clients }))
    }

    /// The configured limits.
    pub(crate) fn limits(&self) -> &SiteLimits {
        &self.limits
    }

    /// Admits a client's request, queues it until a permit is free, or rejects it.
    pub(crate) async fn acquire(
        &self,
        address: IpAddr,
    ) -> Result<Option<RequestPermit>, ProxyError> {
        if let Some(clients) = &self.clients
            && let Err(not_until) = clients.check_key(&client(address))
        {
            let retry_in = not_until.wait_time_from(DefaultClock::default().now());
            return Err(ProxyError::TooManyRequests(retry_in));
        }
        let Some(permits) = &self.permits else { return Ok(None) };
        if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
            return Ok(Some(permit));
        }
        let queued = self.queued.fetch_add(1, Relaxed);
        let _slot = QueueSlot(&self.queued);
        if queued >= self.limits.queue {
            return Err(ProxyError::Overloaded);
        }
        let permit = Arc::clone(permits).acquire_owned();
        match tokio::time::timeout(self.limits.queue_timeout, permit).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
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
        RateLimiter { limits: limits(), permits: None, queued: AtomicUsize::new(0), clients }
    }

    #[test]
    fn without_limits_there_is_no_rate_limiter() {
        assert!(RateLimiter::new(limits()).is_none());
    }

    #[test]
    fn a_burst_passes_then_only_that_address_is_limited() {
        let limiter = hourly(3);
        let acquire = |address: &str| {
            let address = address.parse().expect("an address");
            limiter.acquire(address).now_or_never().expect("nothing is waited for").is_ok()
        };
        assert!((0..3).all(|_| acquire("192.0.2.1")));
        assert!(!acquire("192.0.2.1"));
        assert!(acquire("192.0.2.2"));
        assert!((0..3).all(|last| acquire(&format!("2001:db8::{last}"))));
        assert!(!acquire("2001:db8::ffff:1"), "a /64 is one visitor");
        assert!(acquire("2001:db8:0:1::1"));
        assert!(!acquire("::ffff:192.0.2.1"), "the same address as 192.0.2.1");
        assert!(acquire("::ffff:192.0.2.3"), "mapped addresses do not share one /64");
    }

    #[test]
    fn requests_over_the_limit_queue_then_get_503() {
        let limits = SiteLimits { concurrent_requests: Some(1), queue: 1, ..limits() };
        let limiter = RateLimiter::new(limits).expect("limits");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let first = limiter.acquire(ADDRESS).await.expect("a place");
            let mut second = Box::pin(limiter.acquire(ADDRESS));
            assert!(second.as_mut().now_or_never().is_none(), "it waits");
            let third = limiter.acquire(ADDRESS).now_or_never();
            assert!(matches!(third, Some(Err(ProxyError::Overloaded))), "refused at once");
            drop(first);
            let second = second.await.expect("a place");
            assert!(limiter.acquire(ADDRESS).now_or_never().is_none());
            drop(second);
            assert!(limiter.acquire(ADDRESS).await.is_ok());
        });
    }

    #[test]
    fn addresses_with_a_full_burst_are_evicted() {
        let rate = NonZeroU32::new(10_000_000);
        let limits = SiteLimits { requests_per_second: rate, ..limits() };
        let limiter = RateLimiter::new(limits).expect("limits");
        for number in 0..1000_u32 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from(number));
            assert!(limiter.acquire(address).now_or_never().is_some());
        }
        limiter.sweep();
        let clients = limiter.clients.as_ref().expect("a rate");
        assert!(clients.len() < 1000, "{}", clients.len());
        let limiter = hourly(1);
        assert!(limiter.acquire(ADDRESS).now_or_never().is_some_and(|admitted| admitted.is_ok()));
        limiter.sweep();
        assert!(limiter.acquire(ADDRESS).now_or_never().is_some_and(|admitted| admitted.is_err()));
    }
}
