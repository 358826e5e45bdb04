//! The addresses of the services, where they are not those of the region.

use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::config::Environment;

/// The SDK's standard variables of endpoints: `AWS_ENDPOINT_URL_DYNAMODB` and the like, else `AWS_ENDPOINT_URL`.
#[derive(Debug)]
pub(super) struct Endpoints(pub(super) Environment);

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        let own = self.0.text(&format!("{}_{service}", key.env()));
        own.or_else(|| self.0.text(key.env())).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_of_a_service_goes_before_that_of_all() {
        let variables = [
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://secrets"),
            ("AWS_ENDPOINT_URL_S3", ""),
            ("AWS_ENDPOINT_URL", "http://all"),
        ];
        let endpoint = |variables: &[(&str, &str)], service| {
            let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url");
            Endpoints(variables.iter().copied().collect()).load_config(key.build().unwrap())
        };
        assert_eq!(endpoint(&variables, "Secrets Manager").as_deref(), Some("http://secrets"));
        assert_eq!(endpoint(&variables, "S3").as_deref(), Some("http://all"));
        assert_eq!(endpoint(&variables, "DynamoDB").as_deref(), Some("http://all"));
        assert_eq!(endpoint(&[], "DynamoDB"), None);
    }
}
