//! The one table of routes: the router and the OpenAPI document are both made from it.

use axum::routing::{MethodRouter, get, post};

use super::{HttpState, cluster, connections, health, openapi, sessions, topics, volumes};

/// One route.
pub(super) struct Route {
    /// Its path; `{name}` stands for a topic's name, `{volume}` for a volume's directory id or its path.
    pub(super) path: &'static str,
    /// How it is asked for, in lower case.
    pub(super) method: &'static str,
    /// What it answers, in a sentence.
    pub(super) summary: &'static str,
    /// Who answers it.
    pub(super) handler: fn() -> MethodRouter<HttpState>,
    /// What the answer looks like.
    pub(super) answer: Answer,
}

/// What an answer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// JSON of the named schema.
    Json(&'static str),
    /// JSON of the named schema, with 200 or with 503.
    JsonOrUnavailable(&'static str),
    /// JSON of the named schema, or an Error that says why it was not done.
    JsonOrRefused(&'static str),
    /// JSON of the named schema, a part of a list at a time; the list is in the order of these.
    Part(&'static str, Key),
    /// The OpenAPI document.
    Document,
    /// Text for Prometheus.
    Text,
}

/// What tells the items of a list apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Name,
    Id,
}

pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/healthz",
        method: "get",
        summary: "The process is alive.",
        handler: || get(health::healthz),
        answer: Answer::Json("Health"),
    },
    Route {
        path: "/readyz",
        method: "get",
        summary: "Whether clients may come: 200, or 503 with the reason.",
        handler: || get(health::readyz),
        answer: Answer::JsonOrUnavailable("Readiness"),
    },
    Route {
        path: "/metrics",
        method: "get",
        summary: "Metrics in Prometheus' text format.",
        handler: || get(health::metrics),
        answer: Answer::Text,
    },
    Route {
        path: "/v1/cluster",
        method: "get",
        summary: "The cluster: its identity, its nodes, whether they are heard of, and its metadata quorum.",
        handler: || get(cluster::show),
        answer: Answer::Json("Cluster"),
    },
    Route {
        path: "/v1/topics",
        method: "get",
        summary: "All topics, by name.",
        handler: || get(topics::list),
        answer: Answer::Part("TopicList", Key::Name),
    },
    Route {
        path: "/v1/topics/{name}",
        method: "get",
        summary: "One topic.",
        handler: || get(topics::one),
        answer: Answer::Json("Topic"),
    },
    Route {
        path: "/v1/topics/{name}/partitions",
        method: "get",
        summary: "The partitions of a topic, with their derived status.",
        handler: || get(topics::partitions),
        answer: Answer::Json("PartitionList"),
    },
    Route {
        path: "/v1/connections",
        method: "get",
        summary: "The open Kafka connections of this node, the oldest first.",
        handler: || get(connections::list),
        answer: Answer::Part("ConnectionList", Key::Id),
    },
    Route {
        path: "/v1/volumes",
        method: "get",
        summary: "The data directories of the nodes, as they last reported them.",
        handler: || get(volumes::list),
        answer: Answer::Json("VolumeList"),
    },
    Route {
        path: "/v1/sessions/reset",
        method: "post",
        summary: "A drill: breaks the sessions of all nodes with the controller. They open new ones by themselves.",
        handler: || post(sessions::reset),
        answer: Answer::Json("SessionsReset"),
    },
    Route {
        path: "/v1/volumes/{volume}/readmit",
        method: "post",
        summary: "Tests a volume that has failed, or has partitions that have, and lets it in again.",
        handler: || post(volumes::readmit),
        answer: Answer::JsonOrRefused("Readmission"),
    },
    Route {
        path: "/v1/openapi.json",
        method: "get",
        summary: "This document.",
        handler: || get(openapi::document),
        answer: Answer::Document,
    },
];
