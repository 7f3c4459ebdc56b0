/// A number from the environment variable `name`.
///
/// # Panics
/// If it is set to something else.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}
