//! Asks a running proxy's private listener.

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, header::HOST};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;

/// Where the private listener is, unless it is said.
pub(super) const DEFAULT: &str = "http://127.0.0.1:9090";

/// `--admin` of the commands that ask a running proxy.
#[derive(Debug, clap::Args)]
pub(super) struct AdminUrl {
    /// The private listener of a running proxy
    #[arg(long, value_name = "URL", env = "CONSENTRY_ADMIN", default_value = DEFAULT)]
    admin: String,
    /// Only this site
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
}

/// Sites by name, each with what was seen on it.
pub(super) type Sites = serde_json::Map<String, serde_json::Value>;

impl AdminUrl {
    /// A private listener, with all its sites.
    pub(super) fn at(admin: String) -> Self {
        Self { admin, site: None }
    }

    /// What a page of the private listener says.
    pub(super) fn text(&self, path: &str) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&self.ask(path)?).into_owned())
    }

    fn address(&self) -> &str {
        self.admin.strip_prefix("http://").unwrap_or(&self.admin).trim_end_matches('/')
    }

    fn ask(&self, path: &str) -> anyhow::Result<Bytes> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let address = self.address();
        let asked = async {
            let longest = std::time::Duration::from_secs(10);
            tokio::time::timeout(longest, get(address, path)).await.context("it does not answer")?
        };
        runtime
            .block_on(asked)
            .with_context(|| format!("the private listener at {address} cannot be asked"))
    }

    /// What passed by, by site.
    pub(super) fn inventory(&self) -> anyhow::Result<Sites> {
        let (address, body) = (self.address(), self.ask("/inventory")?);
        let mut sites: Sites = serde_json::from_slice(&body)
            .with_context(|| format!("what listens at {address} is not consentry"))?;
        if let Some(wanted) = &self.site {
            if !sites.contains_key(wanted) {
                let names: Vec<&str> = sites.keys().map(String::as_str).collect();
                bail!("there is no site `{wanted}`; there are {}", names.join(", "));
            }
            sites.retain(|name, _| name == wanted);
        }
        Ok(sites)
    }
}

async fn get(address: &str, path: &str) -> anyhow::Result<Bytes> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header(HOST, address).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if !response.status().is_success() {
        bail!("it answers {}", response.status());
    }
    Ok(response.into_body().collect().await?.to_bytes())
}
