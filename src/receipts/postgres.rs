//! Receipts on a PostgreSQL server, for several replicas.

use std::path::Path;
use std::time::Duration;

use postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::ReceiptsError;
use super::receipt::Receipt;
use super::store::{Place, Store};
use crate::config::settings::Durability;
use crate::tls::{UpstreamTls, authorities};

/// How long to wait for the server, to connect and to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A PostgreSQL server with receipts.
pub(super) struct Postgres {
    client: Client,
}

impl Postgres {
    /// Connects, and makes the table where there is none.
    pub(super) fn open(
        url: &str,
        ca_file: Option<&Path>,
        durability: Durability,
    ) -> Result<Self, ReceiptsError> {
        let mut config: Config = url.parse().map_err(|_| ReceiptsError::Url)?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(PATIENCE);
        }
        if config.get_application_name().is_none() {
            config.application_name("consentry");
        }
        let mut client = config.connect(tls(ca_file)?)?;
        client.batch_execute("SET statement_timeout TO 5000")?;
        if durability == Durability::Strict {
            // Whatever the server's own setting is.
            client.batch_execute("SET synchronous_commit TO on")?;
        }
        let table = client.query_one("SELECT to_regclass('consent_receipts') IS NOT NULL", &[])?;
        // Only where it is missing: who may insert may not always create.
        if !table.try_get::<_, bool>(0)? {
            client.batch_execute(
                "CREATE TABLE IF NOT EXISTS consent_receipts (
                     id TEXT PRIMARY KEY, time BIGINT NOT NULL, site TEXT NOT NULL, receipt JSONB NOT NULL
                 );
                 CREATE INDEX IF NOT EXISTS consent_receipts_time ON consent_receipts (time, id);",
            )?;
        }
        Ok(Self { client })
    }
}

/// TLS for a server that offers it (`sslmode` of the URL says whether it must).
fn tls(ca_file: Option<&Path>) -> Result<MakeRustlsConnect, ReceiptsError> {
    let failed = |reason: String| {
        let path = ca_file.unwrap_or(Path::new("(built in)")).to_owned();
        ReceiptsError::Certificates { path, reason }
    };
    let trusted = ca_file.map(|path| {
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        authorities(&pem).map_err(|error| failed(error.to_string()))
    });
    let server = UpstreamTls { authorities: trusted.transpose()?, ..UpstreamTls::default() };
    let config = server.client_config(&[]).map_err(|error| failed(error.to_string()))?;
    Ok(MakeRustlsConnect::new(config))
}

impl Store for Postgres {
    fn insert(&mut self, receipts: &[Receipt]) -> Result<(), ReceiptsError> {
        let mut transaction = self.client.transaction()?;
        let insert = transaction.prepare(
            "INSERT INTO consent_receipts (id, time, site, receipt) VALUES ($1, $2, $3, $4::text::jsonb)
             ON CONFLICT (id) DO NOTHING",
        )?;
        for receipt in receipts {
            let text = serde_json::to_string(receipt)?;
            let stored_at = receipt.stored_at();
            transaction.execute(&insert, &[&receipt.id, &stored_at, &receipt.site, &text])?;
        }
        Ok(transaction.commit()?)
    }

    fn page(&mut self, after: &Place, most: u32) -> Result<Vec<Receipt>, ReceiptsError> {
        let rows = self.client.query(
            "SELECT receipt::text FROM consent_receipts WHERE (time, id) > ($1, $2)
             ORDER BY time, id LIMIT $3",
            &[&after.time, &after.id, &i64::from(most)],
        )?;
        rows.iter().map(|row| Ok(serde_json::from_str(row.try_get(0)?)?)).collect()
    }

    fn find(&mut self, id: &str) -> Result<Option<Receipt>, ReceiptsError> {
        let row = self
            .client
            .query_opt("SELECT receipt::text FROM consent_receipts WHERE id = $1", &[&id])?;
        row.map(|row| Ok(serde_json::from_str(row.try_get(0)?)?)).transpose()
    }

    fn prune(&mut self, before: i64) -> Result<u64, ReceiptsError> {
        Ok(self.client.execute("DELETE FROM consent_receipts WHERE time < $1", &[&before])?)
    }
}
