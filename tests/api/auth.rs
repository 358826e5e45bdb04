//! No route is public, and who may call one may not call another.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use support::deployed::Deployed;
use support::identity::Identity;
use support::report::with_findings;
use support::stack::{Route, Stack};
use support::{app, unique};

/// Who may call what: a new route belongs here, into template.yaml and into docs/API.md.
const SCOPES: &[(&str, &str)] = &[
    ("DELETE /api/container/scans/{scan_id}", "Delete"),
    ("GET /api/container/cves/{cve_id}", "Read"),
    ("GET /api/container/findings/{finding_id}", "Read"),
    ("GET /api/container/priorities", "Read"),
    ("GET /api/container/scans", "Read"),
    ("GET /api/container/scans/{artifactname+}", "Read"),
    ("GET /api/container/scans/{identifier}/findings", "Read"),
    ("GET /api/container/scans/{identifier}/report", "Read"),
    ("GET /api/container/uploads/{upload_id+}", "Read"),
    ("GET /api/llm/analyze/container/{finding_id}", "Analyze"),
    ("POST /api/container/images/retire", "Write"),
    ("POST /api/container/images/unretire", "Write"),
    ("POST /api/container/scans", "Write"),
    ("POST /api/container/scans/{scan_id}/confirm", "Write"),
    ("POST /api/container/uploads", "Write"),
    ("POST /api/llm/analyze/container/scans/{scan_id}", "Analyze"),
];

/// What docs/API.md gives a caller who shall have one scope: what follows the API's id and stage.
const POLICIES: &[(&str, &[&str])] = &[
    ("Read", &["GET/api/container/*"]),
    ("Write", &["POST/api/container/*"]),
    ("Delete", &["DELETE/api/container/scans/*"]),
    ("Analyze", &["*/api/llm/analyze/*"]),
];

async fn call(api: &Deployed, route: &Route, headers: &[(&str, &str)]) -> app::Answer {
    let method: Method = route.method.parse().unwrap();
    let body = (method == Method::POST).then(|| b"{}".to_vec());
    api.send(method, &route.example(), headers, body).await
}

fn is_refused(status: u16) -> bool {
    status == 401 || status == 403
}

