//! An origin that answers each request with scripted bytes, and records the requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use super::PATIENCE;

/// A request received by the origin.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The request line.
    pub line: String,
    /// The header fields in the order received, names as sent.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body, with chunked coding removed.
    pub body: Vec<u8>,
    /// The trailer lines after a chunked body.
    pub trailers: Vec<String>,
    /// The index of the connection.
    pub connection: usize,
}

impl Seen {
    pub fn field(&self, name: &str) -> Option<String> {
        let values = self.values(name);
        assert!(values.len() <= 1, "{name} came {} times: {values:?}", values.len());
        values.into_iter().next()
    }

    pub fn values(&self, name: &str) -> Vec<String> {
        let same = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        same.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }
}

type Script = dyn Fn(&Seen, &mut TcpStream) -> bool + Send + Sync;

pub struct Origin {
    pub address: SocketAddr,
    seen: Mutex<Receiver<Seen>>,
    closed: Mutex<Receiver<usize>>,
}

impl Origin {
    /// Answers each request with the same bytes, and keeps the connection open.
    pub fn answering(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::scripted(move |_, stream| stream.write_all(&response).is_ok())
    }

    /// Answers 200 with these `Set-Cookie` lines.
    pub fn setting(cookies: &[&str]) -> Self {
        let lines: String = cookies.iter().map(|line| format!("Set-Cookie: {line}\r\n")).collect();
        Self::answering(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok"))
    }

    /// The script answers. If it returns `false`, the connection is closed.
    pub fn scripted(
        script: impl Fn(&Seen, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen_by, seen) = mpsc::channel();
        let (closed_by, closed) = mpsc::channel();
        let script: Arc<Script> = Arc::new(script);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (script, seen_by, closed_by) =
                    (Arc::clone(&script), seen_by.clone(), closed_by.clone());
                thread::spawn(move || {
                    serve(stream.unwrap(), number, &*script, &seen_by);
                    let _ = closed_by.send(number);
                });
            }
        });
        Self { address, seen: Mutex::new(seen), closed: Mutex::new(closed) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for the next request.
    pub fn next(&self) -> Seen {
        self.seen.lock().unwrap().recv_timeout(PATIENCE).expect("a request reaches the origin")
    }

    /// The next request, if one has already arrived.
    pub fn next_if_any(&self) -> Option<Seen> {
        self.seen.lock().unwrap().try_recv().ok()
    }

    /// Whether no further request has arrived.
    pub fn saw_nothing(&self) -> bool {
        self.next_if_any().is_none()
    }

    /// Waits for the next connection that the proxy closes.
    pub fn next_closed(&self) -> usize {
        self.closed.lock().unwrap().recv_timeout(PATIENCE).expect("a connection is closed")
    }
}

fn serve(mut stream: TcpStream, connection: usize, script: &Script, seen: &Sender<Seen>) {
    stream.set_read_timeout(Some(PATIENCE * 2)).unwrap();
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer, connection) {
        let _ = seen.send(request.clone());
        if !script(&request, &mut stream) {
            return;
        }
    }
}

/// Reads more bytes into the buffer. `None` at the end.
fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 16 * 1024];
    match stream.read(&mut chunk) {
        Ok(0) | Err(_) => None,
        Ok(count) => {
            buffer.extend_from_slice(&chunk[..count]);
            Some(())
        }
    }
}

fn take_line(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = buffer.windows(2).position(|pair| pair == b"\r\n") {
            let rest = buffer.split_off(at + 2);
            let mut line = std::mem::replace(buffer, rest);
            line.truncate(at);
            return Some(line);
        }
        more(stream, buffer)?;
    }
}

fn take(stream: &mut TcpStream, buffer: &mut Vec<u8>, count: usize) -> Option<Vec<u8>> {
    while buffer.len() < count {
        more(stream, buffer)?;
    }
    let rest = buffer.split_off(count);
    Some(std::mem::replace(buffer, rest))
}

fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    let line = String::from_utf8_lossy(&take_line(stream, buffer)?).into_owned();
    let mut seen =
        Seen { line, fields: Vec::new(), body: Vec::new(), trailers: Vec::new(), connection };
    loop {
        let line = take_line(stream, buffer)?;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').expect("a field line has a colon");
        let name = String::from_utf8(line[..colon].to_vec()).expect("a field name is ASCII");
        seen.fields.push((name, line[colon + 1..].trim_ascii().to_vec()));
    }
    if let Some(length) = seen.field("content-length") {
        seen.body = take(stream, buffer, length.parse().unwrap())?;
    } else if seen.field("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        loop {
            let size = String::from_utf8(take_line(stream, buffer)?).unwrap();
            let size = usize::from_str_radix(&size, 16).expect("a chunk size");
            if size == 0 {
                break;
            }
            seen.body.extend(take(stream, buffer, size)?);
            take(stream, buffer, 2)?;
        }
        loop {
            let line = String::from_utf8_lossy(&take_line(stream, buffer)?).into_owned();
            if line.is_empty() {
                break;
            }
            seen.trailers.push(line);
        }
    }
    Some(seen)
}
