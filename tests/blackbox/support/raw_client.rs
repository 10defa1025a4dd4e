//! An HTTP/1.1 client connection on a raw socket: sends bytes, and parses responses.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::TIMEOUT;

/// A response received by the client.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// The header section, unchanged, without the empty line.
    pub head: Vec<u8>,
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body, with chunked coding removed.
    pub body: Vec<u8>,
    pub trailers: Vec<(String, Vec<u8>)>,
    /// Whether the body is complete.
    pub complete: bool,
}

impl Reply {
    pub fn values(&self, name: &str) -> Vec<String> {
        let same = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        same.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    pub fn field(&self, name: &str) -> Option<String> {
        self.values(name).into_iter().next()
    }

    /// The `Set-Cookie` lines, in order.
    pub fn set_cookies(&self) -> Vec<String> {
        self.values("set-cookie")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client connection.
pub struct RawClient {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// The peer may have closed the connection before it read everything. Its response can still be read.
fn ignore_disconnect(sent: io::Result<()>) {
    let ended =
        [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset, io::ErrorKind::NotConnected];
    match sent {
        Err(error) if !ended.contains(&error.kind()) => panic!("{error}"),
        _ => {}
    }
}

impl RawClient {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        ignore_disconnect(self.stream.write_all(bytes));
    }

    pub fn shutdown_write(&self) {
        ignore_disconnect(self.stream.shutdown(Shutdown::Write));
    }

    fn fill_buffer(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("timed out; received so far {:?}", String::from_utf8_lossy(&self.buffer))
            }
            Err(_) => false,
        }
    }

    /// Waits until the proxy closes the connection, and returns the remaining bytes.
    pub fn closed(mut self) -> Vec<u8> {
        while self.fill_buffer() {}
        self.buffer
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer[..at].to_vec();
                self.buffer.drain(..at + 2);
                return Some(line);
            }
            if !self.fill_buffer() {
                return None;
            }
        }
    }

    /// Reads exactly this many bytes, or fewer if the connection ends.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count && self.fill_buffer() {}
        let count = count.min(self.buffer.len());
        self.buffer.drain(..count).collect()
    }

    /// The head of the next response.
    pub fn head(&mut self) -> Reply {
        let start = self.line().expect("a response begins");
        let text = String::from_utf8_lossy(&start).into_owned();
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {text}"));
        let mut reply = Reply {
            status,
            head: start,
            fields: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
            complete: false,
        };
        loop {
            let line = self.line().expect("the head ends");
            if line.is_empty() {
                return reply;
            }
            reply.head.extend_from_slice(b"\r\n");
            reply.head.extend_from_slice(&line);
            reply.fields.push(field(&line));
        }
    }

    /// The next response to a request of this method. Skips 100 responses.
    pub fn reply(&mut self, method: &str) -> Reply {
        let mut reply = self.head();
        while reply.status == 100 {
            reply = self.head();
        }
        let bodyless = method == "HEAD" || matches!(reply.status, 101 | 204 | 304);
        if bodyless {
            reply.complete = true;
        } else if reply.field("transfer-encoding").is_some() {
            reply.complete = self.chunks(&mut reply).is_some();
        } else if let Some(length) = reply.field("content-length") {
            let length: usize = length.parse().unwrap();
            reply.body = self.bytes(length);
            reply.complete = reply.body.len() == length;
        } else {
            while self.fill_buffer() {}
            reply.body = std::mem::take(&mut self.buffer);
            reply.complete = true;
        }
        reply
    }

    fn chunks(&mut self, reply: &mut Reply) -> Option<()> {
        loop {
            let size = String::from_utf8(self.line()?).unwrap();
            let size = usize::from_str_radix(&size, 16).unwrap();
            if size == 0 {
                break;
            }
            let chunk = self.bytes(size);
            let whole = chunk.len() == size;
            reply.body.extend(chunk);
            if !whole {
                return None;
            }
            self.bytes(2);
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(());
            }
            reply.trailers.push(field(&line));
        }
    }
}

fn field(line: &[u8]) -> (String, Vec<u8>) {
    let colon = line.iter().position(|byte| *byte == b':').expect("a field line has a colon");
    let name = String::from_utf8(line[..colon].to_vec()).unwrap();
    (name, line[colon + 1..].trim_ascii().to_vec())
}
