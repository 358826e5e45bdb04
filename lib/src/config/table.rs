//! The DynamoDB table.

use super::{Environment, Error};

/// Reads `TABLE_NAME`.
///
/// # Errors
/// If it is not set.
pub fn name(environment: &Environment) -> Result<String, Error> {
    environment.required("TABLE_NAME")
}
