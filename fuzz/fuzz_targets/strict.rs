//! Requests by the grammar of RFC 9112, parsed without any code of consentry: the oracle of `exchange`.
//!
//! Besides the grammar it accepts only the deviations that consentry accepts on purpose. They are lines that end with LF
//! alone and empty lines before a request (section 2.2), and higher minor versions (RFC 9110 section 2.5). Bytes above 0x7f
//! in targets and control characters in field values (RFC 9110 section 5.5) are accepted too.

use crate::grammar;

/// A request with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    /// The minor version.
    pub minor: u8,
    /// Names in lower case.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Whether another request can follow.
    pub is_persistent: bool,
    /// Whether a line of the head ends with LF alone.
    pub has_bare_lf: bool,
}

/// The start of some bytes.
#[derive(Debug)]
pub enum Next {
    /// A request, and its length.
    Complete(Request, usize),
    /// A head and a truncated or malformed body.
    BrokenBody(Request),
    /// An incomplete head, or nothing.
    CutHead,
    Invalid,
}

/// Why parsing stops before the end.
enum Stop {
    Cut,
    Invalid,
}

impl Request {
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = move |field: &&(Vec<u8>, Vec<u8>)| field.0 == name.as_bytes();
        self.fields.iter().filter(named).map(|(_, value)| &value[..])
    }

    /// The target as an origin sees it: without scheme, host and fragment (RFC 9112 section 3.2.1). Bytes that a
    /// URI cannot contain are percent-encoded.
    pub fn origin_form(&self) -> Vec<u8> {
        let target = match self.target.windows(3).position(|part| part == b"://") {
            Some(at) if !self.target.starts_with(b"/") => {
                let rest = &self.target[at + 3..];
                let path = rest
                    .iter()
                    .position(|byte| matches!(byte, b'/' | b'?'))
                    .map_or(&b""[..], |at| &rest[at..]);
                match path.first() {
                    Some(b'/') => path.to_vec(),
                    None if self.method == b"OPTIONS" => b"*".to_vec(),
                    _ => [b"/", path].concat(),
                }
            }
            _ => self.target.clone(),
        };
        let end = target.iter().position(|byte| *byte == b'#').unwrap_or(target.len());
        let mut form = Vec::new();
        for byte in &target[..end] {
            match byte {
                b'"' | b'<' | b'>' | b'^' | b'`' | 0x7f.. => {
                    form.extend_from_slice(format!("%{byte:02X}").as_bytes())
                }
                byte => form.push(*byte),
            }
        }
        form
    }

    /// Whether a request may be retried (RFC 9110 section 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        [&b"GET"[..], b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"].contains(&&self.method[..])
    }
}

/// Parses the start of the bytes.
pub fn next(bytes: &[u8]) -> Next {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let mut reader = Reader { bytes, at: start, has_bare_lf: false };
    let mut request = match reader.head() {
        Ok(request) => request,
        Err(Stop::Cut) => return Next::CutHead,
        Err(Stop::Invalid) => return Next::Invalid,
    };
    let Ok(framing) = framing(&request) else { return Next::Invalid };
    let body = match framing {
        Body::Sized(size) => reader.sized(size, &mut request.body),
        Body::Chunked => {
            // With both fields it can be request smuggling (section 6.1).
            let has_length = request.values("content-length").next().is_some();
            request.is_persistent &= !has_length;
            reader.chunked(&mut request.body)
        }
    };
    match body {
        Ok(()) => Next::Complete(request, reader.at),
        Err(_) => Next::BrokenBody(request),
    }
}

enum Body {
    Sized(usize),
    Chunked,
}

