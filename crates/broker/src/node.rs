use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::DirectoryId;
use forebay_controller::{Controller, ControllerConfig, ControllerEnv, ProposeError, StartError};
use forebay_link::Listener;
use forebay_log::DirError;
use forebay_log::volume::{Marks, Neighbour, VolumeState};
use forebay_meta::{Endpoint, Image};
use forebay_replica::{Condition, Report};
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::directories::{self, Directories, DirectoriesError, Directory};
use crate::heartbeat::{self, Heartbeats};
use crate::kafka::{self, Budget, Connections, FetchSessions, ProducerIds, SlowRequests};
use crate::membership::Membership;
use crate::metadata_volume;
use crate::metrics::Metrics;
use crate::neighbours;
use crate::partitions::PartitionMap;
use crate::reconciler::Reconciler;
use crate::settings::server_defaults;
use crate::shared::{SameMoment, Shared};
use crate::{Config, Env, ListenerConfig, http};

/// Why a node could not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A data directory cannot be used.
    #[error(transparent)]
    Directories(#[from] DirectoriesError),
    /// A mark could not be left in a data directory.
    #[error(transparent)]
    Directory(#[from] DirError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another server running there?")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Clients would be told an address that nobody can connect to.
    #[error(
        "{0} stands for every address of this machine, and clients cannot connect to it; say what they shall use \
         with --advertise"
    )]
    Advertise(SocketAddr),
    /// A listener's host is not an address.
    #[error("cannot listen on {0}: the host must be an IP address or localhost")]
    Host(String),
    /// The metadata quorum did not start.
    #[error("the metadata log cannot be opened: {0}")]
    Controller(#[from] StartError),
    /// The metadata quorum did not take this node's registration.
    #[error("the metadata quorum did not register this node: {0}")]
    Register(#[from] ProposeError),
    /// There is no working metadata log, and what was read of it does not know this node.
    #[error("this node was never registered, and cannot be: {0}")]
    NeverRegistered(Arc<str>),
    /// It answered what it should not.
    #[error("the metadata quorum refused this node: {0}")]
    Refused(String),
    /// Something did not finish in time.
    #[error("{0} did not finish in time")]
    Deadline(&'static str),
    /// A log could not be closed.
    #[error("not every log could be closed; see the lines before this one")]
    Unclean,
}

/// How long a start waits until the state of every volume is known.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// A running node.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    directories: Vec<Arc<Directory>>,
    reconciler: tokio::task::JoinHandle<Reconciler>,
    doors: JoinSet<()>,
    stopping: watch::Sender<bool>,
    kafka_addresses: Vec<SocketAddr>,
    http_address: Option<SocketAddr>,
}

pub(crate) struct Bound {
    name: Arc<str>,
    listener: Box<dyn Listener>,
    address: SocketAddr,
    pub(crate) advertised: Endpoint,
}

impl Node {
    /// Starts a node: locks and checks its data directories, joins the metadata quorum, opens its partitions and
    /// then its doors. When it returns, clients are served.
    pub async fn start(config: Config, env: Env) -> Result<Node, NodeError> {
        let config = Arc::new(config);
        let Directories { cluster, all: directories, metadata: holder, remembered } =
            directories::open(&env, &config.log_dirs, config.node_id)?;
        let bound = bind(&config, &env)?;
        let http = bind_http(&config, &env)?;
        let controller = start_controller(&config, &env, &holder).await?;
        let membership = Membership::new(&config, cluster, &directories, &bound);
        let opened = match membership.join_or_make_do(&controller).await {
            Ok(joined) => open(&config, &env, &directories, &controller, &joined.image)
                .await
                .map(|(partitions, reconciler)| (joined, partitions, reconciler)),
            Err(error) => Err(error),
        };
        let (joined, partitions, reconciler) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // Nothing of a node that did not start may go on writing to its directories.
                controller.shutdown().await;
                return Err(error);
            }
        };
        let (stopping, stop) = watch::channel(false);
        let image = controller.image();
        let (registration, registered) = watch::channel(joined.epoch);
        let shared = Arc::new(Shared {
            node: config.node_id,
            registered,
            outage: controller.outage(),
            budget: Budget::new(usize::try_from(config.queued_max_request_bytes).unwrap_or(usize::MAX)),
            directories: directories.iter().map(|directory| directory.id).collect(),
            volumes: reconciler.volumes(),
            topic_defaults: server_defaults(&config),
            config: config.clone(),
            clocks: SameMoment::now(env.clock.as_ref()),
            clock: env.clock.clone(),
            rng: env.rng.clone(),
            controller,
            image: image.clone(),
            partitions,
            producer_ids: ProducerIds::default(),
            fetch_sessions: FetchSessions::new(config.max_incremental_fetch_session_cache_slots),
            connections: Connections::default(),
            slow_requests: SlowRequests::new(config.slow_request_ms),
            metrics: Arc::new(Metrics::new(env.quiet.clone())),
            stopping: stop.clone(),
        });
        let reconciler = tokio::spawn(reconciler.run(image, stop.clone()));
        let mut node = Node {
            kafka_addresses: bound.iter().map(|bound| bound.address).collect(),
            http_address: http.as_ref().map(|(_, address)| *address),
            shared,
            directories,
            reconciler,
            doors: JoinSet::new(),
            stopping,
        };
        node.watch_volumes(&holder, remembered, &stop, &env);
        if joined.late {
            let controller = node.shared.controller.clone();
            node.doors.spawn(membership.join_later(controller, registration, stop.clone()));
        }
        node.begin_to_report(&stop, &env).await;
        node.open_doors(bound, http, &stop, &env);
        Ok(node)
    }

    /// Has those act on the state of a volume that are beside it: the metadata log on it, and the other directories.
    fn watch_volumes(
        &mut self,
        holder: &Directory,
        remembered: Vec<Neighbour>,
        stop: &watch::Receiver<bool>,
        env: &Env,
    ) {
        let volumes = self.shared.volumes.clone();
        if let Some(condition) = volumes.get(&holder.id).cloned() {
            let watch = metadata_volume::watch(self.shared.controller.clone(), condition, stop.clone());
            self.doors.spawn_on(watch, &env.control);
        }
        self.doors.spawn_on(neighbours::remember(volumes, remembered, stop.clone()), &env.control);
    }

    /// Has the controller hear of the node. Whoever asks right after the start is told how things are.
    async fn begin_to_report(&mut self, stop: &watch::Receiver<bool>, env: &Env) {
        let heartbeats = Heartbeats::new(&self.shared);
        self.doors.spawn_on(heartbeats.run(stop.clone()), &env.control);
        let _unheard = tokio::time::timeout(LOOK_WITHIN, heartbeat::heard(&self.shared)).await;
    }

    fn open_doors(
        &mut self,
        bound: Vec<Bound>,
        http: Option<HttpListener>,
        stop: &watch::Receiver<bool>,
        env: &Env,
    ) {
        for bound in bound {
            self.doors.spawn(kafka::serve(self.shared.clone(), bound.name, bound.listener, stop.clone()));
        }
        if let Some((listener, _)) = http {
            let state = http::HttpState::new(self.shared.clone());
            self.doors.spawn_on(http::serve(listener, state, stop.clone()), &env.control);
        }
    }

    /// The addresses where Kafka clients are served.
    pub fn kafka_addresses(&self) -> &[SocketAddr] {
        &self.kafka_addresses
    }

    /// The address of the HTTP door, if it is open.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// The metadata quorum as this node sees it.
    pub fn controller(&self) -> &Controller {
        &self.shared.controller
    }

    /// Stops: takes no more requests, answers those begun, closes every log, and marks the directories as cleanly
    /// stopped if all of that succeeded within `patience`: none of them if a log on a volume that has failed could not be
    /// closed, and never one that has failed.
    pub async fn stop(mut self, patience: Duration) -> Result<(), NodeError> {
        let (now, had_failed) = (tokio::time::Instant::now(), failed(&self.shared.volumes));
        // Clients get half of the time, so that the other half is left for the logs whatever clients do.
        let (drain, deadline) = (now + patience / 2, now + patience);
        // Nobody listening any more is as good as everybody told.
        let _ = self.stopping.send(true);
        let drained = async { while self.doors.join_next().await.is_some() {} };
        if tokio::time::timeout_at(drain, drained).await.is_err() {
            tracing::warn!("some connections did not drain in time and are closed");
            self.doors.shutdown().await;
        }
        let late = |what| move |_| NodeError::Deadline(what);
        let reconciler = tokio::time::timeout_at(deadline, self.reconciler).await;
        let reconciler = reconciler.map_err(late("opening partitions"))?.map_err(|_| NodeError::Unclean)?;
        let closed = tokio::time::timeout_at(deadline, reconciler.close()).await;
        let closed = closed.map_err(late("closing the logs"))?;
        tokio::time::timeout_at(deadline, self.shared.controller.shutdown())
            .await
            .map_err(late("the metadata log"))?;
        neighbours::leave(&self.shared.volumes, &self.directories);
        let failed = failed(&self.shared.volumes);
        if closed {
            directories::leave_clean(&self.directories, &failed)?;
            tracing::info!("stopped cleanly");
            return Ok(());
        }
        // Of a disk that had failed before all has been said.
        if failed.is_empty() || failed != had_failed {
            return Err(NodeError::Unclean);
        }
        tracing::warn!("stopped with a disk that has failed: the next start checks every log");
        Ok(())
    }
}

