use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use forebay_link::Net;

use crate::connection::Connection;
use crate::{ClientConfig, ClientError};

/// What a connection is for. Answers come in the order of requests, so a fetch that waits for records must not stand
/// before others in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Everything that is answered at once.
    General,
    /// Fetches, which may wait.
    Fetch,
}

type Slot = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

/// One connection per address and purpose, made when first used and again after it broke.
#[derive(Debug)]
pub(crate) struct Pool {
    net: Arc<dyn Net>,
    config: Arc<ClientConfig>,
    slots: Mutex<BTreeMap<(String, Purpose), Slot>>,
}

impl Pool {
    pub(crate) fn new(net: Arc<dyn Net>, config: Arc<ClientConfig>) -> Self {
        Self { net, config, slots: Mutex::new(BTreeMap::new()) }
    }

    /// An open connection. Callers of the same address and purpose wait for one attempt; others do not.
    pub(crate) async fn connection(
        &self,
        addr: &str,
        purpose: Purpose,
    ) -> Result<Arc<Connection>, ClientError> {
        let slot = self.slot(addr, purpose);
        let mut held = slot.lock().await;
        if let Some(open) = held.as_ref().filter(|connection| connection.is_open()) {
            return Ok(open.clone());
        }
        let fresh = Arc::new(Connection::open(self.net.as_ref(), addr, &self.config).await?);
        *held = Some(fresh.clone());
        Ok(fresh)
    }

    /// Gives a connection up, unless it was replaced already.
    pub(crate) async fn discard(&self, purpose: Purpose, connection: &Arc<Connection>) {
        let slot = self.slot(connection.addr(), purpose);
        let mut held = slot.lock().await;
        if held.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            *held = None;
        }
    }

    fn slot(&self, addr: &str, purpose: Purpose) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        slots.entry((addr.to_owned(), purpose)).or_default().clone()
    }
}
