//! `demo`: runs a small tracking site behind the proxy, and prints what to look at.

mod site;

use std::io::{self, Write};
use std::net::SocketAddr;

use super::cookie::consent_cookie;
use super::error::CliError;
use crate::app;
use crate::config::{self, Overrides};
use crate::consent::Category;
use crate::proxy::Listener;

/// Run a small tracking site behind the proxy and print commands to try
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Listen address [default: 127.0.0.1:8080, or a free port if 8080 is in use]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

impl DemoArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        let origin = site::start()?;
        let listen = self.listen.unwrap_or_else(|| {
            let usual = SocketAddr::from(([127, 0, 0, 1], 8080));
            let free = Listener::bind(usual, false).map_or(0, |listener| listener.address().port());
            format!("127.0.0.1:{free}")
        });
        let overrides = Overrides {
            listen: Some(listen),
            upstream: Some(format!("http://{origin}")),
            admin: Some("127.0.0.1:0".to_owned()),
            ..Overrides::default()
        };
        let config = config::parse("banner.enabled = true", None, &overrides)?;
        let Some(site) = config.sites.first() else { return Ok(()) };
        let granted = [Category::NECESSARY, Category::ANALYTICS].into_iter().collect();
        let consent = consent_cookie(&site.filter.reader, granted, None);
        let bound = app::build(config)?;
        print(&mut io::stdout().lock(), origin, bound.addresses(), &consent)?;
        Ok(bound.run()?)
    }
}

fn print(
    out: &mut impl Write,
    origin: SocketAddr,
    at: app::Addresses,
    consent: &str,
) -> Result<(), CliError> {
    let Some(proxy) = at.http else { return Ok(()) };
    writeln!(
        out,
        "Demo site with cookies of all five categories and an unclassified one: http://{origin}/"
    )?;
    writeln!(
        out,
        "The same site through consentry: http://{proxy}/ (open it in a browser, use the banner, or log in: the session survives)"
    )?;
    writeln!(out)?;
    writeln!(out, "Cookies set by the site:")?;
    writeln!(out, "  curl -si http://{origin}/ | grep -i '^set-cookie'")?;
    writeln!(out, "Cookies through consentry, without consent:")?;
    writeln!(out, "  curl -si http://{proxy}/ | grep -i '^set-cookie'")?;
    writeln!(out, "Cookies through consentry, with consent to analytics:")?;
    writeln!(out, "  curl -si -H 'Cookie: {consent}' http://{proxy}/ | grep -i '^set-cookie'")?;
    writeln!(out)?;
    writeln!(
        out,
        "Tracking pixel of the site, which counts its requests: http://{proxy}/matomo.php?idsite=1&rec=1"
    )?;
    writeln!(out, "Preference centre: http://{proxy}/.consentry/")?;
    if let Some(admin) = at.admin {
        writeln!(out, "Dashboard: http://{admin}/, metrics: http://{admin}/metrics")?;
        writeln!(out, "One cookie is unclassified. This command suggests a rule for it:")?;
        writeln!(out, "  consentry suggest --admin http://{admin}")?;
    }
    writeln!(out, "Access log (stop with Ctrl-C):")?;
    writeln!(out)?;
    Ok(out.flush()?)
}