/// The data directories whose volumes have failed.
fn failed(volumes: &BTreeMap<DirectoryId, Arc<Condition>>) -> BTreeSet<DirectoryId> {
    let failed = volumes.iter().filter(|(_, condition)| condition.report().state == VolumeState::Failed);
    failed.map(|(id, _)| *id).collect()
}

/// Opens the partitions that the Image gives to this node.
async fn open(
    config: &Config,
    env: &Env,
    directories: &[Arc<Directory>],
    controller: &Controller,
    image: &Image,
) -> Result<(Arc<PartitionMap>, Reconciler), NodeError> {
    let partitions = Arc::new(PartitionMap::default());
    let mut reconciler = Reconciler::new(config, env, directories, partitions.clone(), controller.clone())?;
    // Clients that come right after the start are not sent away because nobody has looked yet; a disk that does not
    // answer keeps the others waiting no longer than this.
    let looked_at = reconciler.volumes().into_values().map(|condition| async move {
        let known = |report: &Arc<Report>| report.state != VolumeState::Probing;
        condition.watch().wait_for(known).await.is_ok()
    });
    let _late = tokio::time::timeout(LOOK_WITHIN, join_all(looked_at)).await;
    reconciler.apply(image).await;
    Ok((partitions, reconciler))
}

type HttpListener = (Box<dyn Listener>, SocketAddr);

