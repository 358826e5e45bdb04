//! Names the caller of a request, for the log of changes.

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt as _};

/// The longest name in the log. ARNs of users and assumed roles are shorter.
const MAX_CHARS: usize = 512;

/// Returns the caller that API Gateway has authenticated: the ARN of an AWS identity, or the `sub` of a token. None
/// without an authorizer, as under `cargo lambda watch`.
pub(super) fn principal_of(request: &Request) -> Option<String> {
    let RequestContext::ApiGatewayV2(context) = request.request_context_ref()? else { return None };
    let authorizer = context.authorizer.as_ref()?;
    let arn = authorizer.iam.as_ref().and_then(|iam| iam.user_arn.as_deref());
    let subject = || authorizer.jwt.as_ref()?.claims.get("sub").map(String::as_str);
    let name = arn.or_else(subject)?;
    Some(name.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use lambda_http::request::LambdaRequest;
    use serde_json::{Value, json};

    use super::*;

    fn request(authorizer: &Value) -> Request {
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/x", "rawQueryString": "", "isBase64Encoded": false,
            "headers": {},
            "requestContext": {
                "stage": "$default", "requestId": "r", "timeEpoch": 0, "authorizer": authorizer,
                "http": {"method": "GET", "path": "/x", "protocol": "HTTP/1.1", "sourceIp": "::1", "userAgent": "t"}
            }
        });
        serde_json::from_value::<LambdaRequest>(event).unwrap().into()
    }

    #[test]
    fn a_caller_is_an_aws_identity_or_the_subject_of_a_token() {
        let arn = "arn:aws:sts::123456789012:assumed-role/ci/session";
        assert_eq!(
            principal_of(&request(&json!({"iam": {"userArn": arn, "accountId": "123456789012"}}))).as_deref(),
            Some(arn)
        );
        let token = json!({"jwt": {"claims": {"sub": "a-user", "iss": "https://issuer.example"}, "scopes": ["s"]}});
        assert_eq!(principal_of(&request(&token)).as_deref(), Some("a-user"));
        for unknown in [json!({}), json!(null), json!({"jwt": {"claims": {}}})] {
            assert_eq!(principal_of(&request(&unknown)), None, "{unknown}");
        }
    }

    #[test]
    fn the_name_of_a_caller_is_one_short_line() {
        let token = json!({"jwt": {"claims": {"sub": format!("a\nb{}", "x".repeat(9000))}, "scopes": []}});
        let name = principal_of(&request(&token)).unwrap();
        assert!(name.starts_with("abx") && name.len() == MAX_CHARS, "{name}");
    }
}
