use std::collections::BTreeMap;

use super::occurrences;
use crate::topic_config::{self, TopicConfig};
use crate::{ConfigChange, ConfigEdit, ConfigOp, Image, Record, Refusal, Topic};

impl Image {
    pub(super) fn alter_configs(
        &self,
        topics: &[ConfigChange],
        records: &mut Vec<Record>,
    ) -> Vec<Result<(), Refusal>> {
        let names = occurrences(topics.iter().map(|change| change.topic.as_str()));
        let mut alter = |change: &ConfigChange| {
            if names.get(change.topic.as_str()).is_some_and(|count| *count > 1) {
                let sentence =
                    format!("the request names topic '{}' more than once", change.topic.escape_debug());
                return Err(Refusal::InvalidRequest(sentence));
            }
            let topic =
                self.topic_named(&change.topic).ok_or_else(|| Refusal::UnknownTopic(change.topic.clone()))?;
            push_differences(topic, &edited(topic, &change.edits)?, records);
            Ok(())
        };
        topics.iter().map(&mut alter).collect()
    }
}

/// The topic's settings after all `edits`, checked.
fn edited(topic: &Topic, edits: &[ConfigEdit]) -> Result<BTreeMap<String, String>, Refusal> {
    let counts = occurrences(edits.iter().map(|edit| edit.name.as_str()));
    if let Some((name, _)) = counts.iter().find(|(_, count)| **count > 1) {
        return Err(Refusal::InvalidRequest(format!(
            "the request edits setting '{}' more than once",
            name.escape_debug()
        )));
    }
    let mut configs = BTreeMap::clone(&topic.configs);
    for edit in edits {
        let config = topic_config::find(&edit.name).ok_or_else(|| {
            Refusal::InvalidConfig(format!("there is no topic setting '{}'", edit.name.escape_debug()))
        })?;
        match new_value(config, edit, configs.get(&edit.name).map(String::as_str))? {
            None => configs.remove(&edit.name),
            Some(value) => {
                topic_config::validate(&edit.name, &value).map_err(Refusal::InvalidConfig)?;
                configs.insert(edit.name.clone(), value)
            }
        };
    }
    topic_config::validate_together(&configs).map_err(Refusal::InvalidConfig)?;
    Ok(configs)
}

/// The value after one edit; `None`: back to the default.
fn new_value(
    config: &TopicConfig,
    edit: &ConfigEdit,
    current: Option<&str>,
) -> Result<Option<String>, Refusal> {
    let value = || {
        edit.value.as_deref().ok_or_else(|| {
            Refusal::InvalidRequest(format!(
                "the edit of setting '{}' has no value",
                edit.name.escape_debug()
            ))
        })
    };
    let list = || {
        if !config.kind.is_list() {
            let sentence =
                format!("{} is not a list: nothing can be appended to it or subtracted from it", config.name);
            return Err(Refusal::InvalidConfig(sentence));
        }
        Ok(topic_config::elements(current.unwrap_or(config.default)).collect::<Vec<_>>())
    };
    match edit.op {
        ConfigOp::Set => Ok(Some(value()?.to_owned())),
        ConfigOp::Delete => Ok(None),
        ConfigOp::Append => {
            let mut elements = list()?;
            for element in topic_config::elements(value()?) {
                if !elements.contains(&element) {
                    elements.push(element);
                }
            }
            Ok(Some(elements.join(",")))
        }
        ConfigOp::Subtract => {
            let removed: Vec<_> = topic_config::elements(value()?).collect();
            let mut elements = list()?;
            elements.retain(|element| !removed.contains(element));
            Ok(Some(elements.join(",")))
        }
    }
}

fn push_differences(topic: &Topic, after: &BTreeMap<String, String>, records: &mut Vec<Record>) {
    let before = &topic.configs;
    let record = |name: &String, value: Option<&String>| Record::Config {
        topic: topic.id,
        name: name.clone(),
        value: value.cloned(),
    };
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        records.push(record(name, None));
    }
    for (name, value) in after.iter().filter(|(name, value)| before.get(*name) != Some(*value)) {
        records.push(record(name, Some(value)));
    }
}
