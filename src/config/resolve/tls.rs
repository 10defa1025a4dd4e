//! TLS settings for clients and upstreams: reads the files and reports the unusable ones.

use std::path::Path;
use std::time::SystemTime;

use rustls_pki_types::ServerName;

use super::defaults::{Ctx, Defaults};
use super::layers::Layers;
use crate::config::diagnostic::Diagnostic;
use crate::config::document::span;
use crate::config::raw::{
    RawAcme, RawCertificate, RawClientAuth, RawTls, RawTlsVersion, RawUpstreamTls,
};
use crate::config::settings::{Acme, Tls, WeightedUpstream};
use crate::config::spanned::Spanned;
use crate::tls::{ClientAuthorities, Identity, TicketKeys, UpstreamTls, authorities};

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
        let hint = Some("certificates = [{ cert = \"site.pem\", key = \"site.key\" }]".to_owned());
        let message = "listen.https needs a certificate".to_owned();
        document.problem(None, "tls.certificates".to_owned(), message, hint);
    }
    let mut identities = Vec::new();
    for (index, raw) in raw.certificates.into_iter().enumerate() {
        let key = format!("tls.certificates[{index}]");
        identities.extend(certificate(document, &key, raw, folder, warnings));
    }
    let optional = raw.client_auth == Some(RawClientAuth::Optional);
    let clients = raw.client_ca.and_then(|typed| {
        let text = read(document, "tls.client_ca", &typed, folder)?;
        let roots = note(document, "tls.client_ca", &typed, authorities(&text))?;
        Some(ClientAuthorities { roots, optional })
    });
    let ticket_keys = raw.ticket_key_file.and_then(|typed| {
        let text = read(document, "tls.ticket_key_file", &typed, folder)?;
        let keys = TicketKeys::parse(&String::from_utf8_lossy(&text));
        note(document, "tls.ticket_key_file", &typed, keys)
    });
    let port = document.bounded("tls.redirect_port", raw.redirect_port, 1, 65_535, 443);
    if !listened && !identities.is_empty() {
        let message = "[tls] has certificates, but listen.https is not set".to_owned();
        warnings.push(Diagnostic::of_file(&document.file, message));
    }
    listened.then_some(Tls {
        identities,
        clients,
        ticket_keys,
        only_tls_1_3: raw.min_version == Some(RawTlsVersion::Tls13),
        client_cert_fields: raw.client_cert_fields.unwrap_or(false),
        redirect: raw.redirect.unwrap_or(false).then_some(port),
        acme,
    })
}

/// The ACME directory URL of Let's Encrypt.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Resolves the ACME settings.
fn acme(document: Ctx, raw: Spanned<RawAcme>, folder: &Path) -> Option<Acme> {
    let at = raw.span();
    let raw = raw.into_inner();
    if !cfg!(feature = "acme") {
        let message = "this build has no ACME support".to_owned();
        document.problem(Some(at), "tls.acme".to_owned(), message, None);
        return None;
    }
    let mut domains = Vec::new();
    for (index, name) in raw.domains.into_iter().flat_map(Spanned::into_inner).enumerate() {
        let text = name.get_ref().to_ascii_lowercase();
        if matches!(ServerName::try_from(text.as_str()), Ok(ServerName::DnsName(_))) {
            domains.push(text);
        } else {
            let message = format!("`{}` is not a DNS name that ACME can issue for", name.get_ref());
            let hint = Some(
                "a host such as \"shop.example\"; wildcards need another challenge".to_owned(),
            );
            document.problem(
                Some(span(&name)),
                format!("tls.acme.domains[{index}]"),
                message,
                hint,
            );
        }
    }
    if domains.is_empty() {
        document.missing(at, "tls.acme.domains".to_owned(), "domains = [\"shop.example\"]");
    }
    let directory = raw.directory.map(|url| {
        if !url.get_ref().starts_with("https://") || url.get_ref().parse::<http::Uri>().is_err() {
            let message = format!("`{}` is not an https URL", url.get_ref());
            document.problem(Some(span(&url)), "tls.acme.directory".to_owned(), message, None);
        }
        url.into_inner()
    });
    let roots = raw.ca_file.and_then(|typed| {
        let text = read(document, "tls.acme.ca_file", &typed, folder)?;
        note(document, "tls.acme.ca_file", &typed, authorities(&text))
    });
    let contact = raw.contact.map(|contact| match contact.get_ref().strip_prefix("mailto:") {
        Some(_) => contact.into_inner(),
        None => format!("mailto:{}", contact.get_ref()),
    });
    let cache = raw.cache.map_or_else(|| "acme".to_owned(), Spanned::into_inner);
    Some(Acme {
        domains,
        contact,
        directory: directory.unwrap_or_else(|| LETS_ENCRYPT.to_owned()),
        cache: folder.join(cache),
        tls: UpstreamTls { authorities: roots, ..UpstreamTls::default() },
    })
}

