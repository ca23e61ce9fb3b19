//! A few connections that calls share.
//!
//! One connection is encrypted by one core on either side and has one window; several use the others. Servers limit them, so
//! there are few, and each is made when there is work for it.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Mutex;

use super::connection::{Connection, Connector};
use super::errors::Failure;

/// The most connections to one server. Storage boxes at Hetzner take ten from all hosts together.
const CONNECTIONS: usize = 4;

/// Connections to one server, and places for those that are not made yet.
pub(super) struct Pool {
    connector: Connector,
    slots: [Arc<Slot>; CONNECTIONS],
}

#[derive(Default)]
struct Slot {
    calls: AtomicUsize,
    connection: Mutex<Option<Arc<Connection>>>,
}

/// A connection in the hands of one call.
pub(super) struct Lease {
    connection: Arc<Connection>,
    _counted: Counted,
}

/// Counts a call for as long as it lives.
struct Counted(Arc<Slot>);

impl Pool {
    pub(super) fn new(connector: Connector) -> Self {
        Self {
            connector,
            slots: Default::default(),
        }
    }

    /// The connection with the fewest calls; it is made if it is not there, or not any more.
    pub(super) async fn lease(&self) -> Result<Lease, Failure> {
        let counted = self.least_used();
        let mut place = counted.0.connection.lock().await;
        let connection = match place.as_ref().filter(|connection| connection.is_usable()) {
            Some(connection) => Arc::clone(connection),
            None => {
                // Calls under way keep the old one until they have failed as well.
                let made = Arc::new(self.connector.connect().await?);
                *place = Some(Arc::clone(&made));
                made
            }
        };
        drop(place);
        Ok(Lease {
            connection,
            _counted: counted,
        })
    }

    fn least_used(&self) -> Counted {
        let calls = |slot: &&Arc<Slot>| slot.calls.load(Ordering::Relaxed);
        let slot = self.slots.iter().min_by_key(calls).unwrap_or(&self.slots[0]);
        slot.calls.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(slot))
    }
}

impl Deref for Lease {
    type Target = Arc<Connection>;

    fn deref(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}
