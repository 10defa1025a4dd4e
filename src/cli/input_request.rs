//! A request as text: an HTTP/1.1 request, or a curl command.

use http::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, REFERER, USER_AGENT};
use http::{Method, Uri};

/// Maximum number of header fields.
const MAX_FIELDS: usize = 256;

/// A request.
#[derive(Debug)]
pub(super) struct InputRequest {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    /// The body, or as much of it as the text has.
    pub(super) body: Option<Vec<u8>>,
}

impl Default for InputRequest {
    fn default() -> Self {
        let (uri, headers) = (Uri::from_static("/"), HeaderMap::new());
        Self { method: Method::GET, uri, headers, body: None }
    }
}

impl InputRequest {
    /// Parses a request. Errors name the cause.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = bytes.trim_ascii_start();
        match text.strip_prefix(b"curl") {
            Some([byte, ..]) if byte.is_ascii_whitespace() => {
                let text = str::from_utf8(text).map_err(|_| "the curl command is not UTF-8")?;
                Self::from_curl(text)
            }
            _ => Self::from_head(text),
        }
    }

    /// Adds a field line `NAME: VALUE`.
    pub(super) fn add(&mut self, line: &str) -> Result<(), String> {
        let invalid = || format!("invalid header field `{line}`: use `NAME: VALUE`");
        let (name, value) = line.split_once(':').ok_or_else(invalid)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| invalid())?;
        self.append(name, value.trim())
    }

    fn append(&mut self, name: HeaderName, value: impl AsRef<[u8]>) -> Result<(), String> {
        let value = HeaderValue::from_bytes(value.as_ref())
            .map_err(|_| format!("invalid value of `{name}`: it has control characters"))?;
        self.headers.append(name, value);
        Ok(())
    }

    fn from_head(text: &[u8]) -> Result<Self, String> {
        // The empty line after the head may be missing in a copied text.
        let head = [text.trim_ascii_end(), b"\r\n\r\n"].concat();
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut fields);
        let done = parsed.parse(&head).map_err(|error| format!("invalid request head: {error}"))?;
        let (Some(method), Some(path), httparse::Status::Complete(end)) =
            (parsed.method, parsed.path, done)
        else {
            return Err("invalid request head: it is incomplete".to_owned());
        };
        let body = text.get(end..).filter(|body| !body.is_empty());
        let mut request = Self {
            method: method.parse().map_err(|_| format!("invalid method `{method}`"))?,
            body: body.map(<[u8]>::to_vec),
            ..Self::default()
        };
        for field in parsed.headers {
            let name = HeaderName::from_bytes(field.name.as_bytes())
                .map_err(|_| format!("invalid field name `{}`", field.name))?;
            request.append(name, field.value)?;
        }
        request.set_url(path)?;
        Ok(request)
    }

    /// Reads the options of curl that change the head: `-X`, `-I`, `-H`, `-b`, `-A`, `-e`, and those with a body.
    fn from_curl(text: &str) -> Result<Self, String> {
        let words =
            shell_words::split(text).map_err(|error| format!("invalid curl command: {error}"))?;
        let mut request = Self::default();
        let (mut method, mut url) = (None, None);
        let mut words = words.into_iter().skip(1);
        while let Some(word) = words.next() {
            let mut value =
                || words.next().ok_or_else(|| format!("the option `{word}` has no value"));
            match word.as_str() {
                "-X" | "--request" => method = Some(value()?),
                "-I" | "--head" => method = Some("HEAD".to_owned()),
                "-H" | "--header" => request.add(&value()?)?,
                "-b" | "--cookie" => request.append(COOKIE, value()?)?,
                "-A" | "--user-agent" => request.append(USER_AGENT, value()?)?,
                "-e" | "--referer" => request.append(REFERER, value()?)?,
                "-d" | "--data" | "--data-raw" | "--data-binary" | "--data-urlencode"
                | "--json" | "-F" | "--form" => {
                    // curl joins several values; rules match the start of the body.
                    let data = value()?.into_bytes();
                    request.body.get_or_insert(data);
                    method.get_or_insert_with(|| "POST".to_owned());
                }
                "--url" => url = Some(value()?),
                // The values of other options contain no URL.
                other if !other.starts_with('-') && (url.is_none() || other.contains("://")) => {
                    url = Some(word);
                }
                _ => {}
            }
        }
        let method = method.unwrap_or_else(|| "GET".to_owned());
        request.method = method.parse().map_err(|_| format!("invalid method `{method}`"))?;
        request.set_url(&url.ok_or("the curl command has no URL")?)?;
        Ok(request)
    }

    /// Sets path and query from a request target, and the host if the target has one.
    fn set_url(&mut self, target: &str) -> Result<(), String> {
        let uri: Uri =
            target.parse().map_err(|error| format!("invalid URL `{target}`: {error}"))?;
        if let Some(authority) = uri.authority() {
            self.headers.remove(HOST);
            self.append(HOST, authority.as_str())?;
        }
        let path = uri.path_and_query().cloned();
        self.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        match InputRequest::parse(text.as_bytes()) {
            Ok(InputRequest { method, uri, headers, body: _ }) => {
                let fields = headers.iter().map(|(name, value)| {
                    format!(" {name}={}", String::from_utf8_lossy(value.as_bytes()))
                });
                format!("{method} {uri}{}", fields.collect::<String>())
            }
            Err(error) => error,
        }
    }

    #[test]
    fn request_heads_and_curl_commands_are_parsed_and_errors_name_the_cause() {
        for (text, expected) in [
            (
                "GET /a?b HTTP/1.1\nHost: shop.example\nCookie: a=1\n",
                "GET /a?b host=shop.example cookie=a=1",
            ),
            (
                "POST http://shop.example/a HTTP/1.1\r\nHost: x\r\n\r\nbody",
                "POST /a host=shop.example",
            ),
            (
                "curl 'https://shop.example/a?b=1' -H 'Sec-GPC: 1' \\\n  -b 'a=1; b=2' --compressed",
                "GET /a?b=1 sec-gpc=1 cookie=a=1; b=2 host=shop.example",
            ),
            ("curl -sI -o out -X PUT https://shop.example", "PUT / host=shop.example"),
            ("curl https://shop.example/x -d a=1", "POST /x host=shop.example"),
            ("curl -I --url https://shop.example/x", "HEAD /x host=shop.example"),
            ("curl -H", "the option `-H` has no value"),
            ("curl -H a https://shop.example", "invalid header field `a`: use `NAME: VALUE`"),
            ("curl 'https://shop.example", "invalid curl command: missing closing quote"),
            ("curl -s", "the curl command has no URL"),
            ("GET", "invalid request head: invalid token"),
            ("", "invalid request head: it is incomplete"),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn the_body_of_a_request_starts_after_its_head_or_with_the_first_data_of_curl() {
        for (text, expected) in [
            ("POST /a HTTP/1.1\r\nHost: x\r\n\r\n{\"a\":1}\n", Some("{\"a\":1}\n")),
            ("POST /a HTTP/1.1\r\nHost: x\r\n\r\n", None),
            ("POST /a HTTP/1.1\nHost: x", None),
            ("curl https://shop.example/x -d a=1 -d b=2", Some("a=1")),
            ("curl https://shop.example/x", None),
        ] {
            let request = InputRequest::parse(text.as_bytes()).expect("a request");
            assert_eq!(request.body.as_deref(), expected.map(str::as_bytes), "{text}");
        }
    }
}