/// Resolves the TLS settings for a site's upstreams. `None` if no upstream uses TLS.
pub(super) fn upstream_tls(
    document: Ctx,
    key: &str,
    own: &RawUpstreamTls,
    upstreams: &[WeightedUpstream],
    common: &Defaults,
) -> Option<UpstreamTls> {
    if !upstreams.iter().any(|upstream| upstream.address.is_tls()) {
        return None;
    }
    let tls = Layers::new("upstream_tls", key, own, &common.upstream_tls);
    let folder = &common.pages.folder;
    let roots = tls.get("ca_file", |raw| raw.ca_file.as_ref()).and_then(|(key, typed)| {
        let text = read(document, &key, typed, folder)?;
        note(document, &key, typed, authorities(&text))
    });
    // A certificate and its key belong together, so both come from the same table.
    let is_pair = |raw: &RawUpstreamTls| raw.client_cert.is_some() || raw.client_key.is_some();
    let pair = tls.tables().find(|(_, raw)| is_pair(raw));
    let pair = pair.map(|(key, raw)| (key, raw.client_cert.as_ref(), raw.client_key.as_ref()));
    let identity = match pair {
        Some((key, Some(cert), Some(private))) => {
            let (cert_key, private_key) =
                (format!("{key}.client_cert"), format!("{key}.client_key"));
            let pair = [(&*cert_key, cert), (&*private_key, private)];
            Some(identity(document, &cert_key, pair, folder)?)
        }
        Some((key, Some(one), None) | (key, None, Some(one))) => {
            let message = "client_cert and client_key must be set together".to_owned();
            document.problem(Some(span(one)), key.to_owned(), message, None);
            None
        }
        _ => None,
    };
    let server_name = tls.get("server_name", |raw| raw.server_name.as_ref());
    let server_name = server_name.and_then(|(key, typed)| {
        let name = ServerName::try_from(typed.get_ref().clone()).map_err(|_| "is not a host");
        note(document, &key, typed, name)
    });
    let insecure = tls.copied(|raw| raw.insecure_skip_verify).unwrap_or(false);
    let http2 = tls.copied(|raw| raw.http2).unwrap_or(true);
    Some(UpstreamTls { authorities: roots, identity, server_name, insecure, http2 })
}

/// Resolves a certificate of `[tls]`.
fn certificate(
    document: Ctx,
    key: &str,
    raw: Spanned<RawCertificate>,
    folder: &Path,
    warnings: &mut Vec<Diagnostic>,
) -> Option<Identity> {
    let at = span(&raw);
    let RawCertificate { cert, key: private } = raw.into_inner();
    let (cert_key, private_key) = (format!("{key}.cert"), format!("{key}.key"));
    let (Some(cert), Some(private)) = (&cert, &private) else {
        if cert.is_none() {
            document.missing(at.clone(), cert_key, "cert = \"site.pem\"");
        }
        if private.is_none() {
            document.missing(at, private_key, "key = \"site.key\"");
        }
        return None;
    };
    let pair = [(&*cert_key, cert), (&*private_key, private)];
    let identity = identity(document, key, pair, folder)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    if identity.not_after < now {
        // The certificate is served nevertheless: a restart after an outage must not fail because of it.
        let message = format!("`{}` has expired: browsers reject it", cert.get_ref());
        warnings.push(Diagnostic::of_file(&document.file, message));
    }
    Some(identity)
}

/// Reads a certificate and its private key, each with its config key. `key` is the key of the pair.
fn identity(
    document: Ctx,
    key: &str,
    [(cert_key, cert), (private_key, private)]: [(&str, &Spanned<String>); 2],
    folder: &Path,
) -> Option<Identity> {
    let certificate = read(document, cert_key, cert, folder);
    let secret = read(document, private_key, private, folder);
    let parsed = Identity::parse(&certificate?, &secret?);
    note(document, key, cert, parsed)
}

fn read(document: Ctx, key: &str, typed: &Spanned<String>, folder: &Path) -> Option<Vec<u8>> {
    let path = folder.join(typed.get_ref());
    let text = document.read_file(&path).map_err(|error| format!("cannot read the file: {error}"));
    note(document, key, typed, text)
}

/// Reports the error of a file.
fn note<T, E: ToString>(
    document: Ctx,
    key: &str,
    typed: &Spanned<String>,
    result: Result<T, E>,
) -> Option<T> {
    match result {
        Ok(found) => Some(found),
        Err(error) => {
            let message = format!("`{}`: {}", typed.get_ref(), error.to_string());
            document.problem(Some(span(typed)), key.to_owned(), message, None);
            None
        }
    }
}
