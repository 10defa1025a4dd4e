//! Active health checks for upstreams.
//!
//! Each check opens a new connection, so that connecting is tested too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::Method;
use http::header::{HOST, USER_AGENT};

use crate::config::settings::HealthCheck;
use crate::http::Request;
use crate::proxy::http1_io::READ_SIZES;
use crate::proxy::request::request_body::UpstreamRequestBody;
use crate::proxy::site_router::{Site, Snapshot};
use crate::proxy::upstream::pool::{ConnectionRequirements, UpstreamPool};

/// Minimum and maximum interval between two scans for due checks.
const STEPS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Runs the health checks of the current config, forever.
pub(crate) async fn watch_health(snapshot: Arc<ArcSwap<Snapshot>>) {
    let mut last_probes: HashMap<(String, String), Instant> = HashMap::new();
    loop {
        let now = Instant::now();
        let current = snapshot.load_full();
        let mut step = STEPS.1;
        let mut still = HashMap::new();
        for site in current.sites.all() {
            let Some(check) = &site.health else {
                site.upstreams().iter().for_each(|upstream| upstream.health().clear());
                continue;
            };
            step = step.min(check.interval / 4).max(STEPS.0);
            for upstream in site.upstreams() {
                let key = (site.name.clone(), upstream.address().to_string());
                let last = last_probes.get(&key).copied();
                let due = last.is_none_or(|last| now.duration_since(last) >= check.interval);
                if due {
                    tokio::spawn(probe(
                        Arc::clone(&current),
                        Arc::clone(site),
                        Arc::clone(upstream),
                        check.clone(),
                    ));
                }
                still.insert(key, last.filter(|_| !due).unwrap_or(now));
            }
        }
        last_probes = still;
        drop(current);
        tokio::time::sleep(step).await;
    }
}

/// Probes an upstream and records the result.
async fn probe(
    snapshot: Arc<Snapshot>,
    site: Arc<Site>,
    upstream: Arc<UpstreamPool>,
    check: HealthCheck,
) {
    let last_probes =
        tokio::time::timeout(check.timeout, send_probe(&snapshot, &site, &upstream, &check)).await;
    let result = last_probes.unwrap_or_else(|_| Err("no response in time".to_owned()));
    let HealthCheck { healthy_after, unhealthy_after, .. } = check;
    let changes = upstream.health().record_probe(result.is_ok(), healthy_after, unhealthy_after);
    match result {
        Ok(()) if changes => {
            tracing::info!(site = site.name, upstream = %upstream.address(), "upstream healthy");
        }
        Err(reason) if changes => {
            tracing::warn!(site = site.name, upstream = %upstream.address(), reason, "upstream unhealthy, removed from rotation");
        }
        _ => {}
    }
}

async fn send_probe(
    snapshot: &Snapshot,
    site: &Site,
    upstream: &UpstreamPool,
    check: &HealthCheck,
) -> Result<(), String> {
    let opened = upstream
        .open_with_timeout(&snapshot.limits, check.timeout, ConnectionRequirements::Any)
        .await;
    let mut sender = opened.map_err(|error| error.to_string())?;
    let uri = check.path.parse().map_err(|_| "invalid path".to_owned())?;
    let mut request = Request::new(Method::GET, uri, UpstreamRequestBody::empty());
    request.fields.append(&HOST, &*site.host);
    request.fields.append(&USER_AGENT, "consentry (health)");
    sender.start(request, READ_SIZES).map_err(|error| error.to_string())?;
    match sender.final_status().await {
        Ok(status) if status.is_success() || status.is_redirection() => Ok(()),
        Ok(status) => Err(format!("unexpected status {}", status.as_u16())),
        Err(error) => Err(error.to_string()),
    }
}
