use std::time::Duration;

/// How a client behaves. All waits are bounded.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Name told to the server, for its logs.
    pub client_id: String,
    /// Longest wait for a connection to be made.
    pub connect_timeout: Duration,
    /// Longest wait for one answer. A connection that passes it is given up.
    pub request_timeout: Duration,
    /// Longest time spent on one operation, all its attempts together.
    pub retry_timeout: Duration,
    /// Pause before the second attempt; doubled with each further one.
    pub backoff_min: Duration,
    /// Longest pause between attempts.
    pub backoff_max: Duration,
    /// Largest answer accepted, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            client_id: "forebay".to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            retry_timeout: Duration::from_secs(60),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
            answer_bytes_max: forebay_base::limits::REQUEST_BYTES_MAX,
        }
    }
}
