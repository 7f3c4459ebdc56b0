//! Topic names: Kafka's rule, because the name is part of its protocol and of its users' file names.
//!
//! Names that differ only in '.' and '_' may live side by side; Kafka only warns that their metric names collide.

use forebay_base::limits::TOPIC_NAME_BYTES_MAX;

/// Topics that Kafka clients show as internal. Their contents live elsewhere here, so the names are reserved.
pub const INTERNAL: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// True for a topic that Kafka clients list as internal.
pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// Checks a topic name. The error is the sentence for the user.
pub fn validate(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a topic name must not be empty".to_owned());
    }
    if name == "." || name == ".." {
        return Err(format!("a topic name must not be '{name}'"));
    }
    if name.len() > TOPIC_NAME_BYTES_MAX {
        return Err(format!(
            "a topic name has at most {TOPIC_NAME_BYTES_MAX} characters, this one has {}",
            name.chars().count()
        ));
    }
    match name.chars().find(|character| !(character.is_ascii_alphanumeric() || "._-".contains(*character))) {
        None => Ok(()),
        Some(bad) => Err(format!(
            "topic name '{}' contains {bad:?}; allowed are ASCII letters and digits, '.', '_' and '-'",
            name.escape_debug()
        )),
    }
}

/// Checks the name of a topic to be made: valid, and not one that the cluster keeps for itself.
pub fn validate_new(name: &str) -> Result<(), String> {
    validate(name)?;
    if is_internal(name) || name == "__cluster_metadata" {
        return Err(format!("topic name '{name}' is reserved by the cluster"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_rule() {
        for good in ["a", "A.b_c-9", "...", "__mine", &"x".repeat(249)] {
            assert_eq!(validate(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "naïve", "a\0", "a:b", &"x".repeat(250)] {
            assert!(validate(bad).is_err(), "{bad}");
        }
        assert!(validate("__consumer_offsets").is_ok());
        assert!(validate_new("__consumer_offsets").is_err());
    }
}
