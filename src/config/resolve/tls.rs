//! TLS towards visitors: reads the files, and says which of them cannot be used.

use std::path::Path;
use std::time::SystemTime;

use toml::Spanned;

use super::common::Doc;
use crate::config::document::place;
use crate::config::problem::Problem;
use crate::config::raw::{RawCertificate, RawClientAuth, RawTls, RawTlsVersion};
use crate::config::settings::Tls;
use crate::tls::{ClientAuthorities, Identity};

/// The settings of TLS; `None` where it is not listened for. Paths start from `folder`.
pub(super) fn tls(
    document: Doc,
    raw: RawTls,
    listened: bool,
    folder: &Path,
    warnings: &mut Vec<Problem>,
) -> Option<Tls> {
    if listened && raw.certificates.is_empty() {
        let hint = Some("certificates = [{ cert = \"site.pem\", key = \"site.key\" }]".to_owned());
        let message = "listen.https needs a certificate".to_owned();
        document.problem(None, "tls.certificates".to_owned(), message, hint);
    }
    let mut identities = Vec::new();
    for (index, raw) in raw.certificates.into_iter().enumerate() {
        let key = format!("tls.certificates[{index}]");
        identities.extend(identity(document, &key, raw, folder, warnings));
    }
    let optional = raw.client_auth == Some(RawClientAuth::Optional);
    let clients = raw.client_ca.and_then(|typed| {
        let text = read(document, "tls.client_ca", &typed, folder)?;
        let parsed = ClientAuthorities::parse(&text, optional);
        note(document, "tls.client_ca", &typed, parsed)
    });
    let port = document.bounded("tls.redirect_port", raw.redirect_port, 1, 65_535, 443);
    if !listened && !identities.is_empty() {
        let message = "[tls] has certificates, and listen.https does not say where".to_owned();
        warnings.push(Problem::of_file(&document.file, message));
    }
    listened.then_some(Tls {
        identities,
        clients,
        only_tls_1_3: raw.min_version == Some(RawTlsVersion::Tls13),
        redirect: raw.redirect.unwrap_or(false).then_some(port),
    })
}

fn identity(
    document: Doc,
    key: &str,
    raw: Spanned<RawCertificate>,
    folder: &Path,
    warnings: &mut Vec<Problem>,
) -> Option<Identity> {
    let at = place(&raw);
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
    let certificate = read(document, &cert_key, cert, folder);
    let secret = read(document, &private_key, private, folder);
    let identity = Identity::parse(&certificate?, &secret?);
    let identity = note(document, key, cert, identity)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    if identity.not_after < now {
        // It is served all the same: who starts again after an outage is not helped by another one.
        let message = format!("`{}` has expired: browsers refuse it", cert.get_ref());
        warnings.push(Problem::of_file(&document.file, message));
    }
    Some(identity)
}

fn read(document: Doc, key: &str, typed: &Spanned<String>, folder: &Path) -> Option<Vec<u8>> {
    let path = folder.join(typed.get_ref());
    let text = document.read_file(&path).map_err(|error| format!("cannot be read: {error}"));
    note(document, key, typed, text)
}

/// Notes what is wrong with a file.
fn note<T, E: ToString>(
    document: Doc,
    key: &str,
    typed: &Spanned<String>,
    result: Result<T, E>,
) -> Option<T> {
    match result {
        Ok(found) => Some(found),
        Err(error) => {
            let message = format!("`{}`: {}", typed.get_ref(), error.to_string());
            document.problem(Some(place(typed)), key.to_owned(), message, None);
            None
        }
    }
}
