//! Certificates from an authority that speaks ACME (RFC 8555): asked for at the start, renewed in time, kept in a
//! folder.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use anyhow::Context;
use futures_util::StreamExt;
use rustls_acme::caches::DirCache;
use rustls_acme::{AcmeConfig, AcmeState, EventOk};

use crate::config::settings::Acme;
use crate::tls::AskedFor;

/// What asks for certificates once it runs.
pub(super) struct Asking {
    state: AcmeState<std::io::Error>,
    domains: Vec<String>,
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking").field("domains", &self.domains).finish_non_exhaustive()
    }
}

/// Prepares to ask. Nobody but us reads the folder: keys are in it.
pub(super) fn prepare(acme: &Acme) -> anyhow::Result<(AskedFor, Asking)> {
    let folder = acme.cache.display();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&acme.cache)
        .with_context(|| format!("tls.acme.cache: the folder {folder} cannot be made"))?;
    let client = acme.tls.client_config(&[]).context("TLS to the authority cannot be set up")?;
    let state = AcmeConfig::new_with_client_config(&acme.domains, Arc::new(client))
        .contact(&acme.contact)
        .directory(&acme.directory)
        .cache(DirCache::new(acme.cache.clone()))
        .state();
    let domains = acme.domains.clone();
    Ok((
        AskedFor { domains: domains.clone(), resolver: state.resolver() },
        Asking { state, domains },
    ))
}

impl Asking {
    /// Asks and renews for ever.
    pub(super) async fn run(mut self) {
        let domains = self.domains.join(", ");
        while let Some(event) = self.state.next().await {
            match event {
                Ok(EventOk::DeployedCachedCert) => {
                    tracing::info!(domains, "a certificate from the cache is shown");
                }
                Ok(EventOk::DeployedNewCert) => {
                    tracing::info!(domains, "a new certificate is shown");
                }
                Ok(EventOk::CertCacheStore | EventOk::AccountCacheStore) => {}
                Err(error) => {
                    tracing::error!(domains, %error, "no certificate from the authority: it is asked again later");
                }
            }
        }
    }
}
