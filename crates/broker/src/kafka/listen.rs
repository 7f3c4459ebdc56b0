use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay_link::{Conn, Listener, accept};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::conn::{Connection, End};
use super::connections::Listed;
use crate::shared::Shared;

/// How long to wait after a failed accept (out of descriptors, say) before the next one.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts and serves connections of one listener until `stopping` turns true, then until all of them have drained.
/// Dropping the future closes what is left.
pub(crate) async fn serve(
    node: Arc<Shared>,
    name: Arc<str>,
    mut listener: Box<dyn Listener>,
    stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stopped(stopping.clone()));
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&mut *listener) => accepted,
        };
        match accepted {
            Ok((conn, peer)) if node.metrics.connections() < node.config.max_connections => {
                connections.spawn(connection(node.clone(), name.clone(), conn, peer, stopping.clone()));
            }
            Ok((_, peer)) => {
                node.metrics.connection_refused();
                let max = node.config.max_connections;
                tracing::warn!(listener = %name, %peer, max, "connection closed: max.connections are open");
            }
            // One that has gone again before its turn came.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => node.metrics.accept_failed(),
            Err(error) => {
                node.metrics.accept_failed();
                tracing::warn!(listener = %name, %error, "cannot accept a connection; trying again");
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    node: Arc<Shared>,
    listener: Arc<str>,
    conn: Box<dyn Conn>,
    peer: SocketAddr,
    stopping: watch::Receiver<bool>,
) {
    let _open = node.metrics.connection_opened();
    let listed = Listed::new(&node, listener.clone(), peer);
    let end = Connection::new(node.clone(), listed.session.clone(), conn, stopping).run().await;
    match end {
        End::Gone | End::Idle | End::Drained => tracing::debug!(%peer, ?end, "connection closed"),
        End::Stalled => {
            node.metrics.connection_stalled();
            tracing::warn!(%listener, %peer, "connection closed: half a request came, or half an answer was taken");
        }
        End::Refused(sentence) => {
            node.metrics.connection_broke_protocol();
            tracing::warn!(%listener, %peer, sentence, "connection closed: the client broke the protocol");
        }
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A dropped sender means the node is gone, which is a stop too.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
