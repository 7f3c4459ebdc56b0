//! The APIs of Kafka, and which versions of them this codec serves.

use std::fmt;
use std::ops::RangeInclusive;

/// One API that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Its key.
    pub key: ApiKey,
    /// The versions that ApiVersions tells clients.
    pub advertised: RangeInclusive<i16>,
    /// The versions that can be decoded and are answered. Narrower than what is advertised only where clients
    /// take a missing old version for a missing feature.
    pub served: RangeInclusive<i16>,
    /// The first flexible version (KIP-482).
    pub flexible_from: i16,
}

macro_rules! apis {
    (
        served { $($name:ident $key:literal, $advertised:expr, $served:expr, $flexible_from:literal;)+ }
        known { $($other:ident $other_key:literal;)+ }
    ) => {
        /// What a request asks for: Kafka's api key.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $(
                #[doc = concat!("Kafka's `", stringify!($name), "`, key ", $key, ". Served.")]
                $name = $key,
            )+
            $(
                #[doc = concat!("Kafka's `", stringify!($other), "`, key ", $other_key, ". Known by name only.")]
                $other = $other_key,
            )+
        }

        /// Every API that is served, by key.
        pub const SERVED: &[Api] = &[$(Api {
            key: ApiKey::$name,
            advertised: $advertised,
            served: $served,
            flexible_from: $flexible_from,
        },)+];

        impl ApiKey {
            /// Kafka's name of it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                    $(Self::$other => stringify!($other),)+
                }
            }

            /// The API with this key, if Kafka has one.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($key => Some(Self::$name),)+
                    $($other_key => Some(Self::$other),)+
                    _ => None,
                }
            }

            /// The versions served; empty for an API that is known by name only.
            pub const fn served(self) -> RangeInclusive<i16> {
                match self {
                    $(Self::$name => $served,)+
                    $(Self::$other)|+ => RangeInclusive::new(0, -1),
                }
            }

            /// The first flexible version of an API that is served (KIP-482); of another, the end of the range.
            pub const fn flexible_from(self) -> i16 {
                match self {
                    $(Self::$name => $flexible_from,)+
                    $(Self::$other)|+ => i16::MAX,
                }
            }
        }
    };
}

apis! {
    // name and key, advertised, served, flexible from
    served {
        // Advertised from 0: librdkafka takes a broker without Produce 0 for one that cannot do gzip, snappy and
        // lz4, and sends uncompressed (KAFKA-18659). Versions 0 to 2 carry message formats long gone.
        Produce 0, 0..=11, 3..=11, 9;
        Fetch 1, 4..=16, 4..=16, 12;
        ListOffsets 2, 1..=8, 1..=8, 6;
        Metadata 3, 0..=12, 0..=12, 9;
        ApiVersions 18, 0..=4, 0..=4, 3;
        CreateTopics 19, 2..=7, 2..=7, 5;
        DeleteTopics 20, 1..=6, 1..=6, 4;
        DeleteRecords 21, 0..=2, 0..=2, 2;
        InitProducerId 22, 0..=4, 0..=4, 2;
        OffsetForLeaderEpoch 23, 2..=4, 2..=4, 4;
        DescribeConfigs 32, 1..=4, 1..=4, 4;
        DescribeLogDirs 35, 1..=4, 1..=4, 2;
        CreatePartitions 37, 0..=3, 0..=3, 2;
        IncrementalAlterConfigs 44, 0..=1, 0..=1, 1;
        DescribeCluster 60, 0..=1, 0..=1, 0;
    }
    known {
        LeaderAndIsr 4;
        StopReplica 5;
        UpdateMetadata 6;
        ControlledShutdown 7;
        OffsetCommit 8;
        OffsetFetch 9;
        FindCoordinator 10;
        JoinGroup 11;
        Heartbeat 12;
        LeaveGroup 13;
        SyncGroup 14;
        DescribeGroups 15;
        ListGroups 16;
        SaslHandshake 17;
        AddPartitionsToTxn 24;
        AddOffsetsToTxn 25;
        EndTxn 26;
        WriteTxnMarkers 27;
        TxnOffsetCommit 28;
        DescribeAcls 29;
        CreateAcls 30;
        DeleteAcls 31;
        AlterConfigs 33;
        AlterReplicaLogDirs 34;
        SaslAuthenticate 36;
        CreateDelegationToken 38;
        RenewDelegationToken 39;
        ExpireDelegationToken 40;
        DescribeDelegationToken 41;
        DeleteGroups 42;
        ElectLeaders 43;
        AlterPartitionReassignments 45;
        ListPartitionReassignments 46;
        OffsetDelete 47;
        DescribeClientQuotas 48;
        AlterClientQuotas 49;
        DescribeUserScramCredentials 50;
        AlterUserScramCredentials 51;
        Vote 52;
        BeginQuorumEpoch 53;
        EndQuorumEpoch 54;
        DescribeQuorum 55;
        AlterPartition 56;
        UpdateFeatures 57;
        Envelope 58;
        FetchSnapshot 59;
        DescribeProducers 61;
        BrokerRegistration 62;
        BrokerHeartbeat 63;
        UnregisterBroker 64;
        DescribeTransactions 65;
        ListTransactions 66;
        AllocateProducerIds 67;
        ConsumerGroupHeartbeat 68;
        ConsumerGroupDescribe 69;
        ControllerRegistration 70;
        GetTelemetrySubscriptions 71;
        PushTelemetry 72;
        AssignReplicasToDirs 73;
        ListConfigResources 74;
        DescribeTopicPartitions 75;
        ShareGroupHeartbeat 76;
        ShareGroupDescribe 77;
        ShareFetch 78;
        ShareAcknowledge 79;
        AddRaftVoter 80;
        RemoveRaftVoter 81;
        UpdateRaftVoter 82;
        InitializeShareGroupState 83;
        ReadShareGroupState 84;
        WriteShareGroupState 85;
        DeleteShareGroupState 86;
        ReadShareGroupStateSummary 87;
        StreamsGroupHeartbeat 88;
        StreamsGroupDescribe 89;
        DescribeShareGroupOffsets 90;
        AlterShareGroupOffsets 91;
        DeleteShareGroupOffsets 92;
    }
}

impl ApiKey {
    /// The key as the wire has it.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Its row in [`SERVED`], if it is served.
    pub fn api(self) -> Option<&'static Api> {
        SERVED.iter().find(|api| api.key == self)
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_itself() {
        for api in SERVED {
            assert_eq!(ApiKey::from_code(api.key.code()), Some(api.key));
            assert_eq!(api.key.served(), api.served);
            assert_eq!(api.key.flexible_from(), api.flexible_from);
            assert_eq!(api.key.api(), Some(api));
            assert!(api.advertised.contains(api.served.start()) && api.advertised.end() == api.served.end());
        }
        assert!(SERVED.is_sorted_by_key(|api| api.key.code()));
        assert!(ApiKey::FindCoordinator.served().is_empty() && ApiKey::FindCoordinator.api().is_none());
        assert_eq!(ApiKey::from_code(93), None);
        assert_eq!(ApiKey::OffsetForLeaderEpoch.to_string(), "OffsetForLeaderEpoch");
    }
}
