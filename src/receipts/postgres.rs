//! Receipts on a PostgreSQL server, for several replicas.

use std::path::Path;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::ReceiptsError;
use super::receipt::Receipt;
use super::store::{Cursor, PRUNED_AT_ONCE, Store};
use crate::config::settings::Durability;
use crate::tls::{UpstreamTls, authorities};

/// Key of the advisory lock for creating the table, one replica at a time: "consentr" in ASCII.
const TABLE_LOCK: i64 = i64::from_be_bytes(*b"consentr");

/// A connection to a PostgreSQL server. Each operation has a time limit, even if the server hangs.
pub(super) struct Postgres {
    client: Client,
    /// `None` only during drop.
    runtime: Option<Runtime>,
    within: Duration,
}

impl Postgres {
    /// Connects, and creates a missing table, within `within` in total.
    pub(super) fn open(
        url: &str,
        ca_file: Option<&Path>,
        durability: Durability,
        within: Duration,
    ) -> Result<Self, ReceiptsError> {
        let mut config: Config = url.parse().map_err(|_| ReceiptsError::Url)?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(within);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(within);
        }
        if config.get_application_name().is_none() {
            config.application_name("consentry");
        }
        let tls = tls(ca_file)?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(ReceiptsError::Thread)?;
        let opened = runtime.block_on(with_timeout(within, async {
            let (client, connection) = config.connect(tls).await?;
            // A connection error is also returned by the statement in flight.
            drop(tokio::spawn(connection));
            prepare(&client, durability, within).await?;
            Ok(client)
        }));
        match opened {
            Ok(client) => Ok(Self { client, runtime: Some(runtime), within }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    fn run<T>(
        &mut self,
        operation: impl AsyncFnOnce(&mut Client) -> Result<T, ReceiptsError>,
    ) -> Result<T, ReceiptsError> {
        let Self { client, runtime, within } = self;
        let Some(runtime) = runtime else { return Err(ReceiptsError::Timeout(*within)) };
        runtime.block_on(with_timeout(*within, operation(client)))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A DNS lookup may still block one of the runtime's threads.
            runtime.shutdown_background();
        }
    }
}

async fn with_timeout<T>(
    within: Duration,
    operation: impl Future<Output = Result<T, ReceiptsError>>,
) -> Result<T, ReceiptsError> {
    let done = tokio::time::timeout(within, operation).await;
    done.unwrap_or(Err(ReceiptsError::Timeout(within)))
}

/// Configures the session, and creates the table if it is missing.
async fn prepare(
    client: &Client,
    durability: Durability,
    within: Duration,
) -> Result<(), ReceiptsError> {
    // The server's limit is slightly shorter than the client's, so that no abandoned statement keeps running.
    let limit = within.as_millis().saturating_mul(9) / 10;
    let commit = match durability {
        // The server's own setting may be weaker.
        Durability::Strict => "SET synchronous_commit TO on;",
        Durability::Batch => "",
    };
    let session = format!(
        "SET statement_timeout TO {limit}; SET lock_timeout TO {limit};
         SET idle_in_transaction_session_timeout TO {limit}; {commit}"
    );
    client.batch_execute(&session).await?;
    let exists = "SELECT to_regclass('consent_receipts') IS NOT NULL";
    // A user with the right to insert may have no right to create.
    if client.query_one(exists, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(());
    }
    // `IF NOT EXISTS` does not protect against another session that creates the same table.
    let create = format!(
        "BEGIN;
         SELECT pg_advisory_xact_lock({TABLE_LOCK});
         CREATE TABLE IF NOT EXISTS consent_receipts (
             id TEXT PRIMARY KEY, time BIGINT NOT NULL, site TEXT NOT NULL, receipt JSONB NOT NULL
         );
         CREATE INDEX IF NOT EXISTS consent_receipts_time ON consent_receipts (time, id);
         COMMIT;"
    );
    Ok(client.batch_execute(&create).await?)
}

/// TLS, if the server offers it. `sslmode` in the URL can require it.
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
    fn insert_if(
        &mut self,
        receipts: &[Receipt],
        commit: &dyn Fn() -> bool,
    ) -> Result<(), ReceiptsError> {
        let texts = receipts.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<&str> = receipts.iter().map(|receipt| receipt.id.as_str()).collect();
        let times: Vec<i64> = receipts.iter().map(Receipt::stored_at).collect();
        let sites: Vec<&str> = receipts.iter().map(|receipt| receipt.site.as_str()).collect();
        self.run(async |client| {
            // Closing the connection before COMMIT rolls an open transaction back.
            let transaction = client.transaction().await?;
            let insert = "INSERT INTO consent_receipts (id, time, site, receipt)
                 SELECT id, time, site, receipt::jsonb
                 FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[])
                     AS added (id, time, site, receipt)
                 ORDER BY id
                 ON CONFLICT (id) DO NOTHING";
            transaction.execute(insert, &[&ids, &times, &sites, &texts]).await?;
            if !commit() {
                transaction.rollback().await?;
                return Err(ReceiptsError::Cancelled);
            }
            Ok(transaction.commit().await?)
        })
    }

    fn erase(&mut self, ids: &[String], now: i64) -> Result<(), ReceiptsError> {
        self.run(async |client| {
            let erase = "INSERT INTO consent_receipts (id, time, site, receipt)
                 SELECT id, $2::bigint, '', 'null'::jsonb FROM unnest($1::text[]) AS erased (id)
                 ORDER BY id
                 ON CONFLICT (id) DO UPDATE
                     SET time = excluded.time, site = excluded.site, receipt = excluded.receipt";
            client.execute(erase, &[&ids, &now]).await?;
            Ok(())
        })
    }

    fn page(&mut self, after: &Cursor, limit: u32) -> Result<Vec<Receipt>, ReceiptsError> {
        self.run(async |client| {
            let select = "SELECT receipt::text FROM consent_receipts
                 WHERE (time, id) > ($1, $2) AND receipt <> 'null'::jsonb
                 ORDER BY time, id LIMIT $3";
            let rows = client.query(select, &[&after.time, &after.id, &i64::from(limit)]).await?;
            rows.iter().map(|row| Ok(serde_json::from_str(row.try_get(0)?)?)).collect()
        })
    }

    fn find(&mut self, id: &str) -> Result<Option<Receipt>, ReceiptsError> {
        self.run(async |client| {
            let select = "SELECT receipt::text FROM consent_receipts
                 WHERE id = $1 AND receipt <> 'null'::jsonb";
            let row = client.query_opt(select, &[&id]).await?;
            row.map(|row| Ok(serde_json::from_str(row.try_get(0)?)?)).transpose()
        })
    }

    fn prune(&mut self, before: i64) -> Result<u64, ReceiptsError> {
        self.run(async |client| {
            let delete = "DELETE FROM consent_receipts WHERE id IN (
                 SELECT id FROM consent_receipts WHERE time < $1 ORDER BY time, id LIMIT $2)";
            Ok(client.execute(delete, &[&before, &i64::from(PRUNED_AT_ONCE)]).await?)
        })
    }
}
