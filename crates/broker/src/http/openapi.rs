//! The OpenAPI 3.1 document: paths from the table of routes, schemas by hand.

use axum::Json;
use serde_json::{Map, Value, json};

use super::part::{LIMIT, LIMIT_MAX};
use super::routes::{Answer, Key, ROUTES, Route};
use crate::facts::VERSION;

pub(super) async fn document() -> Json<Value> {
    Json(describe())
}

/// The document.
pub(super) fn describe() -> Value {
    let paths: Map<String, Value> = ROUTES.iter().map(|route| (route.path.to_owned(), path(route))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Forebay",
            "version": VERSION,
            "description": "Health, metrics and the state of the cluster; readmitting a volume; drills. Refusals are an Error.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

fn path(route: &Route) -> Value {
    let mut responses = Map::new();
    let mut parameters = Vec::new();
    let json_of = |schema: &str, description: &str| {
        let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
        json!({ "description": description, "content": { "application/json": { "schema": schema } } })
    };
    let plain = |media: &str, kind: &str| {
        let schema = json!({ "type": kind });
        json!({ "description": route.summary, "content": { media: { "schema": schema } } })
    };
    let answer = match route.answer {
        Answer::Json(schema) => json_of(schema, route.summary),
        Answer::JsonOrUnavailable(schema) => {
            responses.insert("503".to_owned(), json_of(schema, "Not ready; the reason is in it."));
            json_of(schema, route.summary)
        }
        Answer::JsonOrRefused(schema) => {
            responses.insert("409".to_owned(), json_of("Error", "There is nothing to be done."));
            responses.insert("503".to_owned(), json_of("Error", "It was not done; the error says why."));
            json_of(schema, route.summary)
        }
        Answer::Part(schema, key) => {
            let limit = json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT });
            let (behind, kind) = match key {
                Key::Name => ("Start behind this name.", "string"),
                Key::Id => ("Start behind this id.", "integer"),
            };
            parameters.push(parameter("after", "query", behind, json!({ "type": kind })));
            parameters.push(parameter("limit", "query", "At most so many.", limit));
            responses.insert("400".to_owned(), json_of("Error", "A parameter is not valid."));
            json_of(schema, route.summary)
        }
        Answer::Document => plain("application/json", "object"),
        Answer::Text => plain("text/plain", "string"),
    };
    responses.insert("200".to_owned(), answer);
    if route.method != "get" {
        responses.insert(
            "403".to_owned(),
            json_of(
                "Error",
                "A page of another site asked for it, or one by a name that is not the server's.",
            ),
        );
    }
    if route.path.contains("{name}") {
        parameters.push(parameter("name", "path", "The topic's name.", json!({ "type": "string" })));
        responses.insert("404".to_owned(), json_of("Error", "There is no such topic."));
    }
    if route.path.contains("{volume}") {
        let text = "The volume's directory id, or its path.";
        parameters.push(parameter("volume", "path", text, json!({ "type": "string" })));
        responses.insert("404".to_owned(), json_of("Error", "There is no such volume."));
    }
    json!({ route.method: { "summary": route.summary, "parameters": parameters, "responses": responses } })
}

fn parameter(name: &str, place: &str, description: &str, schema: Value) -> Value {
    let required = place == "path";
    json!({ "name": name, "in": place, "required": required, "description": description, "schema": schema })
}

/// An object of which every property is always there.
fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn list_of(schema: &str) -> Value {
    json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{schema}") } })
}

fn schemas() -> Value {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    let maybe_text = json!({ "type": ["string", "null"] });
    let flag = json!({ "type": "boolean" });
    let number = json!({ "type": "integer" });
    let numbers = json!({ "type": "array", "items": { "type": "integer" } });
    let maybe_number = json!({ "type": ["integer", "null"] });
    let counts = json!({ "type": "object", "additionalProperties": number });
    let status = json!({ "enum": STATUSES });
    json!({
        "Error": object(json!({ "error": text })),
        "Health": object(json!({ "alive": flag, "version": text })),
        "Readiness": object(json!({ "ready": flag, "reason": maybe_text, "complaints": texts })),
        "Cluster": object(json!({
            "cluster_id": text, "version": text, "node": number, "feature_level": number, "topics": number,
            "partitions": number, "partitions_by_status": counts, "metadata": { "$ref": "#/components/schemas/Metadata" },
            "brokers": list_of("Broker"),
        })),
        "Metadata": object(json!({
            "index": number, "leader": maybe_number, "term": number, "running": flag, "restarts": number,
            "last_failure": maybe_text,
            "log_used_bytes": number, "log_limit_bytes": number,
        })),
        "Broker": object(json!({
            "id": number, "epoch": number, "rack": maybe_text, "endpoints": list_of("Endpoint"),
            "directories": texts, "partitions_led": number, "contact": { "enum": CONTACTS }, "sentence": text,
            "heard_ms_ago": maybe_number,
        })),
        "Endpoint": object(json!({ "listener": text, "host": text, "port": number })),
        "TopicList": object(json!({ "topics": list_of("Topic"), "next": maybe_text })),
        "Topic": object(json!({
            "id": text, "name": text, "partitions": number, "replication_factor": number, "status": status,
            "size_bytes": maybe_number, "configs": { "type": "object", "additionalProperties": text },
            "warnings": { "type": "array", "items": text },
        })),
        "PartitionList": object(json!({ "topic": text, "partitions": list_of("Partition") })),
        "Partition": object(json!({
            "index": number, "status": status, "last_status": maybe_text,
            "since_ms": maybe_number, "sentence": text,
            "leader": maybe_number, "leader_epoch": number, "partition_epoch": number, "replicas": numbers,
            "in_sync_replicas": numbers, "directories": texts,
            "log": { "anyOf": [{ "$ref": "#/components/schemas/Log" }, { "type": "null" }] },
        })),
        "Log": object(json!({
            "start_offset": number, "end_offset": number, "high_watermark": number,
            "last_stable_offset": number, "size_bytes": number,
        })),
        "ConnectionList": object(json!({ "connections": list_of("Connection"), "next": maybe_number })),
        "Connection": object(json!({
            "id": number, "peer": text, "listener": text, "principal": text, "client_id": maybe_text,
            "software_name": maybe_text, "software_version": maybe_text, "opened_ms": number,
            "idle_ms": number, "requests_in_work": number, "requests": number, "received_bytes": number,
            "sent_bytes": number,
        })),
        "SessionsReset": object(json!({ "reset": number })),
        "VolumeList": object(json!({ "volumes": list_of("Volume") })),
        "Volume": object(json!({
            "node": number, "directory": text, "path": text, "state": { "enum": VOLUME_STATES },
            "last_state": maybe_text, "cause": text, "since_ms": number, "sentence": maybe_text, "age_ms": number, "total_bytes": maybe_number,
            "free_bytes": maybe_number, "free_files": maybe_number, "full_bytes": number,
            "resume_bytes": number, "reserve_left_bytes": number, "full_in_s": maybe_number,
            "failed_partitions": number,
        })),
        "Readmission": object(json!({
            "path": text, "state": { "enum": VOLUME_STATES }, "tested_bytes": number, "reopened_partitions": number,
        })),
    })
}

const STATUSES: [&str; 7] =
    ["Online", "Throttled", "UnderReplicated", "OutOfSpace", "Failed", "NoLeader", "Unknown"];

const VOLUME_STATES: [&str; 7] = ["Normal", "Low", "Full", "HardFull", "Failed", "Probing", "Unknown"];

const CONTACTS: [&str; 6] = ["Reachable", "Awaited", "Silent", "Broken", "Left", "Unheard"];
