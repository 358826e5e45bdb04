//! The region, the credentials and the endpoints of AWS.

use aws_credential_types::Credentials;

use super::{Environment, Error};

/// The SDK's standard variables. Lambda sets the credentials and the region; profiles and metadata services are not read.
#[derive(Debug)]
pub(crate) struct Aws {
    /// `AWS_REGION` (default `us-east-1`: only a developer's machine has none).
    pub(crate) region: String,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if it is set, `AWS_SESSION_TOKEN`. They never expire in a process.
    pub(crate) credentials: Credentials,
    /// `AWS_USE_FIPS_ENDPOINT` (default `false`).
    pub(crate) use_fips: bool,
    /// `AWS_USE_DUALSTACK_ENDPOINT` (default `false`).
    pub(crate) use_dual_stack: bool,
    /// Whether S3 is an emulator's: `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` is set.
    pub s3_is_emulated: bool,
}

impl Aws {
    pub(crate) fn read(environment: &Environment) -> Result<Self, Error> {
        let endpoints = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"];
        Ok(Self {
            region: region(environment).to_owned(),
            credentials: Credentials::new(
                environment.required("AWS_ACCESS_KEY_ID")?,
                environment.required("AWS_SECRET_ACCESS_KEY")?,
                environment.owned("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
            use_fips: environment.flag("AWS_USE_FIPS_ENDPOINT", false)?,
            use_dual_stack: environment.flag("AWS_USE_DUALSTACK_ENDPOINT", false)?,
            s3_is_emulated: endpoints.iter().any(|name| environment.text(name).is_some()),
        })
    }
}

/// Returns the region: `AWS_REGION` or `AWS_DEFAULT_REGION`, by default `us-east-1`.
#[must_use]
pub(crate) fn region(environment: &Environment) -> &str {
    let region = environment.text("AWS_REGION").or_else(|| environment.text("AWS_DEFAULT_REGION"));
    region.unwrap_or("us-east-1")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [(&str, &str); 3] =
        [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_SESSION_TOKEN", "")];

    #[test]
    fn aws_is_reached_with_the_variables_that_lambda_sets_and_not_without_credentials() {
        let aws = Aws::read(&Environment::from_iter(KEYS)).unwrap();
        assert_eq!((aws.region.as_str(), aws.credentials.access_key_id()), ("us-east-1", "key"));
        assert_eq!((aws.credentials.session_token(), aws.use_fips, aws.use_dual_stack), (None, false, false));
        assert!(!format!("{aws:?}").contains("secret\""), "{aws:?}");

        assert!(Aws::read(&Environment::from_iter([("AWS_REGION", "eu-west-1")])).is_err());
        let wrong = KEYS.into_iter().chain([("AWS_USE_FIPS_ENDPOINT", "yes")]);
        assert!(Aws::read(&wrong.collect()).is_err());
    }

    #[test]
    fn s3_is_emulated_where_its_endpoint_or_that_of_all_services_is_set() {
        let emulated =
            |name| Aws::read(&KEYS.into_iter().chain([(name, "http://x")]).collect()).unwrap().s3_is_emulated;
        assert!(emulated("AWS_ENDPOINT_URL") && emulated("AWS_ENDPOINT_URL_S3"));
        assert!(!emulated("AWS_ENDPOINT_URL_DYNAMODB"));
    }
}
