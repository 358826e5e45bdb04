//! Checks that no route is public, and that each scope allows only its own routes.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use sirius::http::routes::{ROUTES, Scope};
use support::deployed::Deployed;
use support::identity::Identity;
use support::report::with_findings;
use support::stack::{Route, Stack};
use support::{app, unique};

/// The catch-all route, and its methods.
const NO_ROUTE: &str = "/{proxy+}";
const NO_ROUTE_METHODS: [&str; 6] = ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"];

/// The scope that the parameters of template.yaml name.
const fn parameter(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "Read",
        Scope::Write => "Write",
        Scope::Delete => "Delete",
        Scope::Analyze => "Analyze",
    }
}

/// The scope of each route, by the key of the route.
fn scopes() -> BTreeMap<String, &'static str> {
    ROUTES.iter().map(|route| (format!("{} {}", route.method, route.path), parameter(route.scope))).collect()
}

/// The resources that docs/API.md gives a caller with one scope, without the API's id and stage.
const POLICIES: &[(&str, &[&str])] = &[
    ("Read", &["GET/api/container/*", "GET/api/health"]),
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
        assert!([200, 202, 400, 404, 405, 422, 501].contains(&answer.status), "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_no_route_is_404_or_405_to_who_may_call_and_refused_to_all_others() {
    let (entitled, nobody) = (Deployed::new(), Deployed::unsigned());
    for (method, path, status, allow) in [
        (Method::GET, "/api", 404, None),
        (Method::GET, "/api/container/findings/1/x", 404, None),
        (Method::GET, "/api/container/scans/", 404, None),
        (Method::PUT, "/api/container/scans", 405, Some("GET, POST")),
        (Method::PATCH, "/api/container/scans/1", 405, Some("DELETE, GET")),
        (Method::POST, "/api/llm/analyze/container/1", 405, Some("GET")),
        (Method::DELETE, "/api/container/scans/reg.io/org/app", 405, Some("GET")),
    ] {
        let answer = entitled.send(method.clone(), path, &[], None).await;
        assert_eq!((answer.status, answer.header("allow")), (status, allow), "{method} {path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
        let answer = nobody.send(method.clone(), path, &[], None).await;
        assert!(is_refused(answer.status), "{method} {path}: {answer:?}");
    }
    let root = entitled.get("/").await;
    assert_eq!((root.status, &root.json["message"]), (404, &json!("Not Found")), "a greedy route wants a segment");
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
    let scopes = scopes();
    for (scope, resources) in POLICIES {
        let arn = |resource: &&str| format!("arn:aws:execute-api:*:*:{api}/$default/{resource}");
        let arns: Vec<String> = resources.iter().map(arn).collect();
        let arns: Vec<&str> = arns.iter().map(String::as_str).collect();
        let caller = Deployed::signed_by(Identity::with_policy("execute-api:Invoke", &arns).await);
        for route in Route::all().await {
            let answer = call(&caller, &route, &[]).await;
            let is_his = scopes.get(&route.key()) == Some(scope);
            assert_eq!(is_refused(answer.status), !is_his, "{scope} {route:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn with_jwt_every_route_wants_the_scope_of_its_kind() {
    let stack = Stack::get().await;
    let (scopes, mut found) = (scopes(), BTreeSet::new());
    for (path, operations) in stack.document()["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let key = format!("{} {path}", method.to_uppercase());
            // A path without a route needs a valid token with any scope.
            let needed = match scopes.get(&key) {
                Some(scope) => json!([{"Ref": format!("{scope}Scope")}]),
                None if path == NO_ROUTE => json!([]),
                None => panic!("{key} is not in http/routes.rs"),
            };
            let jwt = json!([{"jwt": needed}]);
            let security = json!({"Fn::If": ["UsesJwt", jwt, [{"AWS_IAM": []}]]});
            assert_eq!(operation["security"], security, "{key}");
            found.insert(key);
        }
    }
    let others = NO_ROUTE_METHODS.map(|method| format!("{method} {NO_ROUTE}"));
    assert_eq!(found, scopes.into_keys().chain(others).collect());
    let deployed: BTreeSet<String> = Route::all().await.iter().map(Route::key).collect();
    assert_eq!(deployed, found);

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
    let methods: BTreeSet<&str> = ROUTES.iter().map(|route| route.method).collect();
    assert_eq!(cors[1]["allowMethods"], json!(methods), "the methods that the routes have");
    let exposed = json!(["allow", "content-disposition", "etag", "link", "location", "retry-after", "x-total-count"]);
    assert_eq!(cors[1]["exposeHeaders"], exposed, "what answers have beside their bodies");
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

/// ministack throttles nothing and keeps no such setting, so the test checks the settings that the stack asks for.
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
