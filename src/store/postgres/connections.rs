//! The connections: how many there are, what each is asked before it is used, and for how long one is waited for.
//!
//! Every connection, whenever it is made, is to the database that was there at the start, and to a server
//! that writes to its disk before it says that something is written. Nobody waits longer than a deadline,
//! and a server that is starting again is tried until then.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Client;

use super::address::Address;
use super::fault::Fault;
use super::session::Session;
use crate::store::StoreError;

/// How many connections one gateway has at most, beside the one that says that it lives.
const CONNECTIONS_MAX: usize = 16;
/// How many facts that take the locks of accounts are under way at a time. Those locks let through one after the other:
/// whoever else came to the server would only stand there, on a connection that others could read by.
const AT_ACCOUNTS_MAX: usize = 4;
/// Before a server that is not there is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// What every session is set to. The server gives up a statement, and a transaction that was left open,
/// although nobody is there any more to ask for it.
const SETTINGS: &str = "SET TIME ZONE 'UTC'; SET client_min_messages = warning; SET statement_timeout = '4s'; SET lock_timeout = '4s';
    SET idle_in_transaction_session_timeout = '2s'; SET default_transaction_isolation = 'read committed'";

/// Connections to one database.
#[derive(Clone)]
pub(super) struct Connections {
    pool: Pool,
    turnstile: Arc<Semaphore>,
    identity: Arc<OnceLock<Vec<u8>>>,
}

impl Connections {
    /// Connections that are made when they are asked for; to look only, if `read_only`.
    pub fn new(address: Address, read_only: bool) -> Result<Self, StoreError> {
        let identity = Arc::new(OnceLock::new());
        let manager = Manager::from_config(address.config, address.tls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let expected = Arc::clone(&identity);
        let greet = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let expected = Arc::clone(&expected);
            Box::pin(async move { greet(client, expected.get(), read_only).await })
        });
        let pool = Pool::builder(manager).max_size(CONNECTIONS_MAX).runtime(Runtime::Tokio1).post_create(greet).build();
        let pool = pool.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { pool, turnstile: Arc::new(Semaphore::new(AT_ACCOUNTS_MAX)), identity })
    }

    /// From now on only connections to the database of this identity are good.
    pub fn expect(&self, identity: Vec<u8>) {
        drop(self.identity.set(identity));
    }

    /// A connection to use until `deadline`.
    pub async fn session(&self, deadline: Instant) -> Result<Session, Fault> {
        loop {
            let fault = match timeout_at(deadline, self.pool.get()).await {
                Ok(Ok(conn)) => return Ok(Session::new(conn, deadline)),
                Ok(Err(PoolError::Backend(error))) => Fault::Sql(error),
                Ok(Err(PoolError::PostCreateHook(HookError::Backend(error)))) => Fault::Sql(error),
                Ok(Err(error)) => return Err(Fault::Unreachable(error.to_string())),
                Err(_) => return Err(Fault::Unreachable("no connection in time: the server is away, or all are in use".to_owned())),
            };
            if !fault.is_disconnected() || Instant::now() + RETRY_AFTER >= deadline {
                return Err(fault);
            }
            sleep(RETRY_AFTER).await;
        }
    }

    /// A turn at the locks of accounts, in the order of asking, before `deadline`.
    pub async fn turn(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Fault> {
        match timeout_at(deadline, self.turnstile.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Fault::Unreachable("no turn in time: too many hold or settle money at once".to_owned())),
        }
    }

    /// Closes them all, those in use when they come back.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// Asks a new connection what it must be asked, and sets it up.
async fn greet(client: &Client, expected: Option<&Vec<u8>>, read_only: bool) -> Result<(), HookError> {
    client.batch_execute(SETTINGS).await.map_err(HookError::Backend)?;
    if read_only {
        client.batch_execute("SET default_transaction_read_only = on").await.map_err(HookError::Backend)?;
    } else {
        is_durable(client).await?;
    }
    let Some(expected) = expected else { return Ok(()) };
    let sql = "SELECT value FROM meta WHERE name = 'identity'";
    let found = client.query_opt(sql, &[]).await.map_err(HookError::Backend)?;
    if found.is_none_or(|row| row.get::<_, Vec<u8>>(0) != *expected) {
        let why = "this is not the database that was here before; if a standby took over, see that it is one of the same database";
        return Err(HookError::message(why));
    }
    Ok(())
}

/// Refuses a server that answers before what it answers is on its disk, or that a crash can damage.
async fn is_durable(client: &Client) -> Result<(), HookError> {
    let sql = "SELECT name, setting FROM pg_settings WHERE name IN ('synchronous_commit', 'fsync', 'full_page_writes', 'server_encoding')";
    for row in client.query(sql, &[]).await.map_err(HookError::Backend)? {
        let (name, setting): (String, String) = (row.get(0), row.get(1));
        let why = match (name.as_str(), setting.as_str()) {
            ("synchronous_commit", "off") => "a crash of the server would lose jobs that are being paid for",
            ("fsync" | "full_page_writes", "off") => "a crash of its machine can damage the books",
            ("server_encoding", other) if other != "UTF8" => "prompts are Unicode; create the database with ENCODING 'UTF8'",
            _ => continue,
        };
        return Err(HookError::message(format!("the server has {name} = {setting}: {why}. Change that and start again")));
    }
    Ok(())
}