#[tokio::test]
async fn every_route_refuses_whoever_has_not_signed() {
    let (entitled, nobody) = (Deployed::new(), Deployed::unsigned());
    let forger = Deployed::signed_by(Identity::caller().await.with_wrong_secret());
    let stranger = Deployed::signed_by(Identity::with_policy("dynamodb:*", &["*"]).await);
    for route in Route::all().await {
        assert_eq!(route.authorization, "AWS_IAM", "{route:?}");
        for headers in [
            vec![],
            vec![("authorization", "Bearer e30.e30.e30")],
            vec![("authorization", "Basic dGVzdDp0ZXN0")],
            vec![("authorization", "AWS4-HMAC-SHA256 Credential=, SignedHeaders=host, Signature=00")],
            vec![("x-api-key", "test"), ("x-amzn-oidc-identity", "root")],
        ] {
            let answer = call(&nobody, &route, &headers).await;
            assert!(is_refused(answer.status), "{route:?} {headers:?}: {answer:?}");
        }
        let forged = call(&forger, &route, &[]).await;
        assert!(is_refused(forged.status), "{route:?}: {forged:?}");
        let strange = call(&stranger, &route, &[]).await;
        assert!(is_refused(strange.status), "{route:?}: {strange:?}");
        let answer = call(&entitled, &route, &[]).await;
        // 501: this stack may have no model.
        assert!([200, 202, 400, 404, 422, 501].contains(&answer.status), "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_no_route_answers_nobody() {
    let (entitled, nobody) = (Deployed::new(), Deployed::unsigned());
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/api"),
        (Method::PUT, "/api/container/scans"),
        (Method::PATCH, "/api/container/scans/1"),
        (Method::POST, "/api/llm/analyze/container/1"),
        (Method::GET, "/api/container/findings/1/x"),
    ] {
        for api in [&entitled, &nobody] {
            let answer = api.send(method.clone(), path, &[], None).await;
            assert!([403, 404].contains(&answer.status), "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_signature_is_good_for_the_request_that_was_signed_only() {
    let api = Deployed::new();
    let client = support::http_client();
    let report = with_findings(&unique("signed"), 1).to_string();
    let url = format!("{}/api/container/scans", api.url);
    let request = client.post(&url).header("content-type", "application/json").body(report);
    let mut signed = request.build().unwrap();
    Identity::caller().await.sign("execute-api", &mut signed);

    let mut other_body = signed.try_clone().unwrap();
    *other_body.body_mut() = Some(with_findings(&unique("forged"), 1).to_string().into());
    let mut other_query = signed.try_clone().unwrap();
    other_query.url_mut().set_query(Some("image_name=forged"));
    let mut other_method = signed.try_clone().unwrap();
    *other_method.method_mut() = Method::GET;
    for forged in [other_body, other_query, other_method] {
        assert_eq!(client.execute(forged).await.unwrap().status(), 403);
    }
    assert_eq!(client.execute(signed).await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_caller_with_one_scope_has_the_routes_of_that_scope_only() {
    let url = Deployed::new().url;
    let api = url.split('/').rev().nth(1).unwrap();
    let scopes: BTreeMap<_, _> = SCOPES.iter().copied().collect();
    for (scope, resources) in POLICIES {
        let arn = |resource: &&str| format!("arn:aws:execute-api:*:*:{api}/$default/{resource}");
        let arns: Vec<String> = resources.iter().map(arn).collect();
        let arns: Vec<&str> = arns.iter().map(String::as_str).collect();
        let caller = Deployed::signed_by(Identity::with_policy("execute-api:Invoke", &arns).await);
        for route in Route::all().await {
            let answer = call(&caller, &route, &[]).await;
            let is_his = scopes.get(route.key().as_str()) == Some(scope);
            assert_eq!(is_refused(answer.status), !is_his, "{scope} {route:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn with_jwt_every_route_wants_the_scope_of_its_kind() {
    let stack = Stack::get().await;
    let mut found = BTreeMap::new();
    for (path, operations) in stack.document()["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let key = format!("{} {path}", method.to_uppercase());
            let scope = SCOPES.iter().find(|(route, _)| *route == key);
            let (_, scope) = scope.unwrap_or_else(|| panic!("{key} has no scope here"));
            let jwt = json!([{"jwt": [{"Ref": format!("{scope}Scope")}]}]);
            let security = json!({"Fn::If": ["UsesJwt", jwt, [{"AWS_IAM": []}]]});
            assert_eq!(operation["security"], security, "{key}");
            found.insert(key, *scope);
        }
    }
    assert_eq!(found, SCOPES.iter().map(|(key, scope)| ((*key).to_owned(), *scope)).collect());
    let deployed: BTreeSet<String> = Route::all().await.iter().map(Route::key).collect();
    assert_eq!(deployed, found.into_keys().collect());

    let schemes = &stack.document()["components"]["securitySchemes"];
    assert_eq!(schemes["AWS_IAM"]["x-amazon-apigateway-authtype"], "awsSigv4");
    let authorizer = &schemes["jwt"]["Fn::If"][1]["x-amazon-apigateway-authorizer"];
    let configuration = json!({"issuer": {"Ref": "JwtIssuer"}, "audience": {"Ref": "JwtAudience"}});
    assert_eq!((&authorizer["type"], &authorizer["jwtConfiguration"]), (&json!("jwt"), &configuration));
    assert_eq!(schemes.as_object().unwrap().len(), 2, "another way in: {schemes}");
    assert_eq!(stack.template["Conditions"]["UsesJwt"], json!({"Fn::Equals": [{"Ref": "AuthMode"}, "JWT"]}));
    assert_eq!(stack.template["Parameters"]["AuthMode"]["AllowedValues"], json!(["IAM", "JWT"]));
    assert_eq!(stack.template["Parameters"]["AuthMode"]["Default"], "IAM");
}

#[tokio::test]
async fn browsers_of_other_origins_are_let_in_by_parameter_only() {
    let stack = Stack::get().await;
    let cors = &stack.document()["x-amazon-apigateway-cors"]["Fn::If"];
    assert_eq!((&cors[0], &cors[2]), (&json!("HasCors"), &json!({"Ref": "AWS::NoValue"})));
    assert_eq!(cors[1]["allowOrigins"], json!({"Ref": "CorsAllowedOrigins"}));
    assert_eq!(cors[1]["allowCredentials"], Value::Null, "a cookie must not be worth anything");
    let methods: BTreeSet<String> = Route::all().await.into_iter().map(|route| route.method).collect();
    assert_eq!(cors[1]["allowMethods"], json!(methods), "the methods that the routes have");
    assert_eq!(stack.template["Parameters"]["CorsAllowedOrigins"]["Default"], "");

    let headers = [("origin", "https://evil.example"), ("access-control-request-method", "GET")];
    for api in [Deployed::new(), Deployed::unsigned()] {
        let preflight = api.send(Method::OPTIONS, "/api/container/scans", &headers, None).await;
        assert!(!(200..300).contains(&preflight.status), "{preflight:?}");
        assert_eq!(preflight.header("access-control-allow-origin"), None);
    }
    // On AWS the page would not be shown the answer; the local stack does not even let its request through.
    let read = Deployed::new().get_with("/api/container/scans", &headers).await;
    assert_eq!((read.status, read.header("access-control-allow-origin")), (403, None));
}

#[tokio::test]
async fn the_local_stack_is_not_driven_by_who_does_not_know_its_secret() {
    let client = support::http_client();
    let endpoint = support::table::endpoint();
    for (path, headers) in [
        ("/", vec![("x-amz-target", "DynamoDB_20120810.ListTables")]),
        ("/_ministack/reset", vec![]),
        ("/_ministack/reset", vec![("x-sirius-secret", "test")]),
        (
            "/",
            vec![("authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, Signature=0")],
        ),
    ] {
        let mut request = client.post(format!("{endpoint}{path}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        assert_eq!(request.send().await.unwrap().status(), 403, "{path}");
    }
}

/// ministack throttles nothing and keeps no such setting, so what API Gateway is told is what can be checked.
#[tokio::test]
async fn the_stage_is_throttled() {
    let stage = &Stack::get().await.template["Resources"]["ApiApiGatewayDefaultStage"]["Properties"];
    let limits = json!({
        "ThrottlingRateLimit": {"Ref": "ThrottleRate"}, "ThrottlingBurstLimit": {"Ref": "ThrottleBurst"},
    });
    assert_eq!(stage["DefaultRouteSettings"], limits);
    let routes: BTreeSet<String> = Route::all().await.iter().map(Route::key).collect();
    let mut held = 0.0;
    for (route, limits) in stage["RouteSettings"].as_object().unwrap() {
        assert!(routes.contains(route), "{route} is no route: API Gateway would refuse the deployment");
        // The longest that a request waits or works, and what comes at once.
        held +=
            limits["ThrottlingRateLimit"].as_f64().unwrap() * 25.0 + limits["ThrottlingBurstLimit"].as_f64().unwrap();
    }
    assert!(held < 500.0, "{held} of the 1,000 functions that an account may run at once");
}
