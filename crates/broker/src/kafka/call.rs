use std::sync::Arc;

use forebay_wire::kafka::ApiKey;

use super::auth::{self, Principal, Right};
use crate::shared::Shared;

/// What is known of a connection.
#[derive(Debug)]
pub(crate) struct Session {
    /// Name of the listener it came in by.
    pub(crate) listener: Arc<str>,
    /// Who it speaks for.
    pub(crate) principal: Principal,
}

/// One request, as far as every handler needs it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) node: Arc<Shared>,
    pub(crate) session: Arc<Session>,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) right: &'static Right,
}

impl Call {
    /// May the caller do this to the resource of that name?
    pub(crate) fn permits(&self, name: &str) -> bool {
        auth::allows(&self.session.principal, self.right, name)
    }
}