/// The framing of a request body by RFC 9112 section 6.3.
fn framing(request: &Request) -> Result<Body, Stop> {
    let elements = |name| {
        let lines: Vec<&[u8]> = request.values(name).collect();
        let joined = lines.join(&b',');
        joined
            .split(|byte| *byte == b',')
            .map(|element| element.trim_ascii().to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    let lengths = elements("content-length");
    let mut length = 0;
    if request.values("content-length").next().is_some() {
        let digits =
            |element: &Vec<u8>| !element.is_empty() && element.iter().all(u8::is_ascii_digit);
        let number = |element: &Vec<u8>| {
            digits(element)
                .then(|| std::str::from_utf8(element).ok()?.parse::<u64>().ok())
                .flatten()
        };
        let numbers: Option<Vec<u64>> = lengths.iter().map(number).collect();
        let numbers = numbers.ok_or(Stop::Invalid)?;
        if numbers.iter().any(|number| *number != numbers[0]) {
            return Err(Stop::Invalid);
        }
        length = usize::try_from(numbers[0]).unwrap_or(usize::MAX);
    }
    if request.values("transfer-encoding").next().is_none() {
        return Ok(Body::Sized(length));
    }
    let codings: Vec<_> =
        elements("transfer-encoding").into_iter().filter(|coding| !coding.is_empty()).collect();
    match codings == [b"chunked"] && request.minor > 0 {
        true => Ok(Body::Chunked),
        false => Err(Stop::Invalid),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    has_bare_lf: bool,
}

impl<'a> Reader<'a> {
    /// The next line, without its line end.
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(Stop::Cut)?;
        self.at += end + 1;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or_else(|| {
            self.has_bare_lf = true;
            &rest[..end]
        });
        // A CR alone is not a line end, and invalid within a line.
        if line.contains(&b'\r') { Err(Stop::Invalid) } else { Ok(line) }
    }

    fn head(&mut self) -> Result<Request, Stop> {
        let line = self.line()?;
        let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let &[method, target, version] = &parts[..] else { return Err(Stop::Invalid) };
        let &[b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'] = version else {
            return Err(Stop::Invalid);
        };
        let is_target =
            !target.is_empty() && target.iter().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..));
        if !is_token(method) || !is_target {
            return Err(Stop::Invalid);
        }
        let minor = minor - b'0';
        let fields = self.fields()?;
        let (method, target) = (method.to_vec(), target.to_vec());
        let has_bare_lf = self.has_bare_lf;
        let mut request = Request {
            method,
            target,
            minor,
            fields,
            body: Vec::new(),
            is_persistent: false,
            has_bare_lf,
        };
        let hosts = request.values("host").count();
        if hosts > 1 || hosts == 0 && minor > 0 {
            return Err(Stop::Invalid);
        }
        let has = |option: &[u8]| {
            let mut options =
                request.values("connection").flat_map(|value| value.split(|byte| *byte == b','));
            options.any(|value| value.trim_ascii().eq_ignore_ascii_case(option))
        };
        request.is_persistent = !has(b"close") && (minor > 0 || has(b"keep-alive"));
        Ok(request)
    }

    /// The field lines up to the empty line.
    fn fields(&mut self) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Stop> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let colon = line.iter().position(|byte| *byte == b':').ok_or(Stop::Invalid)?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            let is_value = value.iter().all(|byte| !matches!(byte, 0 | 0x0b | 0x0c));
            if !is_token(name) || !is_value {
                return Err(Stop::Invalid);
            }
            fields.push((name.to_ascii_lowercase(), value.trim_ascii().to_vec()));
        }
    }

    fn sized(&mut self, size: usize, body: &mut Vec<u8>) -> Result<(), Stop> {
        let rest = &self.bytes[self.at..];
        let count = size.min(rest.len());
        body.extend_from_slice(&rest[..count]);
        self.at += count;
        if count < size { Err(Stop::Cut) } else { Ok(()) }
    }

    /// Parses a chunked body by RFC 9112 section 7.1. Lines end with CRLF.
    fn chunked(&mut self, body: &mut Vec<u8>) -> Result<(), Stop> {
        self.has_bare_lf = false;
        loop {
            let line = self.line()?;
            let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            let (digits, extension) = line.split_at(digits);
            let digits = std::str::from_utf8(digits).unwrap_or_default();
            if self.has_bare_lf || digits.is_empty() || !grammar::is_extension(extension) {
                return Err(Stop::Invalid);
            }
            let size = u64::from_str_radix(digits, 16).map_err(|_| Stop::Invalid)?;
            if size == 0 {
                break;
            }
            self.sized(usize::try_from(size).unwrap_or(usize::MAX), body)?;
            match self.bytes.get(self.at..self.at + 2) {
                Some(b"\r\n") => self.at += 2,
                Some(_) => return Err(Stop::Invalid),
                None => return Err(Stop::Cut),
            }
        }
        self.fields()?;
        if self.has_bare_lf { Err(Stop::Invalid) } else { Ok(()) }
    }
}

fn is_token(bytes: &[u8]) -> bool {
    let is_char = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_char)
}
