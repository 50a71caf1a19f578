//! Presence: a number for this start of the gateway, and a lock on it that the database keeps while we live.
//!
//! Others ask for the lock to know whether whoever was sending an attempt may still be at it. When the
//! connection is lost the lock goes with it and is taken again; meanwhile others may take us for dead,
//! which costs nobody money: what they call unknown then, a late reply still moves on.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_postgres::{Client, Error};

use super::address::Address;
use super::fault::Fault;

/// Before a lost connection is made again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Held while the gateway lives.
pub(super) struct Presence {
    /// This start's number.
    pub number: i32,
    /// The first half of the locks of all gateways on these books; the second is a gateway's number.
    pub kind: i32,
    _keeper: JoinSet<()>,
}

/// A connection that has the lock, and what must be polled for it to live.
struct Held {
    client: Client,
    driver: BoxFuture<'static, Result<(), Error>>,
}

impl Presence {
    /// Takes a number and its lock.
    pub async fn begin(address: Address, kind: i32) -> Result<Self, Fault> {
        let (held, number) = hold(&address, kind, None).await?;
        let mut keeper = JoinSet::new();
        keeper.spawn(keep(address, kind, number, held));
        Ok(Self { number, kind, _keeper: keeper })
    }
}

/// Makes a connection and takes the lock of a number, a new one if there is none yet.
async fn hold(address: &Address, kind: i32, number: Option<i32>) -> Result<(Held, i32), Fault> {
    let (client, connection) = address.config.connect(address.tls.clone()).await?;
    let mut driver: BoxFuture<'static, _> = Box::pin(connection);
    let number = tokio::select! {
        ended = &mut driver => {
            ended?;
            return Err(Fault::Unreachable("the connection ended".to_owned()));
        }
        taken = take(&client, kind, number) => taken?,
    };
    Ok((Held { client, driver }, number))
}

async fn take(client: &Client, kind: i32, number: Option<i32>) -> Result<i32, Fault> {
    let number = match number {
        Some(number) => number,
        None => client.query_one("SELECT nextval('replicas')::integer", &[]).await?.get(0),
    };
    let row = client.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&kind, &number]).await?;
    if row.get(0) { Ok(number) } else { Err(Fault::Unreachable(format!("somebody else is gateway number {number}"))) }
}

/// Holds the lock for ever: makes the connection again whenever it is lost.
async fn keep(address: Address, kind: i32, number: i32, mut held: Held) {
    loop {
        // How it ended does not matter: it is made again.
        drop(held.driver.await);
        drop(held.client);
        held = loop {
            sleep(RETRY_AFTER).await;
            if let Ok((held, _)) = hold(&address, kind, Some(number)).await {
                break held;
            }
        };
    }
}
