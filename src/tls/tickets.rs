//! Session ticket keys (RFC 5077, RFC 8446 section 2.2). They survive a config reload, and replicas
//! may share them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;

use super::{ClientAuthorities, TlsError};
use crate::consent::key_lines;

/// The lifetime of a ticket, in seconds.
const LIFETIME_SECONDS: u32 = 12 * 60 * 60;
/// Prefix for the derivation of the encryption keys.
const CONTEXT: &[u8] = b"consentry session ticket\0";

/// Ticket keys from a file, shared by all replicas. The first key encrypts, and all keys decrypt.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKeys(Vec<[u8; 32]>);

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TicketKeys").field(&self.0.len()).finish()
    }
}

impl TicketKeys {
    /// Parses a key file, newest key first. The format is that of the consent cookie's keys.
    ///
    /// # Errors
    /// If a key is shorter than 32 characters or not printable ASCII, or there are no keys or more
    /// than 8.
    pub fn parse(text: &str) -> Result<Self, TlsError> {
        let lines = key_lines(text)?.into_iter();
        Ok(Self(lines.filter_map(|line| digest(&[CONTEXT, line.as_bytes()])).collect()))
    }
}

/// Ticket producers for the lifetime of the process.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    /// The producer with the process's own keys, and the fingerprint of its client authorities.
    own: Mutex<Option<([u8; 32], Arc<dyn ProducesTickets>)>>,
}

impl Tickets {
    /// Returns a ticket producer with these keys, or with rotating keys of this process.
    ///
    /// A ticket replaces the verification of a client certificate. Other client authorities
    /// therefore invalidate it.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn producer(
        &self,
        keys: Option<&TicketKeys>,
        clients: Option<&ClientAuthorities>,
    ) -> Result<Arc<dyn ProducesTickets>, TlsError> {
        let clients = fingerprint(clients).ok_or(TlsError::Setup)?;
        if let Some(TicketKeys(keys)) = keys {
            let key = |key: &[u8; 32]| UnboundKey::new(&AES_256_GCM, key).ok();
            let keys = keys.iter().filter_map(key).map(LessSafeKey::new).collect();
            return Ok(Arc::new(TicketSealer { keys, clients, random: SystemRandom::new() }));
        }
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, producer)) = &*own
            && *known == clients
        {
            return Ok(Arc::clone(producer));
        }
        let producer = rustls::crypto::ring::Ticketer::new().map_err(|_| TlsError::Setup)?;
        *own = Some((clients, Arc::clone(&producer)));
        Ok(producer)
    }
}

/// Returns a fingerprint of the client authorities.
fn fingerprint(clients: Option<&ClientAuthorities>) -> Option<[u8; 32]> {
    let mut parts: Vec<&[u8]> = Vec::new();
    if let Some(clients) = clients {
        parts.push(if clients.optional { b"optional" } else { b"required" });
        for root in &clients.roots.roots {
            parts.push(&root.subject);
            parts.push(&root.subject_public_key_info);
        }
    }
    digest(&parts)
}

/// SHA-256 of the parts, each prefixed with its length.
fn digest(parts: &[&[u8]]) -> Option<[u8; 32]> {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().try_into().ok()
}

/// Ticket producer with AES-256-GCM. A ticket is nonce, ciphertext and tag.
struct TicketSealer {
    keys: Vec<LessSafeKey>,
    /// The fingerprint of the client authorities. Tickets are bound to it.
    clients: [u8; 32],
    random: SystemRandom,
}

impl fmt::Debug for TicketSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl ProducesTickets for TicketSealer {
    fn enabled(&self) -> bool {
        !self.keys.is_empty()
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let (unique, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(self.clients));
        self.keys.first()?.seal_in_place_append_tag(unique, aad, &mut sealed).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.split_first_chunk::<NONCE_LEN>()?;
        self.keys.iter().find_map(|key| {
            let mut opened = sealed.to_vec();
            let (unique, aad) = (Nonce::assume_unique_for_key(*nonce), Aad::from(self.clients));
            key.open_in_place(unique, aad, &mut opened).ok().map(|plain| plain.to_vec())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";

    fn producer(keys: &str, clients: Option<&ClientAuthorities>) -> Arc<dyn ProducesTickets> {
        let keys = TicketKeys::parse(keys).expect("valid keys");
        Tickets::default().producer(Some(&keys), clients).expect("a producer")
    }

    fn authorities(pem: &str) -> ClientAuthorities {
        let roots = crate::tls::authorities(pem.as_bytes()).expect("roots");
        ClientAuthorities { roots, optional: false }
    }

    fn root() -> String {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").pem()
    }

    #[test]
    fn replicas_with_the_same_key_file_share_tickets_and_old_keys_still_decrypt() {
        let ticket = producer(OLD, None).encrypt(b"session").expect("a ticket");
        let rotated = format!("# newest first\n{NEW}\n{OLD}\n");
        assert_eq!(producer(OLD, None).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(producer(&rotated, None).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(producer(NEW, None).decrypt(&ticket), None);
        let (first, _) = ticket.split_at(ticket.len() - 1);
        assert_eq!(producer(OLD, None).decrypt(first), None);
        assert_eq!(producer(OLD, None).decrypt(b""), None);
    }

    #[test]
    fn a_ticket_is_invalid_with_different_client_authorities() {
        let (one, other) = (authorities(&root()), authorities(&root()));
        let optional = ClientAuthorities { optional: true, ..one.clone() };
        let ticket = producer(OLD, Some(&one)).encrypt(b"session").expect("a ticket");
        assert!(producer(OLD, Some(&one)).decrypt(&ticket).is_some());
        for others in [Some(&other), Some(&optional), None] {
            assert_eq!(producer(OLD, others).decrypt(&ticket), None);
        }
        let tickets = Tickets::default();
        let own = |clients| tickets.producer(None, clients).expect("a producer");
        let ticket = own(Some(&one)).encrypt(b"session").expect("a ticket");
        assert!(own(Some(&one)).decrypt(&ticket).is_some(), "they outlive a reload");
        assert_eq!(own(Some(&other)).decrypt(&ticket), None);
        assert_eq!(own(None).decrypt(&ticket), None);
    }

    #[test]
    fn short_missing_and_too_many_keys_are_errors() {
        for text in ["", "# nothing\n", "short", &format!("{OLD}\n").repeat(9)] {
            assert!(TicketKeys::parse(text).is_err(), "{text}");
        }
    }
}
