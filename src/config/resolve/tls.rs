//! TLS settings for clients and upstreams: reads the files and reports the unusable ones.

use std::path::Path;
use std::time::SystemTime;

use rustls_pki_types::ServerName;

use super::defaults::Defaults;
use crate::config::diagnostic::Diagnostic;
use crate::config::document::Ctx;
use crate::config::raw::{
    RawAcme, RawCertificate, RawClientAuth, RawTls, RawTlsVersion, RawUpstreamTls,
};
use crate::config::settings::{Acme, Tls, WeightedUpstream};
use crate::config::spanned::{Spanned, Text};
use crate::tls::{ClientAuthorities, Identity, TicketKeys, TlsError, UpstreamTls, authorities};

/// Resolves the TLS settings. `None` without `listen.https`. Relative paths start from `folder`.
pub(super) fn tls(
    document: Ctx,
    raw: RawTls,
    listened: bool,
    folder: &Path,
    warnings: &mut Vec<Diagnostic>,
) -> Option<Tls> {
    let acme = raw.acme.and_then(|typed| acme(document, typed, folder));
    if listened && raw.certificates.is_empty() && acme.is_none() {
        let hint = Some("certificates = [{ cert = \"site.pem\", key = \"site.key\" }]");
        let message = "listen.https needs a certificate";
        document.problem(None, "tls.certificates".to_owned(), message, hint);
    }
    let mut identities = Vec::new();
    for raw in raw.certificates {
        identities.extend(certificate(document, &raw, folder, warnings));
    }
    let optional = raw.client_auth == RawClientAuth::Optional;
    let clients = raw.client_ca.and_then(|typed| {
        let roots = read(document, &typed, folder, authorities)?;
        Some(ClientAuthorities { roots, optional })
    });
    let ticket_keys = raw.ticket_key_file.and_then(|typed| {
        read(document, &typed, folder, |text| TicketKeys::parse(&String::from_utf8_lossy(text)))
    });
    if !listened && !identities.is_empty() {
        let message = "[tls] has certificates, but listen.https is not set".to_owned();
        warnings.push(document.of_file(message));
    }
    listened.then_some(Tls {
        identities,
        clients,
        ticket_keys,
        only_tls_1_3: raw.min_version == RawTlsVersion::Tls13,
        client_cert_fields: raw.client_cert_fields,
        redirect: raw.redirect.then_some(raw.redirect_port.get()),
        acme,
    })
}

/// Resolves the ACME settings.
fn acme(document: Ctx, table: Spanned<RawAcme>, folder: &Path) -> Option<Acme> {
    if !cfg!(feature = "acme") {
        document.wrong(&table, "this build has no ACME support", None);
        return None;
    }
    let raw = table.get_ref();
    let mut domains = Vec::new();
    for name in &raw.domains {
        let text = name.get_ref().to_ascii_lowercase();
        if matches!(ServerName::try_from(text.as_str()), Ok(ServerName::DnsName(_))) {
            domains.push(text);
        } else {
            let hint = "a host such as \"shop.example\"; wildcards need another challenge";
            document.is_not(name, "a name that a certificate is given for", Some(hint));
        }
    }
    if domains.is_empty() {
        document.missing(&table, "domains", "domains = [\"shop.example\"]");
    }
    let directory = raw.directory.get_ref();
    if !directory.starts_with("https://") || directory.parse::<http::Uri>().is_err() {
        document.is_not(&raw.directory, "a URL of https", None);
    }
    let roots = raw.ca_file.as_ref();
    let roots = roots.and_then(|typed| read(document, typed, folder, authorities));
    let contact = raw.contact.as_ref().map(|contact| match contact.strip_prefix("mailto:") {
        Some(_) => contact.clone(),
        None => format!("mailto:{contact}"),
    });
    Some(Acme {
        domains,
        contact,
        directory: directory.clone(),
        cache: folder.join(&raw.cache),
        tls: UpstreamTls { authorities: roots, ..UpstreamTls::default() },
    })
}

/// Resolves the TLS settings for a site's upstreams. `None` if no upstream uses TLS.
pub(super) fn upstream_tls(
    document: Ctx,
    raw: &RawUpstreamTls,
    upstreams: &[WeightedUpstream],
    common: &Defaults,
) -> Option<UpstreamTls> {
    if !upstreams.iter().any(|upstream| upstream.address.is_tls()) {
        return None;
    }
    let roots = raw.ca_file.as_ref();
    let roots = roots.and_then(|typed| read(document, typed, &common.folder, authorities));
    let identity = match (&raw.client_cert, &raw.client_key) {
        (Some(cert), Some(key)) => Some(identity(document, cert, key, &common.folder)?),
        (Some(one), None) | (None, Some(one)) => {
            document.wrong(one, "client_cert and client_key must be set together", None);
            None
        }
        (None, None) => None,
    };
    let server_name = raw.server_name.as_ref().and_then(|typed| {
        let name = ServerName::try_from(typed.get_ref().clone()).map_err(|_| "is not a host");
        document.checked(typed, name)
    });
    let (insecure, http2) = (raw.insecure_skip_verify, raw.http2);
    Some(UpstreamTls { authorities: roots, identity, server_name, insecure, http2 })
}

/// Resolves a certificate of `[tls]`.
fn certificate(
    document: Ctx,
    raw: &Spanned<RawCertificate>,
    folder: &Path,
    warnings: &mut Vec<Diagnostic>,
) -> Option<Identity> {
    let RawCertificate { cert, key } = raw.get_ref();
    let (Some(cert), Some(key)) = (cert, key) else {
        if cert.is_none() {
            document.missing(raw, "cert", "cert = \"site.pem\"");
        }
        if key.is_none() {
            document.missing(raw, "key", "key = \"site.key\"");
        }
        return None;
    };
    let identity = identity(document, cert, key, folder)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    if identity.not_after < now {
        // The certificate is served nevertheless: a restart after an outage must not fail because of it.
        let message = format!("`{}` has expired: browsers reject it", cert.get_ref());
        warnings.push(document.of_file(message));
    }
    Some(identity)
}

/// Reads a certificate and its private key. An error is reported at the key of the file that causes it.
fn identity(document: Ctx, cert: &Text, key: &Text, folder: &Path) -> Option<Identity> {
    let file = |text: &[u8]| Ok::<_, String>(text.to_vec());
    let certificate = read(document, cert, folder, file);
    let secret = read(document, key, folder, file);
    let parsed = Identity::parse(&certificate?, &secret?);
    let cause = match &parsed {
        Err(TlsError::NoKey | TlsError::BadKey | TlsError::WrongKey) => key,
        _ => cert,
    };
    document.checked(cause, parsed)
}

/// Reads and parses a file.
fn read<V, E: ToString>(
    document: Ctx,
    typed: &Text,
    folder: &Path,
    parse: impl Fn(&[u8]) -> Result<V, E>,
) -> Option<V> {
    let text = document.read_file(&folder.join(typed.get_ref()));
    let parsed = text.and_then(|text| parse(&text).map_err(|error| error.to_string()));
    document.checked(typed, parsed)
}
