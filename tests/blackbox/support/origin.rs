//! An origin that responds to each request with scripted bytes, and records the requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use super::TIMEOUT;

/// A request received by the origin.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
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

impl ReceivedRequest {
    pub fn field(&self, name: &str) -> Option<String> {
        let values = self.values(name);
        assert!(values.len() <= 1, "{name} arrived {} times: {values:?}", values.len());
        values.into_iter().next()
    }

    pub fn values(&self, name: &str) -> Vec<String> {
        let same = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        same.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }
}

type Script = dyn Fn(&ReceivedRequest, &mut TcpStream) -> bool + Send + Sync;

pub struct Origin {
    pub address: SocketAddr,
    requests: Mutex<Receiver<ReceivedRequest>>,
    closed: Mutex<Receiver<usize>>,
}

impl Origin {
    /// Responds to each request with the same bytes, and keeps the connection open.
    pub fn responding(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::scripted(move |_, stream| stream.write_all(&response).is_ok())
    }

    /// Responds 200 with these `Set-Cookie` lines.
    pub fn setting_cookies(cookies: &[&str]) -> Self {
        let lines: String = cookies.iter().map(|line| format!("Set-Cookie: {line}\r\n")).collect();
        Self::responding(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok"))
    }

    /// Responds with a script. If it returns `false`, the connection is closed.
    pub fn scripted(
        script: impl Fn(&ReceivedRequest, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (request_sender, requests) = mpsc::channel();
        let (closed_sender, closed) = mpsc::channel();
        let script: Arc<Script> = Arc::new(script);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (script, request_sender, closed_sender) =
                    (Arc::clone(&script), request_sender.clone(), closed_sender.clone());
                thread::spawn(move || {
                    serve(stream.unwrap(), number, &*script, &request_sender);
                    let _ = closed_sender.send(number);
                });
            }
        });
        Self { address, requests: Mutex::new(requests), closed: Mutex::new(closed) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for the next request.
    pub fn next_request(&self) -> ReceivedRequest {
        self.requests.lock().unwrap().recv_timeout(TIMEOUT).expect("a request reaches the origin")
    }

    /// The next request, if one has already arrived.
    pub fn try_next_request(&self) -> Option<ReceivedRequest> {
        self.requests.lock().unwrap().try_recv().ok()
    }

    /// Whether no further request has arrived.
    pub fn received_nothing(&self) -> bool {
        self.try_next_request().is_none()
    }

    /// Waits for the next connection that the proxy closes.
    pub fn next_closed_connection(&self) -> usize {
        self.closed.lock().unwrap().recv_timeout(TIMEOUT).expect("a connection is closed")
    }
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    script: &Script,
    requests: &Sender<ReceivedRequest>,
) {
    stream.set_read_timeout(Some(TIMEOUT * 2)).unwrap();
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer, connection) {
        let _ = requests.send(request.clone());
        if !script(&request, &mut stream) {
            return;
        }
    }
}

/// Reads more bytes into the buffer. `None` at the end.
fn fill_buffer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 16 * 1024];
    match stream.read(&mut chunk) {
        Ok(0) | Err(_) => None,
        Ok(count) => {
            buffer.extend_from_slice(&chunk[..count]);
            Some(())
        }
    }
}

fn read_line(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = buffer.windows(2).position(|pair| pair == b"\r\n") {
            let rest = buffer.split_off(at + 2);
            let mut line = std::mem::replace(buffer, rest);
            line.truncate(at);
            return Some(line);
        }
        fill_buffer(stream, buffer)?;
    }
}

fn read_exact(stream: &mut TcpStream, buffer: &mut Vec<u8>, count: usize) -> Option<Vec<u8>> {
    while buffer.len() < count {
        fill_buffer(stream, buffer)?;
    }
    let rest = buffer.split_off(count);
    Some(std::mem::replace(buffer, rest))
}

fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    connection: usize,
) -> Option<ReceivedRequest> {
    let line = String::from_utf8_lossy(&read_line(stream, buffer)?).into_owned();
    let mut request = ReceivedRequest {
        line,
        fields: Vec::new(),
        body: Vec::new(),
        trailers: Vec::new(),
        connection,
    };
    loop {
        let line = read_line(stream, buffer)?;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').expect("a field line has a colon");
        let name = String::from_utf8(line[..colon].to_vec()).expect("a field name is ASCII");
        request.fields.push((name, line[colon + 1..].trim_ascii().to_vec()));
    }
    if let Some(length) = request.field("content-length") {
        request.body = read_exact(stream, buffer, length.parse().unwrap())?;
    } else if request.field("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        loop {
            let size = String::from_utf8(read_line(stream, buffer)?).unwrap();
            let size = usize::from_str_radix(&size, 16).expect("a chunk size");
            if size == 0 {
                break;
            }
            request.body.extend(read_exact(stream, buffer, size)?);
            read_exact(stream, buffer, 2)?;
        }
        loop {
            let line = String::from_utf8_lossy(&read_line(stream, buffer)?).into_owned();
            if line.is_empty() {
                break;
            }
            request.trailers.push(line);
        }
    }
    Some(request)
}
