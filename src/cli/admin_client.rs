//! Client of a running proxy's admin listener.

use std::path::PathBuf;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Address and token of an admin listener.
#[derive(Debug, clap::Args)]
pub(super) struct AdminUrl {
    /// Admin listener of a running proxy: a URL, or unix:PATH
    #[arg(
        long,
        value_name = "URL",
        env = "CONSENTRY_ADMIN",
        default_value = "http://127.0.0.1:9090"
    )]
    admin: String,
    /// File with the admin token
    #[arg(long, value_name = "FILE", env = "CONSENTRY_ADMIN_TOKEN_FILE")]
    admin_token_file: Option<PathBuf>,
}

/// Sites of a running proxy.
#[derive(Debug, clap::Args)]
pub(super) struct AdminSites {
    #[command(flatten)]
    admin: AdminUrl,
    /// Limit the output to this site
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
}

/// The inventories of the sites, by name.
pub(super) type Sites = serde_json::Map<String, serde_json::Value>;

impl AdminUrl {
    /// The response body of a path as text.
    pub(super) fn text(&self, path: &str) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&self.get(path)?).into_owned())
    }

    fn address(&self) -> &str {
        self.admin.strip_prefix("http://").unwrap_or(&self.admin).trim_end_matches('/')
    }

    fn get(&self, path: &str) -> anyhow::Result<Bytes> {
        let token = self.admin_token_file.as_deref().map(std::fs::read_to_string).transpose();
        let token = token.context("cannot read the token file")?;
        let token = token.as_deref().and_then(|text| text.lines().next()).map(str::trim);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let address = self.address();
        let response = async {
            let longest = std::time::Duration::from_secs(10);
            tokio::time::timeout(longest, get(address, path, token)).await.context("no response")?
        };
        runtime
            .block_on(response)
            .with_context(|| format!("cannot reach the admin listener at {address}"))
    }
}

impl AdminSites {
    /// The inventory of the selected site, or of all sites.
    pub(super) fn inventory(&self) -> anyhow::Result<Sites> {
        let (address, body) = (self.admin.address(), self.admin.get("/inventory")?);
        let mut sites: Sites = serde_json::from_slice(&body)
            .with_context(|| format!("the server at {address} is not consentry"))?;
        if let Some(site) = &self.site {
            if !sites.contains_key(site) {
                let names: Vec<&str> = sites.keys().map(String::as_str).collect();
                bail!("unknown site `{site}`: the sites are {}", names.join(", "));
            }
            sites.retain(|name, _| name == site);
        }
        Ok(sites)
    }
}

async fn get(address: &str, path: &str, token: Option<&str>) -> anyhow::Result<Bytes> {
    match address.strip_prefix("unix:") {
        Some(file) => exchange(UnixStream::connect(file).await?, "localhost", path, token).await,
        None => exchange(TcpStream::connect(address).await?, address, path, token).await,
    }
}

async fn exchange<S>(
    stream: S,
    host: &str,
    path: &str,
    token: Option<&str>,
) -> anyhow::Result<Bytes>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::get(path).header(HOST, host).body(Empty::<Bytes>::new())?;
    if let Some(token) = token {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let response = sender.send_request(request).await?;
    if !response.status().is_success() {
        bail!("unexpected status {}", response.status());
    }
    Ok(response.into_body().collect().await?.to_bytes())
}
