//! PROXY protocol, versions 1 and 2 (The PROXY protocol, versions 1 and 2, HAProxy Technologies).
//!
//! A load balancer that does not parse HTTP sends the client's address in a header before all other
//! bytes. Only the header is read: the next byte belongs to the client.

use std::io;
use std::net::SocketAddr;

use proxy_header::{ParseConfig, ProxyHeader};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The signature of a version 2 header.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Maximum length of a version 1 line, in bytes.
const LONGEST_LINE: usize = 107;
/// Maximum bytes after the fixed part of a version 2 header.
const LONGEST_REST: usize = 4096;

/// Why no PROXY protocol header could be read.
#[derive(Debug, Error)]
pub(crate) enum ProxyProtocolError {
    #[error("the connection ended in the header of the PROXY protocol")]
    Broken(#[from] io::Error),
    #[error("the connection does not begin with the PROXY protocol")]
    NotSpoken,
    #[error("the header of the PROXY protocol is malformed or too long")]
    Malformed,
    #[error("the checksum of the PROXY protocol's header is wrong")]
    Checksum,
}

/// The content of a PROXY protocol header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProxyProtocolHeader {
    /// The client's address; `None` for a connection of the load balancer itself, such as a health
    /// check.
    pub(crate) visitor: Option<SocketAddr>,
    /// The client uses TLS to the load balancer.
    pub(crate) secure: bool,
}

/// Reads the header from the start of a connection.
pub(crate) async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> Result<ProxyProtocolHeader, ProxyProtocolError> {
    // The minimum length of a header.
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        let mut fixed = [0; 4];
        stream.read_exact(&mut fixed).await?;
        let [_, _, high, low] = fixed;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > LONGEST_REST {
            return Err(ProxyProtocolError::Malformed);
        }
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).await?;
        header.extend_from_slice(&fixed);
        header.extend_from_slice(&rest);
    } else if header.starts_with(b"PROXY ") {
        while !header.ends_with(b"\r\n") {
            if header.len() >= LONGEST_LINE {
                return Err(ProxyProtocolError::Malformed);
            }
            header.push(stream.read_u8().await?);
        }
    } else {
        return Err(ProxyProtocolError::NotSpoken);
    }
    if !has_valid_checksum(&header) {
        return Err(ProxyProtocolError::Checksum);
    }
    let parsed = ProxyHeader::parse(&header, ParseConfig::default());
    let (parsed, _) = parsed.map_err(|_| ProxyProtocolError::Malformed)?;
    Ok(ProxyProtocolHeader {
        visitor: parsed.proxied_address().map(|address| address.source),
        secure: parsed.ssl().is_some_and(|ssl| ssl.client_ssl()),
    })
}

/// Whether a version 2 header has a valid CRC32c checksum, or none (section 2.2.3).
fn has_valid_checksum(header: &[u8]) -> bool {
    const CRC32C: u8 = 0x03;
    if !header.starts_with(&SIGNATURE) {
        return true;
    }
    let addresses = match header.get(13).map(|family| family >> 4) {
        Some(1) => 12,
        Some(2) => 36,
        Some(3) => 216,
        _ => 0,
    };
    let mut at = SIGNATURE.len() + 4 + addresses;
    while let Some([kind, high, low]) = header.get(at..at + 3) {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        at += 3;
        let Some(value) = header.get(at..at + length) else { return false };
        if *kind == CRC32C {
            let mut zeroed = header.to_vec();
            zeroed.iter_mut().skip(at).take(length).for_each(|byte| *byte = 0);
            return value == crc32c::crc32c(&zeroed).to_be_bytes();
        }
        at += length;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use proptest::prelude::*;

    /// Reads a header. Returns the result and the number of remaining bytes.
    fn through(mut bytes: &[u8]) -> (Result<ProxyProtocolHeader, ProxyProtocolError>, usize) {
        let read = read(&mut bytes).now_or_never().expect("nothing is waited for");
        (read, bytes.len())
    }

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[0x20 | command, family], &length, rest].concat()
    }

    /// A header with a checksum after another TLV.
    fn checked() -> Vec<u8> {
        let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80];
        let tlvs = [0x04, 0, 2, 0, 0, 0x03, 0, 4, 0, 0, 0, 0];
        let mut header = version_2(1, 0x11, &[&v4[..], &tlvs].concat());
        let checksum = crc32c::crc32c(&header).to_be_bytes();
        let at = header.len() - 4;
        header[at..].copy_from_slice(&checksum);
        header
    }

    #[test]
    fn both_versions_are_read_exactly_to_their_last_byte() {
        let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80];
        let local = version_2(0, 0, &[]);
        let checked = checked();
        let tcp4 = version_2(1, 0x11, &v4);
        for (header, visitor) in [
            (&b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 80\r\n"[..], Some("203.0.113.7:12345")),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 12345 80\r\n", Some("[2001:db8::7]:12345")),
            (b"PROXY UNKNOWN\r\n", None),
            (&tcp4, Some("203.0.113.7:12345")),
            (&checked, Some("203.0.113.7:12345")),
            (&local, None),
        ] {
            let bytes = [header, b"GET / HTTP/1.1\r\n"].concat();
            let (read, left) = through(&bytes);
            let read = read.unwrap_or_else(|error| panic!("{}: {error}", header.escape_ascii()));
            let expected = visitor.map(|text| text.parse().expect("an address"));
            assert_eq!((read.visitor, read.secure, left), (expected, false, 16));
        }
    }

    #[test]
    fn invalid_proxy_headers_are_rejected() {
        let too_long = version_2(1, 0x11, &[0; 5000]);
        let mut damaged = checked();
        damaged[16] ^= 1;
        let endless = [b"PROXY ".as_slice(), &[b'x'; 200]].concat();
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 203.0.113.7\r\nmore",
            b"PROXY TCP4 999.0.113.7 10.0.0.1 12345 80\r\n",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a hello",
            b"PROXY",
            b"",
            &SIGNATURE,
            &too_long,
            &damaged,
            &endless,
        ] {
            assert!(through(bytes).0.is_err(), "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), begun in 0..3_usize) {
            let begin = [&b""[..], b"PROXY ", &SIGNATURE][begun];
            let _ = through(&[begin, &bytes].concat());
        }
    }

    #[test]
    fn a_version_1_line_is_at_most_107_bytes() {
        // The client sends no more for now.
        let endless = [b"PROXY ".as_slice(), &[b'x'; 200]].concat();
        for (length, refused) in [(106, false), (108, true)] {
            let (mut stream, mut visitor) = tokio::io::duplex(1024);
            let sent = tokio::io::AsyncWriteExt::write_all(&mut visitor, &endless[..length]);
            sent.now_or_never().expect("room").expect("sent");
            let read = read(&mut stream).now_or_never();
            assert_eq!(matches!(read, Some(Err(_))), refused, "{length}: {read:?}");
        }
    }
}
