use std::sync::Arc;
use std::time::Duration;

use forebay_base::{BrokerEpoch, ClusterId, NodeId};
use forebay_controller::{Controller, ProposeError};
use forebay_meta::{Command, Endpoint, Image, Reply};
use tokio::sync::watch;

use crate::Config;
use crate::directories::Directory;
use crate::node::{Bound, NodeError};

/// The pause before a registration that did not come about is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// This node as a member of its cluster: what it registers with.
#[derive(Debug)]
pub(crate) struct Membership {
    node: NodeId,
    format: Command,
    register: Command,
}

/// How a start became a member.
#[derive(Debug)]
pub(crate) struct Joined {
    /// Its registration, or the one before.
    pub(crate) epoch: BrokerEpoch,
    /// An Image that knows of it.
    pub(crate) image: Arc<Image>,
    /// It has yet to register.
    pub(crate) late: bool,
}

impl Membership {
    /// The member that this start is.
    pub(crate) fn new(
        config: &Config,
        cluster: ClusterId,
        directories: &[Arc<Directory>],
        bound: &[Bound],
    ) -> Self {
        Self {
            node: config.node_id,
            format: Command::Format { cluster, feature_level: forebay_meta::FEATURE_LEVEL_MAX },
            register: Command::RegisterBroker {
                node: config.node_id,
                endpoints: endpoints(bound),
                directories: directories.iter().map(|directory| directory.id).collect(),
                rack: config.broker_rack.clone(),
            },
        }
    }

    /// Registers, or, where there is no working metadata log, goes on as the member that the last Image knows.
    pub(crate) async fn join_or_make_do(&self, controller: &Controller) -> Result<Joined, NodeError> {
        let mut begun = controller.outage();
        let outage = tokio::select! {
            biased;
            Ok(outage) = begun.wait_for(Option::is_some) => Option::clone(&outage).unwrap_or_default(),
            joined = self.join(controller) => {
                let (epoch, image) = joined?;
                return Ok(Joined { epoch, image, late: false });
            }
        };
        let image = controller.image().borrow().clone();
        match image.brokers.get(&self.node) {
            Some(broker) => {
                tracing::warn!("{outage}");
                Ok(Joined { epoch: broker.epoch, image, late: true })
            }
            None => Err(NodeError::NeverRegistered(outage)),
        }
    }

    /// Registers as soon as the metadata log works, for a start that had to do without; tells the registration.
    pub(crate) async fn join_later(
        self,
        controller: Controller,
        registration: watch::Sender<BrokerEpoch>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let mut outage = controller.outage();
        let join = async {
            while outage.wait_for(Option::is_none).await.is_ok() {
                match self.join(&controller).await {
                    Ok((epoch, _)) => {
                        registration.send_replace(epoch);
                        tracing::info!(%epoch, "this node is registered again");
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "this node is not registered yet; trying again");
                        tokio::time::sleep(RETRY_AFTER).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => {}
            () = join => {}
        }
    }

    /// Names the cluster if it has no name yet, registers this start of the node (rule R1), and waits for the Image that
    /// knows of it: an older one is never acted on (rule R4).
    async fn join(&self, controller: &Controller) -> Result<(BrokerEpoch, Arc<Image>), NodeError> {
        if let Reply::Format(Err(refusal)) = controller.propose(self.format.clone()).await? {
            return Err(NodeError::Refused(refusal.to_string()));
        }
        let Reply::RegisterBroker(registered) = controller.propose(self.register.clone()).await? else {
            return Err(NodeError::Refused("it answered another question".to_owned()));
        };
        let epoch = registered.map_err(|refusal| NodeError::Refused(refusal.to_string()))?;
        let knows =
            |image: &Arc<Image>| image.brokers.get(&self.node).is_some_and(|node| node.epoch >= epoch);
        let mut images = controller.image();
        let image =
            images.wait_for(knows).await.map_err(|_| NodeError::Register(ProposeError::Stopped))?.clone();
        Ok((epoch, image))
    }
}

/// One advertised address a listener name: the first one bound, so IPv4 where both are.
fn endpoints(bound: &[Bound]) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for bound in bound {
        if !endpoints.iter().any(|known| known.listener == bound.advertised.listener) {
            endpoints.push(bound.advertised.clone());
        }
    }
    endpoints
}
