use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// Every route is documented, every documented path answers, and every answer has exactly the documented
/// shape.
#[tokio::test]
async fn the_openapi_document_tells_the_truth() {
    let served = Served::start();
    let (status, document) = served.json("/v1/openapi.json").await;
    assert_eq!((status, &document["openapi"]), (200, &"3.1.0".into()));
    let documented: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let routed: BTreeSet<&str> = routes::ROUTES.iter().map(|route| route.path).collect();
    assert_eq!(documented, routed);
    // So that there is something to readmit.
    served.set(|facts| {
        facts.liveness = testing::heard(testing::with_volume(testing::volume(None, VolumeState::Failed)))
    });
    for routes::Route { path, method, .. } in routes::ROUTES {
        let asked = path.replace("{name}", "orders").replace("{volume}", "%2Fdata%2F1");
        let (status, _, body) = served.ask(&method.to_uppercase(), &asked).await;
        assert_eq!(status, 200, "{path}");
        let content = document["paths"][path][method]["responses"]["200"]["content"].as_object().unwrap();
        if let Some(json) = content.get("application/json") {
            fits(&document, &json["schema"], &serde_json::from_str(&body).unwrap(), path);
        }
    }
    let error = served.json("/nowhere").await.1;
    fits(&document, &document["components"]["schemas"]["Error"], &error, "Error");
}

/// Asserts that `value` has the shape of `schema`; knows as much of JSON Schema as the document uses.
fn fits(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema =
            document.pointer(reference.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("{reference}"));
        return fits(document, schema, value, at);
    }
    if let Some(words) = schema["enum"].as_array() {
        return assert!(words.contains(value), "{at}: {value} is not one of {words:?}");
    }
    if let Some(options) = schema["anyOf"].as_array() {
        return if !value.is_null() {
            fits(document, &options[0], value, at)
        };
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = &schema["type"];
    assert!(
        allowed == kind || allowed.as_array().is_some_and(|any| any.contains(&kind.into())),
        "{at}: {value}"
    );
    for item in value.as_array().into_iter().flatten() {
        fits(document, &schema["items"], item, at);
    }
    let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else {
        return;
    };
    assert_eq!(fields.keys().collect::<BTreeSet<_>>(), properties.keys().collect(), "{at}");
    for (name, field) in fields {
        fits(document, &properties[name], field, &format!("{at}.{name}"));
    }
}
