//! Reads the deployed stack from CloudFormation and the services.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::sync::OnceCell;

use crate::deployed::Deployed;
use crate::identity::Identity;

/// The deployed stack.
#[derive(Debug)]
pub struct Stack {
    /// The template after SAM's transform, with parameters and conditions.
    pub template: Value,
    /// Logical ids with their type and physical id.
    pub resources: BTreeMap<String, (String, String)>,
}

impl Stack {
    /// Reads the stack of the environment.
    pub async fn get() -> &'static Self {
        static STACK: OnceCell<Stack> = OnceCell::const_new();
        STACK.get_or_init(Self::describe).await
    }

    async fn describe() -> Self {
        let administrator = Identity::administrator();
        let stack = [("StackName", "sirius")];
        let asked = [stack.as_slice(), &[("Action", "GetTemplate"), ("TemplateStage", "Processed")]].concat();
        let template = administrator.query("cloudformation", &asked).await;
        let template = unescaped(&template.elements("TemplateBody")[0]);
        let asked = [stack.as_slice(), &[("Action", "DescribeStackResources")]].concat();
        let described = administrator.query("cloudformation", &asked).await;
        let columns = ["LogicalResourceId", "ResourceType", "PhysicalResourceId"].map(|name| described.elements(name));
        let [logical, types, physical] = columns;
        assert!(!logical.is_empty() && logical.len() == types.len() && types.len() == physical.len(), "{described:?}");
        let resources = logical.into_iter().zip(types.into_iter().zip(physical)).collect();
        Self { template: serde_json::from_str(&template).unwrap(), resources }
    }

    /// Returns the physical id of a resource.
    pub fn physical(&self, logical: &str) -> &str {
        &self.resources.get(logical).unwrap_or_else(|| panic!("the stack has no {logical}")).1
    }

    /// Lists the logical ids of the resources of a type.
    pub fn of_type(&self, wanted: &str) -> impl Iterator<Item = &str> {
        self.resources.iter().filter(move |(_, (kind, _))| kind == wanted).map(|(logical, _)| logical.as_str())
    }

    /// Replaces the names of resources in a text by their logical ids.
    pub fn with_logical_ids(&self, text: &str) -> String {
        let names = self.resources.iter().map(|(logical, (_, physical))| match physical.strip_prefix("http") {
            Some(url) => (logical, url.rsplit('/').next().unwrap()), // of a queue
            None => (logical, physical.as_str()),
        });
        let mut found = names.filter(|(_, name)| text.contains(name));
        found.next().map_or_else(|| text.to_owned(), |(logical, name)| text.replace(name, logical))
    }

    /// Returns the OpenAPI document of the API.
    pub fn document(&self) -> &Value {
        &self.template["Resources"]["Api"]["Properties"]["Body"]
    }
}

/// A route of the deployed API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The method, such as GET.
    pub method: String,
    /// The path, with parameters in braces.
    pub path: String,
    /// The kind of authorisation.
    pub authorization: String,
}

impl Route {
    /// Lists all routes of the API.
    pub async fn all() -> Vec<Self> {
        let url = Deployed::new().url;
        let api = url.split('/').rev().nth(1).unwrap().to_owned();
        let listed = Identity::administrator().get("apigateway", &format!("/v2/apis/{api}/routes")).await.json();
        let routes: Vec<Self> = listed["items"].as_array().unwrap().iter().map(Self::read).collect();
        assert!(routes.len() >= 7, "{routes:?}");
        routes
    }

    fn read(item: &Value) -> Self {
        let (method, path) = item["routeKey"].as_str().unwrap().split_once(' ').unwrap();
        let authorization = item["authorizationType"].as_str().unwrap_or("NONE");
        Self { method: method.to_owned(), path: path.to_owned(), authorization: authorization.to_owned() }
    }

    /// Returns method and path, as in the key of the route.
    pub fn key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Returns a path that the route serves.
    pub fn example(&self) -> String {
        let segments = self.path.split('/').map(|segment| match segment.strip_prefix('{') {
            Some(greedy) if greedy.ends_with("+}") => "reg.io/org/app@sha256:00ff",
            // The largest scan id, which no other test uses.
            Some("scan_id}") => "9007199253",
            Some(_) => "1",
            None => segment,
        });
        segments.collect::<Vec<_>>().join("/")
    }
}

/// Returns the text of an XML element.
fn unescaped(xml: &str) -> String {
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'"), ("&#39;", "'")];
    plain.iter().fold(xml.to_owned(), |text, (entity, plain)| text.replace(entity, plain)).replace("&amp;", "&")
}
