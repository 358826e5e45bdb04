//! The DynamoDB table.

use super::{Environment, Error};

/// Reads `TABLE_NAME`.
pub(crate) fn name(environment: &Environment) -> Result<String, Error> {
    environment.required("TABLE_NAME")
}
