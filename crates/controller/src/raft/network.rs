use openraft::error::{InstallSnapshotError, RPCError, RaftError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, BasicNode, RaftNetwork, RaftNetworkFactory};

use super::Group;

/// The network of a quorum of one: there is nobody to reach. Peers come with replication.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoPeers;

type CallError<E> = RPCError<u64, BasicNode, E>;

fn unreachable<E: std::error::Error>() -> CallError<E> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error("this metadata quorum has one member")))
}

impl RaftNetworkFactory<Group> for NoPeers {
    type Network = Self;

    async fn new_client(&mut self, _target: u64, _node: &BasicNode) -> Self {
        Self
    }
}

impl RaftNetwork<Group> for NoPeers {
    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<Group>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, CallError<RaftError<u64>>> {
        Err(unreachable())
    }

    async fn install_snapshot(
        &mut self,
        _request: InstallSnapshotRequest<Group>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, CallError<RaftError<u64, InstallSnapshotError>>> {
        Err(unreachable())
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, CallError<RaftError<u64>>> {
        Err(unreachable())
    }
}
