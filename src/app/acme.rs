//! ACME certificates (RFC 8555): ordered at startup, renewed before they expire, cached in a directory.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use futures_util::StreamExt;
use rustls::ClientConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_acme::caches::DirCache;
use rustls_acme::{AcmeConfig, AcmeState, EventError, EventOk, ResolvesServerCertAcme};
use tokio::time::timeout;

use crate::config::settings::Acme;
use crate::tls::AcmeCertificate;

type IoAcmeState = AcmeState<std::io::Error>;
type Event = Result<EventOk, EventError<std::io::Error, std::io::Error>>;

/// Time limits of an order without a result: the first one, and the maximum. The library pauses for up to 18 hours
/// between two attempts.
const FIRST_TIME_LIMIT: Duration = Duration::from_secs(10 * 60);
const MAX_TIME_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);
/// Time limit for reading the certificate from the cache.
const CACHE_TIMEOUT: Duration = Duration::from_secs(1);

/// Orders and renews the certificate.
///
/// The library sets no deadline for requests to the ACME server, so an order without a result is restarted after a
/// time limit.
pub(super) struct AcmeTask {
    acme: Acme,
    client: Arc<ClientConfig>,
    state: IoAcmeState,
    resolver: Arc<Resolver>,
    time_limit: Duration,
}

/// The certificate and the challenges of the current order.
#[derive(Debug)]
struct Resolver(ArcSwap<ResolvesServerCertAcme>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().resolve(hello)
    }
}

impl std::fmt::Debug for AcmeTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcmeTask").field("domains", &self.acme.domains).finish_non_exhaustive()
    }
}

/// Creates the cache directory and the first order. The directory contains keys, so only its owner can read it.
pub(super) fn prepare(acme: &Acme) -> anyhow::Result<(AcmeCertificate, AcmeTask)> {
    let folder = acme.cache.display();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&acme.cache)
        .with_context(|| format!("tls.acme.cache: cannot create the folder {folder}"))?;
    let client = acme.tls.client_config(&[]).context("cannot set up TLS for the ACME authority")?;
    let client = Arc::new(client);
    let state = state(acme, &client);
    let resolver = Arc::new(Resolver(ArcSwap::new(state.resolver())));
    let acme_certificate =
        AcmeCertificate { domains: acme.domains.clone(), resolver: Arc::clone(&resolver) as _ };
    let acme = acme.clone();
    Ok((acme_certificate, AcmeTask { acme, client, state, resolver, time_limit: FIRST_TIME_LIMIT }))
}

fn state(acme: &Acme, client: &Arc<ClientConfig>) -> IoAcmeState {
    AcmeConfig::new_with_client_config(&acme.domains, Arc::clone(client))
        .contact(&acme.contact)
        .directory(&acme.directory)
        .cache(DirCache::new(acme.cache.clone()))
        .state()
}

impl AcmeTask {
    /// Orders and renews the certificate forever.
    pub(super) async fn run(mut self) {
        loop {
            match timeout(self.time_limit, self.state.next()).await {
                Ok(Some(event)) => {
                    // A stored account is not the result of an order.
                    if !matches!(event, Ok(EventOk::AccountCacheStore)) {
                        self.time_limit = MAX_TIME_LIMIT;
                    }
                    self.log(event);
                }
                Ok(None) => return,
                Err(_) => self.restart().await,
            }
        }
    }

    async fn restart(&mut self) {
        self.time_limit = (self.time_limit * 2).min(MAX_TIME_LIMIT);
        let mut state = state(&self.acme, &self.client);
        let resolver = state.resolver();
        // The old certificate is served until the cached one is loaded.
        let first = timeout(CACHE_TIMEOUT, state.next()).await;
        self.resolver.0.store(resolver);
        self.state = state;
        if let Ok(Some(event)) = first {
            self.log(event);
        }
    }

    fn log(&self, event: Event) {
        let domains = self.acme.domains.join(", ");
        match event {
            Ok(EventOk::DeployedCachedCert) => {
                tracing::info!(domains, "serving the cached certificate");
            }
            Ok(EventOk::DeployedNewCert) => {
                tracing::info!(domains, "serving a new certificate");
            }
            Ok(EventOk::CertCacheStore | EventOk::AccountCacheStore) => {}
            Err(error) => {
                tracing::error!(domains, %error, "certificate request failed, retrying later");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::tls::UpstreamTls;

    #[test]
    fn an_order_at_a_hanging_authority_is_restarted() {
        let authority = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = authority.local_addr().expect("an address").port();
        let directory = format!("https://localhost:{port}/dir");
        let folder = tempfile::tempdir().expect("a folder");
        let acme = Acme {
            domains: vec!["shop.test".to_owned()],
            contact: None,
            directory,
            cache: folder.path().to_owned(),
            tls: UpstreamTls::default(),
        };
        let (_, mut acme_task) = prepare(&acme).expect("prepared");
        acme_task.time_limit = Duration::from_millis(50);
        let (restarted, second_order) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            // Accepts, and never answers.
            let connections: Vec<_> = authority.incoming().take(2).collect();
            let _ = restarted.send(connections);
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            tokio::select! {
                () = acme_task.run() => panic!("it goes on for ever"),
                restarted = timeout(Duration::from_secs(20), second_order) => {
                    let restarted = restarted.expect("asked twice").expect("no panic");
                    assert!(restarted.iter().all(Result::is_ok));
                }
            }
        });
    }
}
