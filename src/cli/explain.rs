//! `explain`: explains the decisions about a request and its response.

use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use http::header::{COOKIE, HOST, HeaderValue};
use http::{Method, Uri};
use serde::Serialize;

use super::args::{load_offline, site_of_host, time};
use super::error::CliError;
use super::input_request::InputRequest;
use crate::catalogue::BodyStart;
use crate::clock::unix_now;
use crate::config::line_of;
use crate::config::settings::Mode;
use crate::consent::Categories;
use crate::filter::{ExplainedItem, Explanation, FilteredHead};
use crate::http::{Fields, named_host};
use crate::proxy::Site;

/// Maximum size of `--request`, in bytes.
const MAX_REQUEST: u64 = 256 * 1024;

/// Explain the decisions about a request and its response
///
/// Prints the consent, and the verdict on each cookie, beacon and query parameter. Each verdict has its category, and the
/// rule with its file and line, or the evidence. The verdicts are those of enforce mode.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// Config file [default: built-in catalogue and default settings]
    #[arg(long, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: Option<PathBuf>,
    /// Requested host, which selects the site [default: the host of --request]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Requested path and query [default: `/`, or the path of --request]
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Request method [default: GET, or the method of --request]
    #[arg(long, value_name = "METHOD")]
    method: Option<Method>,
    /// Header field of the request, `NAME: VALUE`; repeatable. Fields of trusted proxies are honoured
    #[arg(long = "header", short = 'H', value_name = "FIELD")]
    fields: Vec<String>,
    /// File with the head of a request, or with a curl command; `-` for standard input
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// `Set-Cookie` line of the response; repeatable
    #[arg(long = "set-cookie", value_name = "LINE")]
    set_cookies: Vec<String>,
    /// Current time for age checks: Unix seconds, a date or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    at: Option<i64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Value of a Cookie header
    #[arg(value_name = "COOKIE-HEADER")]
    cookie: Option<String>,
}

#[derive(Serialize)]
struct Output<'a> {
    site: &'a str,
    mode: &'static str,
    consent: ConsentOutput<'a>,
    /// `None` if no beacon rule matches.
    beacon: Option<ItemOutput<'a>>,
    parameters: Vec<ItemOutput<'a>>,
    cookies: Vec<ItemOutput<'a>>,
    set_cookies: Vec<ItemOutput<'a>>,
}

#[derive(Serialize)]
struct ConsentOutput<'a> {
    decided: bool,
    source: Option<&'a str>,
    granted: Vec<&'a str>,
    reason: &'a str,
}

#[derive(Serialize)]
struct ItemOutput<'a> {
    name: &'a str,
    verdict: &'static str,
    /// `None` for an unclassified cookie.
    category: Option<&'a str>,
    vendor: Option<&'a str>,
    rule: Option<&'a str>,
    /// The position of the rule: `FILE:LINE`.
    position: Option<String>,
    evidence: Option<&'static str>,
}

impl ExplainArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        let request = self.input_request()?;
        let config = load_offline(self.config.as_deref(), None)?;
        let host = named_host(&request.headers).unwrap_or_default().to_owned();
        let site = site_of_host(config, &host, request.uri.path())?;
        let head = FilteredHead {
            method: &request.method,
            uri: &request.uri,
            host: Some(&host),
            fields: &request.headers,
            body: request.body.as_deref().map_or(BodyStart::Unavailable, BodyStart::Read),
        };
        let lines: Vec<&[u8]> =
            self.set_cookies.iter().map(|line| set_cookie_value(line)).collect();
        let now = self.at.unwrap_or_else(unix_now);
        let explanation = site.filter.explain(&head, &lines, (true, now));
        let output = output(&site, &explanation);
        let mut out = BufWriter::new(io::stdout().lock());
        match self.json {
            true => {
                serde_json::to_writer_pretty(&mut out, &output).map_err(io::Error::from)?;
                writeln!(out)?;
            }
            false => write(&output, &request, &mut out)?,
        }
        Ok(out.flush()?)
    }

    /// The request of `--request`, with the other arguments in place of its parts.
    fn input_request(&self) -> Result<InputRequest, CliError> {
        let mut request = match &self.request {
            Some(path) => InputRequest::parse(&read(path)?).map_err(CliError::Usage)?,
            None => InputRequest::default(),
        };
        if let Some(method) = &self.method {
            request.method = method.clone();
        }
        if let Some(path) = &self.path {
            request.uri = path
                .parse::<Uri>()
                .map_err(|error| CliError::Usage(format!("invalid --path `{path}`: {error}")))?;
        }
        for field in &self.fields {
            request.add(field).map_err(CliError::Usage)?;
        }
        if let Some(cookie) = &self.cookie {
            let value = cookie.strip_prefix("Cookie:").unwrap_or(cookie).trim();
            request.headers.insert(COOKIE, field_value(value)?);
        }
        if let Some(host) = &self.host {
            request.headers.insert(HOST, field_value(host)?);
        }
        match request.headers.has(&HOST) {
            true => Ok(request),
            false => Err(CliError::Usage("missing host: add --host HOST".to_owned())),
        }
    }
}

