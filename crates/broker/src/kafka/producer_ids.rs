use forebay_base::ProducerId;
use forebay_controller::{Controller, ProposeError};
use forebay_meta::{Command, Reply};
use tokio::sync::Mutex;

/// Producer ids that the metadata quorum has given to this node and that it has not handed out yet (KIP-730).
///
/// A block is recorded before its first id is used, so an id is never handed out twice; a restart wastes the rest
/// of its block.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds(Mutex<std::ops::Range<i64>>);

impl ProducerIds {
    /// The next id nobody had before.
    pub(crate) async fn next(
        &self,
        controller: &Controller,
        command: Command,
    ) -> Result<ProducerId, ProposeError> {
        let mut block = self.0.lock().await;
        loop {
            if let Some(id) = block.next() {
                return Ok(ProducerId(id));
            }
            if let Reply::AllocateProducerIds(Ok(fresh)) = controller.propose(command.clone()).await? {
                *block = fresh.first..fresh.first.saturating_add(fresh.count);
            } else {
                return Err(ProposeError::Stopped);
            }
        }
    }
}
