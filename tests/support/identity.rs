//! Identities of callers: the administrator of the local stack, a caller of the API, or a function's role.
//!
//! ministack does not check the signature of the administrator (the account's root key), but it does check
//! those of a role's session. So tests of permissions sign with a role.

use std::time::SystemTime;

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use percent_encoding::percent_decode_str;
use reqwest::Request;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::table;

/// Keys that sign.
#[derive(Debug, Clone)]
pub struct Identity {
    access_key_id: String,
    secret: String,
    session_token: Option<String>,
}

/// The answer of a service.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub text: String,
}

impl Answered {
    /// Returns the texts of the XML elements of a name.
    pub fn elements(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        self.text.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned())).collect()
    }

    /// Parses the JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Tells whether the identity lacks the permission.
    pub fn is_denied(&self) -> bool {
        (self.status == 400 || self.status == 403)
            && ["AccessDenied", "not authorized to perform"].iter().any(|word| self.text.contains(word))
    }
}

impl Identity {
    /// Returns the identity of the environment, which has all permissions.
    pub fn administrator() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("no {name} in the environment"));
        Self {
            access_key_id: variable("AWS_ACCESS_KEY_ID"),
            secret: variable("AWS_SECRET_ACCESS_KEY"),
            session_token: None,
        }
    }

    /// Creates an identity that may only call the routes of the deployed API.
    pub async fn caller() -> &'static Self {
        static CALLER: OnceCell<Identity> = OnceCell::const_new();
        CALLER.get_or_init(|| Self::with_policy("execute-api:Invoke", &["*"])).await
    }

    /// Creates a role that may do one action with some resources.
    pub async fn with_policy(action: &str, resources: &[&str]) -> Self {
        let role = crate::unique("caller");
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": action, "Resource": resources}],
        });
        let trust = trust("lambda.amazonaws.com").to_string();
        let administrator = Self::administrator();
        let made = administrator
            .query("iam", &[("Action", "CreateRole"), ("RoleName", &role), ("AssumeRolePolicyDocument", &trust)])
            .await;
        assert_eq!(made.status, 200, "{made:?}");
        let put = [("Action", "PutRolePolicy"), ("RoleName", &role), ("PolicyName", "only")];
        let policy = policy.to_string();
        let put = administrator.query("iam", &[put.as_slice(), &[("PolicyDocument", policy.as_str())]].concat()).await;
        assert_eq!(put.status, 200, "{put:?}");
        Self::of_role(&role).await
    }

    /// Starts a session of a role. Its policies stay unchanged, and the administrator is added to those who may
    /// assume it.
    pub async fn of_role(role: &str) -> Self {
        let administrator = Self::administrator();
        let trust = trust("lambda.amazonaws.com").to_string();
        let trusted = [("Action", "UpdateAssumeRolePolicy"), ("RoleName", role), ("PolicyDocument", &trust)];
        let trusted = administrator.query("iam", &trusted).await;
        assert_eq!(trusted.status, 200, "{trusted:?}");
        let found = administrator.query("iam", &[("Action", "GetRole"), ("RoleName", role)]).await;
        let arn = &found.elements("Arn")[0];
        let session = [("Action", "AssumeRole"), ("RoleArn", arn), ("RoleSessionName", "test")];
        let session = administrator.query("sts", &session).await;
        assert_eq!(session.status, 200, "{session:?}");
        let element = |name| session.elements(name).swap_remove(0);
        Self {
            access_key_id: element("AccessKeyId"),
            secret: element("SecretAccessKey"),
            session_token: Some(element("SessionToken")),
        }
    }

    /// Returns the identity with a wrong secret.
    pub fn with_wrong_secret(&self) -> Self {
        Self { secret: format!("{}x", self.secret), ..self.clone() }
    }

    /// Signs a request for a service.
    pub fn sign(&self, service: &str, request: &mut Request) {
        let keys = Credentials::new(&self.access_key_id, &self.secret, self.session_token.clone(), None, "test").into();
        let parameters = v4::SigningParams::builder()
            .identity(&keys)
            .region("us-east-1")
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.url().as_str(),
            std::iter::empty(),
            SignableBody::Bytes(body),
        );
        let (instructions, _) = sign(signable.unwrap(), &parameters).unwrap().into_parts();
        for (name, value) in instructions.headers() {
            let name = lambda_http::http::HeaderName::try_from(name).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
    }

    /// Calls an action of a service with the query protocol (IAM, STS, CloudFormation).
    pub async fn query(&self, service: &str, parameters: &[(&str, &str)]) -> Answered {
        let mut body = url_encoded(parameters);
        body.push_str(match service {
            "cloudformation" => "&Version=2010-05-15",
            "sts" => "&Version=2011-06-15",
            _ => "&Version=2010-05-08",
        });
        let request = crate::http_client()
            .post(table::endpoint())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        self.send(service, request).await
    }

    /// Calls an action of a service with the JSON protocol (DynamoDB, SQS, Secrets Manager, Logs).
    pub async fn json(&self, service: &str, target: &str, body: &Value) -> Answered {
        let request = crate::http_client()
            .post(table::endpoint())
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", target)
            .body(body.to_string());
        self.send(service, request).await
    }

    /// Reads a resource of a service with the REST protocol (S3, Lambda, API Gateway).
    pub async fn get(&self, service: &str, path: &str) -> Answered {
        self.send(service, crate::http_client().get(format!("{}{path}", table::endpoint()))).await
    }

    /// Sends a request about a bucket.
    pub async fn bucket(&self, method: reqwest::Method, path: &str) -> Answered {
        self.send("s3", crate::http_client().request(method, format!("{}{path}", table::endpoint()))).await
    }

    async fn send(&self, service: &str, request: reqwest::RequestBuilder) -> Answered {
        let client = crate::http_client();
        let mut request = request.build().unwrap();
        self.sign(service, &mut request);
        let response = client.execute(request).await.unwrap();
        Answered { status: response.status().as_u16(), text: response.text().await.unwrap() }
    }
}

/// Decodes a policy, which IAM's answers have percent-encoded.
pub fn policy(encoded: &str) -> Value {
    serde_json::from_str(&percent_decode_str(encoded).decode_utf8().unwrap()).unwrap()
}

fn trust(service: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"},
            {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"},
        ],
    })
}

fn url_encoded(parameters: &[(&str, &str)]) -> String {
    let encode = |text| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let pairs: Vec<_> = parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}