fn field_value(text: &str) -> Result<HeaderValue, CliError> {
    HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| CliError::Usage("invalid field value: it has control characters".to_owned()))
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = match path.to_str() {
        Some("-") => io::stdin().lock().take(MAX_REQUEST).read_to_end(&mut bytes),
        _ => std::fs::File::open(path)
            .and_then(|file| file.take(MAX_REQUEST).read_to_end(&mut bytes)),
    };
    read.map_err(|error| CliError::Usage(format!("cannot read {}: {error}", path.display())))?;
    Ok(bytes)
}

/// The value of a line that may begin with the field name.
fn set_cookie_value(line: &str) -> &[u8] {
    let name = "set-cookie:";
    match line.get(..name.len()) {
        Some(start) if start.eq_ignore_ascii_case(name) => {
            line.get(name.len()..).unwrap_or_default().trim().as_bytes()
        }
        _ => line.as_bytes(),
    }
}

fn output<'a>(site: &'a Site, explanation: &'a Explanation<'_>) -> Output<'a> {
    let settings = site.filter.settings();
    let reader = &settings.reader;
    let Explanation { consent, reason, beacon, parameters, cookies, set_cookies } = explanation;
    let items = |items: &'a [ExplainedItem<'_>]| {
        items.iter().map(|item| item_output(item, &reader.categories)).collect()
    };
    Output {
        site: &site.name,
        mode: Mode::as_str(settings.mode),
        consent: ConsentOutput {
            decided: consent.is_decided(),
            source: reader.source_name(consent),
            granted: reader.categories.names_of(consent.granted),
            reason,
        },
        beacon: beacon.as_ref().map(|beacon| item_output(beacon, &reader.categories)),
        parameters: items(parameters),
        cookies: items(cookies),
        set_cookies: items(set_cookies),
    }
}

fn item_output<'a>(item: &'a ExplainedItem<'_>, categories: &'a Categories) -> ItemOutput<'a> {
    let entry = item.rule.map(|(_, entry)| entry);
    let position = entry.and_then(|entry| entry.position.as_ref());
    ItemOutput {
        name: &item.name,
        verdict: item.verdict.as_str(),
        category: entry.map(|entry| categories.name(entry.category)),
        vendor: entry.and_then(|entry| entry.vendor.as_deref()),
        rule: item.rule.map(|(pattern, _)| pattern),
        position: position.map(|position| match line_of(position) {
            Some(line) => format!("{}:{line}", position.file),
            None => position.file.to_string(),
        }),
        evidence: item.evidence,
    }
}

fn write(output: &Output<'_>, request: &InputRequest, out: &mut impl Write) -> io::Result<()> {
    let Output { site, mode, consent, beacon, parameters, cookies, set_cookies } = output;
    writeln!(out, "site        {site} (mode {mode})")?;
    writeln!(out, "consent     {}", consent.reason)?;
    writeln!(out, "granted     {}", consent.granted.join(", "))?;
    write!(out, "request     {} {}: ", request.method, request.uri.path())?;
    match beacon {
        Some(beacon) => {
            writeln!(out, "{} as a beacon", beacon.verdict)?;
            write_item("beacon", beacon, out)?;
        }
        None => writeln!(out, "pass, no beacon rule matches")?,
    }
    for (kind, items) in
        [("parameter", parameters), ("cookie", cookies), ("set-cookie", set_cookies)]
    {
        for item in items {
            write_item(kind, item, out)?;
        }
    }
    Ok(())
}

fn write_item(kind: &str, item: &ItemOutput<'_>, out: &mut impl Write) -> io::Result<()> {
    let ItemOutput { name, verdict, category, vendor, rule, position, evidence } = item;
    write!(out, "{kind:<11} {verdict:<6}  {name}: {}", category.unwrap_or("unclassified"))?;
    if let Some(vendor) = vendor {
        write!(out, ", {vendor}")?;
    }
    if let Some(rule) = rule {
        write!(out, ", rule `{rule}`")?;
    }
    if let Some(position) = position {
        write!(out, " ({position})")?;
    }
    if let Some(evidence) = evidence {
        write!(out, ", {evidence}")?;
    }
    writeln!(out)
}
