//! The S3 bucket of uploads and archived reports.

use super::{Environment, Error};

const NAME: &str = "BUCKET_NAME";
const OWNER: &str = "BUCKET_OWNER";

/// The bucket of uploads and archived reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// `BUCKET_NAME`.
    pub(crate) name: String,
    /// `BUCKET_OWNER`: the id of the account that the bucket must belong to (default none: the owner is not checked).
    pub(crate) owner: Option<String>,
}

impl Bucket {
    /// Reads the variables where a bucket is required.
    pub(crate) fn read(environment: &Environment) -> Result<Self, Error> {
        Self::read_if_any(environment)?.ok_or(Error::Missing(NAME))
    }

    /// Reads the variables where there may be no bucket: the name is not set or the word `none`.
    pub(crate) fn read_if_any(environment: &Environment) -> Result<Option<Self>, Error> {
        let owner = environment.owned(OWNER);
        let is_account = |owner: &String| owner.len() == 12 && owner.bytes().all(|byte| byte.is_ascii_digit());
        if owner.as_ref().is_some_and(|owner| !is_account(owner)) {
            return Err(Error::invalid(OWNER, "not the id of an account: 12 digits"));
        }
        let name = environment.owned(NAME).filter(|name| name != "none");
        Ok(name.map(|name| Self { name, owner }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_a_name_and_may_have_an_account_that_it_must_belong_to() {
        let read = |owner| Bucket::read(&Environment::from_iter([("BUCKET_NAME", "b"), ("BUCKET_OWNER", owner)]));
        assert_eq!(read("").unwrap(), Bucket { name: "b".to_owned(), owner: None });
        assert_eq!(read("123456789012").unwrap().owner.as_deref(), Some("123456789012"));
        assert!(read("12345678901").is_err() && read("12345678901x").is_err() && read("arn:aws:iam::1:root").is_err());
    }

    #[test]
    fn without_a_name_or_with_the_word_none_there_is_no_bucket() {
        for name in ["", "none"] {
            let environment = Environment::from_iter([("BUCKET_NAME", name)]);
            assert_eq!(Bucket::read_if_any(&environment).unwrap(), None, "{name:?}");
            let message = Bucket::read(&environment).unwrap_err().to_string();
            assert_eq!(message, "the environment variable BUCKET_NAME is not set", "{name:?}");
        }
    }
}
