//! The DynamoDB table.

use super::{Environment, Error};

/// Reads `TABLE_NAME`.
pub(crate) fn table_name(environment: &Environment) -> Result<String, Error> {
    environment.required("TABLE_NAME")
}