fn bind_http(config: &Config, env: &Env) -> Result<Option<HttpListener>, NodeError> {
    let Some(address) = config.http_listen else { return Ok(None) };
    let listen = |source| NodeError::Listen { address: address.to_string(), source };
    // The listener belongs to the control plane's reactor.
    let _control = env.control.enter();
    let listener = env.net.listen(address).map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    tracing::info!(address = %bound, "listening for HTTP");
    Ok(Some((listener, bound)))
}

/// Binds every listener. One on `[::1]` that fails is tolerated: a machine without IPv6 is served on IPv4.
fn bind(config: &Config, env: &Env) -> Result<Vec<Bound>, NodeError> {
    let mut bound = Vec::new();
    for listener in &config.listeners {
        let address = address_of(listener)?;
        let opened = env.net.listen(address).and_then(|opened| Ok((opened.local_addr()?, opened)));
        let (address, opened) = match opened {
            Ok(opened) => opened,
            Err(error) if address.is_ipv6() && address.ip().is_loopback() && config.listeners.len() > 1 => {
                tracing::debug!(%address, %error, "not listening there");
                continue;
            }
            Err(source) => return Err(NodeError::Listen { address: address.to_string(), source }),
        };
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "this listener is reachable from other machines and has neither TLS nor passwords");
        }
        tracing::info!(listener = %listener.name, %address, "listening for Kafka clients");
        let advertised = config.advertised(&listener.name);
        if advertised.is_none() && address.ip().is_unspecified() {
            return Err(NodeError::Advertise(address));
        }
        let port =
            advertised.map(|advertised| advertised.port).filter(|port| *port != 0).unwrap_or(address.port());
        let host = advertised.map_or_else(|| address.ip().to_string(), |advertised| advertised.host.clone());
        bound.push(Bound {
            name: Arc::from(listener.name.as_str()),
            listener: opened,
            address,
            advertised: Endpoint { listener: listener.name.clone(), host, port },
        });
    }
    Ok(bound)
}

fn address_of(listener: &ListenerConfig) -> Result<SocketAddr, NodeError> {
    let host = if listener.host == "localhost" { "127.0.0.1" } else { listener.host.as_str() };
    let ip = host.parse().map_err(|_| NodeError::Host(listener.to_string()))?;
    Ok(SocketAddr::new(ip, listener.port))
}

async fn start_controller(config: &Config, env: &Env, holder: &Directory) -> Result<Controller, NodeError> {
    let environment = ControllerEnv {
        disk: env.disk.clone(),
        clock: env.clock.clone(),
        rng: env.rng.clone(),
        workers: env.workers.clone(),
    };
    // On a small volume less: most of it is for records. A log that is there keeps the size it has.
    let space = holder.data.space().map_err(DirError::of_space(holder.data.path()))?;
    let (log_bytes_max, snapshot_bytes_max) = Marks::metadata_bytes_max(space.total_bytes);
    let settings = ControllerConfig {
        barred: holder.why_failed(),
        log_bytes: config.metadata_log_preallocated_bytes.min(log_bytes_max),
        snapshot_bytes: config.metadata_snapshot_preallocated_bytes.min(snapshot_bytes_max),
        ..ControllerConfig::new(holder.data.metadata_path(), config.node_id)
    };
    let started = env.control.spawn(Controller::start(environment, settings)).await;
    started.map_err(|_| NodeError::Deadline("the metadata log"))?.map_err(NodeError::Controller)
}
