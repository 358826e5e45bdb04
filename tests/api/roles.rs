//! Checks that each function's role allows the function's calls, and no others.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use support::deployed::Deployed;
use support::identity::{self, Answered, Identity};
use support::stack::Stack;
use support::{table, unique};

/// A resource and its allowed actions.
type Grant = (&'static str, &'static [&'static str]);

const SEND: Grant = ("AnalysisQueue", &["sqs:SendMessage"]);
const ENRICH: Grant = ("EnrichmentQueue", &["sqs:SendMessage"]);
const FEEDS: Grant = ("Bucket/feeds/*", &["s3:GetObject"]);
const MIRROR: Grant = ("Bucket/mirror/*", &["s3:GetObject"]);
const BUCKET: Grant = ("Bucket", &["s3:ListBucket"]);
const READ_ARCHIVE: Grant = ("Bucket/reports/*", &["s3:GetObject"]);
const EXPORTS: Grant = ("Bucket/exports/*", &["s3:GetObject", "s3:PutObject"]);
const WRITE_ARCHIVE: Grant = ("Bucket/reports/*", &["s3:PutObject"]);
/// All actions on items: those of ingestion (with AutoAnalyze) and of deletion.
const WORK: Grant = (
    "table/Table",
    &[
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
    ],
);
const LOGS: Grant = ("log-group:Logs:*", &["logs:CreateLogStream", "logs:PutLogEvents"]);
const TRACES: Grant = ("*", &["xray:PutTelemetryRecords", "xray:PutTraceSegments"]);
const QUERY_INDEX: Grant = ("table/Table/index/listing", &["dynamodb:Query"]);
const QUERY_FLEET: Grant = ("table/Table/index/fleet", &["dynamodb:Query"]);
const QUERY_REPOSITORY: Grant = ("table/Table/index/repository", &["dynamodb:Query"]);
const READ: Grant = ("table/Table", &["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"]);

/// The allowed actions of each function. A new action belongs here and into template.yaml.
const ROLES: &[(&str, &[Grant])] = &[
    ("IngestScan", &[WORK, SEND, ENRICH, WRITE_ARCHIVE]),
    (
        "IngestUpload",
        &[
            WORK,
            SEND,
            ENRICH,
            BUCKET,
            WRITE_ARCHIVE,
            ("Bucket/uploads/*", &["s3:GetObject", "s3:PutObjectTagging"]),
            ("UploadQueue", &["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]),
        ],
    ),
    (
        "CreateUpload",
        &[("table/Table", &["dynamodb:GetItem", "dynamodb:PutItem"]), ("Bucket/uploads/*", &["s3:PutObject"])],
    ),
    ("GetUpload", &[("table/Table", &["dynamodb:GetItem"]), BUCKET, ("Bucket/uploads/*", &["s3:GetObject"])]),
    ("GetReport", &[READ, BUCKET, READ_ARCHIVE]),
    (
        "ConfirmScan",
        &[
            (
                "table/Table",
                &[
                    "dynamodb:BatchGetItem",
                    "dynamodb:GetItem",
                    "dynamodb:PutItem",
                    "dynamodb:Query",
                    "dynamodb:UpdateItem",
                ],
            ),
            ENRICH,
        ],
    ),
    (
        "RetireImage",
        &[("table/Table", &["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"])],
    ),
    ("DeleteScan", &[WORK, BUCKET, ("Bucket/reports/*", &["s3:DeleteObject"])]),
    ("Reingest", &[WORK, QUERY_INDEX, SEND, ENRICH, BUCKET, READ_ARCHIVE]),
    ("ListScans", &[READ, QUERY_INDEX, QUERY_FLEET]),
    ("GetScan", &[READ, BUCKET, READ_ARCHIVE, EXPORTS]),
    ("ListFindings", &[READ, BUCKET, EXPORTS]),
    ("GetCve", &[READ, QUERY_REPOSITORY]),
    ("ListPriorities", &[READ, QUERY_FLEET]),
    ("NoRoute", &[]),
    (
        "GetHealth",
        &[
            ("table/Table", &["dynamodb:GetItem"]),
            BUCKET,
            ("AnalysisQueue", &["sqs:GetQueueAttributes"]),
            ("EnrichmentQueue", &["sqs:GetQueueAttributes"]),
            ("UploadQueue", &["sqs:GetQueueAttributes"]),
        ],
    ),
    ("GetFinding", &[("table/Table", &["dynamodb:BatchGetItem", "dynamodb:GetItem"])]),
    (
        "AnalyzeFinding",
        &[
            ("table/Table", &["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]),
            SEND,
        ],
    ),
    (
        "AnalyzeScan",
        &[
            (
                "table/Table",
                &[
                    "dynamodb:BatchGetItem",
                    "dynamodb:GetItem",
                    "dynamodb:PutItem",
                    "dynamodb:Query",
                    "dynamodb:UpdateItem",
                ],
            ),
            SEND,
        ],
    ),
    (
        "RunAnalysis",
        &[
            ("table/Table", &["dynamodb:GetItem", "dynamodb:UpdateItem"]),
            ("AnalysisQueue", &["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]),
        ],
    ),
    (
        "EnrichCves",
        &[
            (
                "table/Table",
                &[
                    "dynamodb:BatchGetItem",
                    "dynamodb:DeleteItem",
                    "dynamodb:GetItem",
                    "dynamodb:PutItem",
                    "dynamodb:Query",
                    "dynamodb:UpdateItem",
                ],
            ),
            (
                "EnrichmentQueue",
                &["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"],
            ),
            BUCKET,
            FEEDS,
            MIRROR,
        ],
    ),
    (
        "RefreshFeeds",
        &[
            (
                "table/Table",
                &[
                    "dynamodb:BatchGetItem",
                    "dynamodb:DeleteItem",
                    "dynamodb:GetItem",
                    "dynamodb:PutItem",
                    "dynamodb:Query",
                    "dynamodb:UpdateItem",
                ],
            ),
            QUERY_INDEX,
            ENRICH,
            BUCKET,
            ("Bucket/feeds/*", &["s3:GetObject", "s3:PutObject"]),
            MIRROR,
        ],
    ),
    ("Recover", &[WORK, QUERY_INDEX, SEND, ENRICH, BUCKET, ("Bucket/reports/*", &["s3:DeleteObject", "s3:GetObject"])]),
];

/// The actions of the policy that all functions share.
const SHARED: &str = "WriteLogsAndTraces";
const SHARED_GRANTS: &[Grant] = &[LOGS, TRACES];

/// Pairs of an action and a resource.
type Permissions = BTreeSet<(String, String)>;

/// The functions of the deployed stack, by logical id, with the names of their roles.
async fn roles() -> BTreeMap<String, String> {
    let stack = Stack::get().await;
    let listed = Identity::administrator().get("lambda", "/2015-03-31/functions/").await.json();
    let arns: BTreeMap<&str, &str> = listed["Functions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|function| (function["FunctionName"].as_str().unwrap(), function["Role"].as_str().unwrap()))
        .collect();
    let roles: BTreeMap<String, String> = stack
        .of_type("AWS::Lambda::Function")
        .map(|logical| (logical.to_owned(), arns[stack.physical(logical)].rsplit('/').next().unwrap().to_owned()))
        .collect();
    let used: BTreeSet<&str> = roles.values().map(String::as_str).collect();
    let made: BTreeSet<&str> = stack.of_type("AWS::IAM::Role").map(|logical| stack.physical(logical)).collect();
    assert_eq!(used, made, "a role without a function, or a function with a role of somebody else");
    assert_eq!(used.len(), roles.len(), "two functions share a role");
    roles
}

fn strings(one_or_many: &Value) -> Vec<String> {
    match one_or_many {
        Value::String(one) => vec![one.clone()],
        many => many.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
    }
}

/// The actions that a policy allows; resources without partition, account and region, and by their logical ids.
fn allowed(stack: &Stack, policy: &Value) -> Permissions {
    let mut permissions = Permissions::new();
    for statement in policy["Statement"].as_array().unwrap() {
        let mut known: Vec<&str> = statement.as_object().unwrap().keys().map(String::as_str).collect();
        known.retain(|key| !["Effect", "Action", "Resource"].contains(key));
        assert!(known.is_empty() && statement["Effect"] == "Allow", "{statement}");
        for resource in strings(&statement["Resource"]) {
            let named = resource.splitn(6, ':').nth(5).map_or_else(|| resource.clone(), str::to_owned);
            let named = stack.with_logical_ids(&named);
            permissions.extend(strings(&statement["Action"]).into_iter().map(|action| (action, named.clone())));
        }
    }
    permissions
}

fn granted(function: &str) -> Permissions {
    let (_, grants) = ROLES
        .iter()
        .find(|(known, _)| *known == function)
        .unwrap_or_else(|| panic!("{function} has no row in tests/api/roles.rs"));
    permissions(grants)
}

fn permissions(grants: &[Grant]) -> Permissions {
    let pairs = grants.iter().flat_map(|(resource, actions)| actions.iter().map(move |action| (*action, *resource)));
    pairs.map(|(action, resource)| (action.to_owned(), resource.to_owned())).collect()
}

#[tokio::test]
async fn each_role_has_the_actions_of_this_table_and_no_others() {
    let (stack, administrator) = (Stack::get().await, Identity::administrator());
    let roles = roles().await;
    assert_eq!(
        roles.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        ROLES.iter().map(|(function, _)| *function).collect()
    );
    for (function, role) in roles {
        let attached = [("Action", "ListAttachedRolePolicies"), ("RoleName", role.as_str())];
        let attached = administrator.query("iam", &attached).await.elements("PolicyArn");
        assert_eq!(attached, [stack.physical(SHARED)], "{function}");

        let listed = [("Action", "ListRolePolicies"), ("RoleName", role.as_str())];
        let listed = administrator.query("iam", &listed).await;
        let names = listed.elements("PolicyNames").concat();
        let mut actual = Permissions::new();
        for name in names.split("<member>").skip(1).map(|rest| rest.split('<').next().unwrap()) {
            let asked = [("Action", "GetRolePolicy"), ("RoleName", role.as_str()), ("PolicyName", name)];
            let found = administrator.query("iam", &asked).await;
            actual.extend(allowed(stack, &identity::policy(&found.elements("PolicyDocument")[0])));
        }
        assert_eq!(actual, granted(&function), "{function}");
    }
    let shared = [("Action", "GetPolicyVersion"), ("PolicyArn", stack.physical(SHARED)), ("VersionId", "v1")];
    let shared = administrator.query("iam", &shared).await;
    let shared = allowed(stack, &identity::policy(&shared.elements("Document")[0]));
    assert_eq!(shared, permissions(SHARED_GRANTS));
}

/// Something that a role may try: an action on a resource. The requests are such that nothing happens if
/// they are allowed: each lacks something that the service requires, and permissions are checked first.
struct Attempt {
    action: &'static str,
    resource: &'static str,
    request: Request,
}

enum Request {
    Json(&'static str, &'static str, Value),
    Get(&'static str, &'static str),
    Bucket(Method, String),
    Query(&'static str, &'static str),
}

impl Attempt {
    async fn make(&self, identity: &Identity) -> Answered {
        match &self.request {
            Request::Json(service, target, body) => identity.json(service, target, body).await,
            Request::Get(service, path) => identity.get(service, path).await,
            Request::Bucket(method, path) => identity.bucket(method.clone(), path).await,
            Request::Query(service, action) => identity.query(service, &[("Action", action)]).await,
        }
    }
}

async fn attempts() -> Vec<Attempt> {
    let stack = Stack::get().await;
    let administrator = Identity::administrator();
    let secret = unique("secret");
    let made = json!({"Name": secret, "SecretString": "s"});
    let made = administrator.json("secretsmanager", "secretsmanager.CreateSecret", &made).await;
    assert_eq!(made.status, 200, "{made:?}");
    let mut attempts = Vec::new();
    for (resource, name) in [("table/Table", stack.physical("Table")), ("another", &table::fresh().await)] {
        for (action, target, body) in [
            ("dynamodb:BatchGetItem", "BatchGetItem", json!({"RequestItems": {name: {"Keys": []}}})),
            ("dynamodb:BatchWriteItem", "BatchWriteItem", json!({"RequestItems": {name: []}})),
            ("dynamodb:DeleteItem", "DeleteItem", json!({"TableName": name, "Key": {}})),
            ("dynamodb:DescribeTable", "DescribeTable", json!({"TableName": name})),
            ("dynamodb:GetItem", "GetItem", json!({"TableName": name, "Key": {}})),
            ("dynamodb:PutItem", "PutItem", json!({"TableName": name, "Item": {}})),
            ("dynamodb:Query", "Query", json!({"TableName": name})),
            ("dynamodb:Scan", "Scan", json!({"TableName": name, "Limit": 1})),
            ("dynamodb:UpdateItem", "UpdateItem", json!({"TableName": name, "Key": {}})),
            ("dynamodb:UpdateTable", "UpdateTable", json!({"TableName": name})),
            ("dynamodb:UpdateTimeToLive", "UpdateTimeToLive", json!({"TableName": name})),
        ] {
            let target: &'static str = format!("DynamoDB_20120810.{target}").leak();
            attempts.push(Attempt { action, resource, request: Request::Json("dynamodb", target, body) });
        }
    }
    let name = stack.physical("Table");
    for (index, resource) in [
        ("listing", "table/Table/index/listing"),
        ("fleet", "table/Table/index/fleet"),
        ("repository", "table/Table/index/repository"),
    ] {
        let index = json!({"TableName": name, "IndexName": index});
        for (action, target) in
            [("dynamodb:Query", "DynamoDB_20120810.Query"), ("dynamodb:Scan", "DynamoDB_20120810.Scan")]
        {
            attempts.push(Attempt { action, resource, request: Request::Json("dynamodb", target, index.clone()) });
        }
    }
    // Of all tables only one that nobody has can be the object of this without harm.
    let request = Request::Json("dynamodb", "DynamoDB_20120810.DeleteTable", json!({"TableName": unique("no")}));
    attempts.push(Attempt { action: "dynamodb:DeleteTable", resource: "no table", request });
    for resource in [
        "AnalysisQueue",
        "AnalysisDeadLetters",
        "EnrichmentQueue",
        "EnrichmentDeadLetters",
        "UploadQueue",
        "UploadDeadLetters",
    ] {
        let url = stack.physical(resource);
        for (action, target, body) in [
            ("sqs:DeleteMessage", "DeleteMessage", json!({"QueueUrl": url, "ReceiptHandle": "none"})),
            ("sqs:GetQueueAttributes", "GetQueueAttributes", json!({"QueueUrl": url})),
            ("sqs:ReceiveMessage", "ReceiveMessage", json!({"QueueUrl": url, "MaxNumberOfMessages": 99})),
            ("sqs:SendMessage", "SendMessage", json!({"QueueUrl": url, "MessageBody": "", "DelaySeconds": 9999})),
            ("sqs:SetQueueAttributes", "SetQueueAttributes", json!({"QueueUrl": url})),
        ] {
            let target: &'static str = format!("AmazonSQS.{target}").leak();
            attempts.push(Attempt { action, resource, request: Request::Json("sqs", target, body) });
        }
    }
    let bucket = stack.physical("Bucket");
    let mut at_bucket = |action, method: Method, resource, path: String| {
        attempts.push(Attempt { action, resource, request: Request::Bucket(method, path) });
    };
    at_bucket("s3:ListBucket", Method::GET, "Bucket", format!("/{bucket}?list-type=2"));
    at_bucket("s3:PutBucketPolicy", Method::PUT, "the bucket itself", format!("/{bucket}?policy"));
    for (resource, folder) in [
        ("Bucket/reports/*", "reports"),
        ("Bucket/exports/*", "exports"),
        ("Bucket/uploads/*", "uploads"),
        ("Bucket/feeds/*", "feeds"),
        ("Bucket/mirror/*", "mirror/v1"),
        ("the rest of the bucket", "other"),
    ] {
        let object = format!("/{bucket}/{folder}/{}", unique("none"));
        at_bucket("s3:PutObject", Method::PUT, resource, object.clone());
        at_bucket("s3:GetObject", Method::GET, resource, object.clone());
        at_bucket("s3:GetObjectVersion", Method::GET, resource, format!("{object}?versionId=1"));
        at_bucket("s3:PutObjectTagging", Method::PUT, resource, format!("{object}?tagging="));
        at_bucket("s3:PutObjectVersionTagging", Method::PUT, resource, format!("{object}?tagging=&versionId=1"));
        at_bucket("s3:DeleteObject", Method::DELETE, resource, object);
    }
    let url = administrator.json("sqs", "AmazonSQS.CreateQueue", &json!({"QueueName": unique("other")})).await.json();
    let request = Request::Json("sqs", "AmazonSQS.PurgeQueue", json!({"QueueUrl": url["QueueUrl"]}));
    attempts.push(Attempt { action: "sqs:PurgeQueue", resource: "another", request });
    let read = Request::Json("secretsmanager", "secretsmanager.GetSecretValue", json!({"SecretId": secret}));
    attempts.push(Attempt { action: "secretsmanager:GetSecretValue", resource: "another", request: read });
    attempts.extend([
        Attempt { action: "s3:ListAllMyBuckets", resource: "*", request: Request::Get("s3", "/") },
        Attempt {
            action: "lambda:ListFunctions",
            resource: "*",
            request: Request::Get("lambda", "/2015-03-31/functions/"),
        },
        Attempt { action: "iam:ListRoles", resource: "*", request: Request::Query("iam", "ListRoles") },
        Attempt {
            action: "cloudformation:DescribeStacks",
            resource: "*",
            request: Request::Query("cloudformation", "DescribeStacks"),
        },
    ]);
    attempts
}

#[tokio::test]
async fn each_role_may_do_its_work_and_is_denied_everything_else() {
    let attempts = attempts().await;
    let administrator = Identity::administrator();
    for attempt in &attempts {
        let answered = attempt.make(&administrator).await;
        assert!(!answered.is_denied(), "the attempt proves nothing: {} {answered:?}", attempt.action);
    }
    for (function, role) in roles().await {
        let granted = granted(&function);
        let session = Identity::of_role(&role).await;
        let mut tried = BTreeSet::new();
        for attempt in &attempts {
            let answered = attempt.make(&session).await;
            let pair = (attempt.action.to_owned(), attempt.resource.to_owned());
            assert_eq!(!answered.is_denied(), granted.contains(&pair), "{function} {pair:?}: {answered:?}");
            tried.insert(pair);
        }
        // Lambda's own calls for a function are not attempted.
        let untried: Vec<_> = granted.difference(&tried).map(|(action, _)| action.as_str()).collect();
        assert!(
            untried.iter().all(|action| action.starts_with("logs:") || action.starts_with("xray:")),
            "{function} may {untried:?}, which no attempt tries"
        );
        let api = Deployed::signed_by(session);
        assert_eq!(api.send(Method::GET, "/api/container/scans", &[], None).await.status, 403, "{function}");
    }
}
