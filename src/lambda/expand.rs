//! The functions of a stack -> the resources that deploy them: a bucket for the archives, an archive for each function,
//! one CloudFormation stack, a release for each function, and a bucket's notifications as steps after the permission.

use std::collections::{BTreeMap, BTreeSet};

use super::check;
use super::template::{Given, Prototype, map};
use crate::model::{
    Address, Artifact, AwsPlace, Catalogue, Diagnostic, Expansion, Function, Lifecycle, Map, Reference,
    Resource, ResourceType, Schema, Stack, Template, Value,
};

pub(super) const BUCKET: &str = "AWS::S3::Bucket";
const CODE: &str = "MCM::Lambda::Code";
const STACK: &str = "AWS::CloudFormation::Stack";
const NOTIFICATION: &str = "MCM::S3::BucketNotification";
const RELEASE: &str = "MCM::Lambda::Release";

/// What everyone calls: the version that was released. The template names it, too.
const ALIAS: &str = "live";

/// Where a function begins if the stack does not say.
const MEMORY: i64 = 256;
const TIMEOUT: i64 = 30;
const RETENTION: i64 = 30;

/// The [`crate::model::FunctionExpander`] of the `functions` section.
pub fn expand(
    functions: &[Function],
    artifacts: &BTreeMap<String, Artifact>,
    stack: &Stack,
    catalogue: &Catalogue,
) -> Result<Expansion, Vec<Diagnostic>> {
    let wrong = check::check(functions, stack);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let schemas =
        [BUCKET, CODE, STACK, NOTIFICATION, RELEASE].map(|ty| catalogue.get(&ResourceType::new(ty)));
    let ([Some(bucket), Some(code), Some(deployment), Some(notification), Some(release)], Some(place)) =
        (schemas, &stack.clouds.aws)
    else {
        return Err(vec![Diagnostic::error("this mcm does not know the types that functions need")]);
    };
    let parts = Parts { stack, place, artifacts };
    let mut resources = vec![parts.bucket(bucket)];
    resources.extend(functions.iter().map(|function| parts.code(code, function)));
    let (deployment, bodies) = parts.deployment(deployment, functions);
    resources.push(deployment);
    for function in functions {
        resources.push(parts.release(release, function, &bodies));
        resources.extend(parts.notifications(notification, function));
    }
    let attributes = functions.iter().map(|function| (function.name.clone(), parts.attributes(function)));
    Ok(Expansion { resources, attributes: attributes.collect() })
}

/// What the parts are made of.
struct Parts<'a> {
    stack: &'a Stack,
    place: &'a AwsPlace,
    artifacts: &'a BTreeMap<String, Artifact>,
}

impl Parts<'_> {
    fn artifacts_address() -> Address {
        Address::shared("functions", "artifacts")
    }

    fn deployment_address() -> Address {
        Address::shared("functions", "deployment")
    }

    /// Where archives lie, until a newer one has taken their place.
    fn bucket(&self, schema: &'static Schema) -> Resource {
        let mut properties = Map::new();
        if let Some(rule) = schema.name {
            let name = (rule.default)(&self.stack.name, "functions", &self.stack.clouds);
            properties.insert(rule.property.to_owned(), name.into());
        }
        self.resource(Self::artifacts_address(), schema, properties, None)
    }

    /// A function's archive.
    fn code(&self, schema: &'static Schema, function: &Function) -> Resource {
        let unknown = || Value::Unknown(Template::new([]));
        let artifact = self.artifacts.get(&function.name);
        let mut properties = Map::from([
            ("Bucket".to_owned(), reference(Self::artifacts_address(), &["BucketName"])),
            ("Function".to_owned(), function.name.as_str().into()),
            ("Architecture".to_owned(), function.architecture.as_str().into()),
            (
                "Digest".to_owned(),
                artifact.map_or_else(unknown, |artifact| artifact.digest.0.as_str().into()),
            ),
            (
                "Size".to_owned(),
                artifact.map_or_else(unknown, |artifact| Value::Number(artifact.size.into())),
            ),
        ]);
        if let Some(artifact) = artifact {
            properties.insert("File".to_owned(), artifact.file.display().to_string().into());
        }
        if let Some(files) = function.options.get("files") {
            properties.insert("Files".to_owned(), files.clone());
        }
        self.resource(code_address(function), schema, properties, Some(function))
    }

    /// The CloudFormation stack of all functions; and what it says of each.
    fn deployment(
        &self,
        schema: &'static Schema,
        functions: &[Function],
    ) -> (Resource, BTreeMap<String, Value>) {
        let mut bodies = BTreeMap::new();
        let prototype = Prototype::read();
        let (mut parameters, mut given_parameters) = (Map::new(), Map::new());
        let (mut resources, mut outputs) = (Map::new(), Map::new());
        for function in functions {
            let prefix = check::pascal(&function.name);
            let values = self.values(function);
            let given = Given { prefix: &prefix, values: &values };
            let mut body = prototype.resource("Function", &given);
            let environment = environment(function, &mut parameters, &mut given_parameters);
            set(&mut body, function, environment);
            bodies.insert(function.name.clone(), body.at(&["Properties"]).cloned().unwrap_or_default());
            resources.insert(given.name("Function"), body);
            for name in ["FunctionLogs", "FunctionVersion", "FunctionAlias"] {
                resources.insert(given.name(name), prototype.resource(name, &given));
            }
            outputs.insert(given.name("FunctionArn"), prototype.output("FunctionArn", &given));
            buckets(function, &prototype, &prefix, &values, &mut resources);
            routes(function, &prototype, &prefix, &values, &mut resources);
        }
        if functions.iter().any(|function| http(function).next().is_some()) {
            self.api(functions, &prototype, &mut resources, &mut outputs);
        }
        let body = prototype.document(parameters, resources, outputs);
        let mut properties = Map::from([
            ("StackName".to_owned(), format!("{}-functions", self.stack.name).into()),
            ("TemplateBody".to_owned(), Value::Map(body)),
        ]);
        if !given_parameters.is_empty() {
            properties.insert("Parameters".to_owned(), Value::Map(given_parameters));
        }
        (self.resource(Self::deployment_address(), schema, properties, None), bodies)
    }

    /// That what everyone calls is the function as it is now, once it has passed its smoke test.
    fn release(
        &self,
        schema: &'static Schema,
        function: &Function,
        bodies: &BTreeMap<String, Value>,
    ) -> Resource {
        let mut configuration =
            Map::from([("Function".to_owned(), bodies.get(&function.name).cloned().unwrap_or_default())]);
        // The template has the names of these alone.
        if let Some(secrets) = function.options.get("secrets") {
            configuration.insert("Secrets".to_owned(), secrets.clone());
        }
        let mut properties = Map::from([
            ("Function".to_owned(), check::name(self.stack, function).into()),
            ("Alias".to_owned(), ALIAS.into()),
            ("Configuration".to_owned(), Value::Map(configuration)),
        ]);
        if let Some(smoke) = function.options.get("smoke").and_then(Value::as_map) {
            let parts = [("event", "Event"), ("expect", "Expect"), ("within", "Within")].into_iter();
            let parts = parts.filter_map(|(key, name)| Some((name.to_owned(), smoke.get(key)?.clone())));
            properties.insert("Smoke".to_owned(), Value::Map(parts.collect()));
        }
        let mut resource = self.resource(release_address(function), schema, properties, Some(function));
        resource.depends_on.insert(Self::deployment_address());
        resource
    }

    /// The HTTP API that all routes share.
    fn api(&self, functions: &[Function], prototype: &Prototype, resources: &mut Map, outputs: &mut Map) {
        let values = BTreeMap::from([("ApiName", Value::from(format!("{}-functions", self.stack.name)))]);
        let given = Given { prefix: "", values: &values };
        let mut api = prototype.resource("HttpApi", &given);
        let routes: Vec<&Map> = functions.iter().flat_map(http).collect();
        let mut origins: Vec<Value> = Vec::new();
        let mut methods: BTreeSet<&str> = BTreeSet::new();
        for route in routes {
            for origin in route.get("cors").and_then(Value::as_list).unwrap_or_default() {
                if !origins.contains(origin) {
                    origins.push(origin.clone());
                }
                let method =
                    route.get("route").and_then(Value::as_text).and_then(|route| route.split_once(' '));
                methods.insert(method.map_or("ANY", |(method, _)| method));
            }
        }
        if !origins.is_empty() {
            // `ANY` stands for all methods in a route, and is no method in an answer to a browser.
            let methods = if methods.contains("ANY") { BTreeSet::from(["*"]) } else { methods };
            let cors = Map::from([
                ("AllowOrigins".to_owned(), Value::List(origins)),
                ("AllowMethods".to_owned(), Value::List(methods.into_iter().map(Value::from).collect())),
                ("AllowHeaders".to_owned(), Value::List(vec!["content-type".into()])),
                ("MaxAge".to_owned(), 300.into()),
            ]);
            put(&mut api, &["Properties", "CorsConfiguration"], Value::Map(cors));
        }
        resources.insert("HttpApi".to_owned(), api);
        let mut stage = prototype.resource("HttpApiStage", &given);
        limit(&mut stage, functions);
        resources.insert("HttpApiStage".to_owned(), stage);
        outputs.insert("ApiEndpoint".to_owned(), prototype.output("ApiEndpoint", &given));
    }

    /// What the template's parameters stand for.
    fn values(&self, function: &Function) -> BTreeMap<&'static str, Value> {
        let option = |name: &str, otherwise: i64| {
            function.options.get(name).cloned().unwrap_or_else(|| Value::from(otherwise))
        };
        BTreeMap::from([
            ("Name", Value::from(check::name(self.stack, function))),
            ("Role", attribute(function.options.get("role"), "Arn")),
            ("CodeBucket", reference(Self::artifacts_address(), &["BucketName"])),
            ("CodeKey", reference(code_address(function), &["Key"])),
            ("Memory", option("memory", MEMORY)),
            ("Timeout", option("timeout", TIMEOUT)),
            ("Architecture", function.architecture.as_str().into()),
            ("LogRetention", option("logRetention", RETENTION)),
        ])
    }

    /// The notifications that call a function.
    fn notifications(&self, schema: &'static Schema, function: &Function) -> Vec<Resource> {
        let notification = |(at, event): (usize, &Map)| {
            let mut properties = Map::from([
                ("Bucket".to_owned(), attribute(event.get("bucket"), "BucketName")),
                ("Id".to_owned(), format!("{}-{}", check::name(self.stack, function), at + 1).into()),
                ("Function".to_owned(), self.arn(function).into()),
                ("Events".to_owned(), event.get("events").cloned().unwrap_or_default()),
            ]);
            for (key, name) in [("prefix", "Prefix"), ("suffix", "Suffix")] {
                if let Some(value) = event.get(key) {
                    properties.insert(name.to_owned(), value.clone());
                }
            }
            let address = Address::part("functions", &function.name, &format!("event-{}", at + 1));
            let mut resource = self.resource(address, schema, properties, Some(function));
            // S3 asks Lambda whether it may call before it takes the notification; and nothing calls what is not released.
            resource.depends_on.extend([Self::deployment_address(), release_address(function)]);
            resource
        };
        s3(function).enumerate().map(notification).collect()
    }

    /// What others may refer to by the function's name.
    fn attributes(&self, function: &Function) -> Value {
        let mut attributes = Map::from([
            ("Arn".to_owned(), self.arn(function).into()),
            ("FunctionName".to_owned(), check::name(self.stack, function).into()),
        ]);
        if http(function).next().is_some() {
            let endpoint = reference(Self::deployment_address(), &["Outputs", "ApiEndpoint"]);
            attributes.insert("ApiEndpoint".to_owned(), endpoint);
        }
        Value::Map(attributes)
    }

    fn arn(&self, function: &Function) -> String {
        let AwsPlace { account, region, .. } = self.place;
        let partition = self.place.partition();
        format!(
            "arn:{partition}:lambda:{region}:{account}:function:{}:{ALIAS}",
            check::name(self.stack, function)
        )
    }

    fn resource(
        &self,
        address: Address,
        schema: &'static Schema,
        properties: Map,
        function: Option<&Function>,
    ) -> Resource {
        let first = self.stack.functions.first();
        Resource {
            address,
            ty: ResourceType::new(schema.ty),
            schema,
            properties,
            depends_on: BTreeSet::new(),
            lifecycle: Lifecycle::default(),
            location: function.or(first).and_then(|function| function.location.clone()),
            property_locations: BTreeMap::new(),
        }
    }
}

fn code_address(function: &Function) -> Address {
    Address::part("functions", &function.name, "code")
}

fn release_address(function: &Function) -> Address {
    Address::part("functions", &function.name, "release")
}

fn reference(address: Address, attribute: &[&str]) -> Value {
    Value::Unknown(Template::reference(address, attribute))
}

/// An attribute of a resource that an option names.
fn attribute(named: Option<&Value>, attribute: &str) -> Value {
    match check::resource_of(named) {
        Some(Reference { address, .. }) => reference(address.clone(), &[attribute]),
        None => Value::Unknown(Template::new([])),
    }
}

/// The S3 events of a function, in order.
fn s3(function: &Function) -> impl Iterator<Item = &Map> {
    check::events(function).filter_map(|event| event.get("s3")?.as_map())
}

/// The routes of a function, in order.
fn http(function: &Function) -> impl Iterator<Item = &Map> {
    check::events(function).filter_map(|event| event.get("http")?.as_map())
}

/// The environment of a function; each secret becomes a parameter that is never shown.
fn environment(function: &Function, parameters: &mut Map, given: &mut Map) -> Map {
    let section =
        |name: &str| function.options.get(name).and_then(Value::as_map).cloned().unwrap_or_default();
    let mut variables = section("environment");
    for (name, value) in section("secrets") {
        let parameter = check::parameter(function, &name);
        let declared = Map::from([("Type".to_owned(), "String".into()), ("NoEcho".to_owned(), true.into())]);
        parameters.insert(parameter.clone(), Value::Map(declared));
        given.insert(parameter.clone(), value);
        variables.insert(name, map("Ref", parameter.into()));
    }
    variables
}

/// What the template's function does not have for every function alike.
fn set(body: &mut Value, function: &Function, environment: Map) {
    if let Some(description) = function.options.get("description") {
        put(body, &["Properties", "Description"], description.clone());
    }
    let variables = (!environment.is_empty()).then(|| map("Variables", Value::Map(environment)));
    put(body, &["Properties", "Environment"], variables.unwrap_or_default());
}

/// The permissions of the buckets whose events come.
fn buckets(
    function: &Function,
    prototype: &Prototype,
    prefix: &str,
    values: &BTreeMap<&'static str, Value>,
    resources: &mut Map,
) {
    let mut seen = Vec::new();
    for event in s3(function) {
        let arn = attribute(event.get("bucket"), "Arn");
        if seen.contains(&arn) {
            continue;
        }
        let mut values = values.clone();
        values.insert("BucketArn", arn.clone());
        let given = Given { prefix, values: &values };
        seen.push(arn);
        let name = format!("{}{}", given.name("FunctionBucketPermission"), nth(seen.len()));
        resources.insert(name, prototype.resource("FunctionBucketPermission", &given));
    }
}

/// The routes of a function, and that the API may call it.
fn routes(
    function: &Function,
    prototype: &Prototype,
    prefix: &str,
    values: &BTreeMap<&'static str, Value>,
    resources: &mut Map,
) {
    for (at, route) in http(function).enumerate() {
        let mut values = values.clone();
        values.insert("Route", route.get("route").cloned().unwrap_or_default());
        let given = Given { prefix, values: &values };
        if at == 0 {
            for name in ["FunctionIntegration", "FunctionApiPermission"] {
                resources.insert(given.name(name), prototype.resource(name, &given));
            }
        }
        resources.insert(route_name(&given, at), prototype.resource("FunctionRoute", &given));
    }
}

/// How many requests the routes take, which the stage says. The API refuses a stage that speaks of a route which is not
/// there yet.
fn limit(stage: &mut Value, functions: &[Function]) {
    let (mut settings, mut routes) = (Map::new(), Vec::new());
    let values = BTreeMap::new();
    for function in functions {
        let prefix = check::pascal(&function.name);
        let given = Given { prefix: &prefix, values: &values };
        for (at, route) in http(function).enumerate() {
            let Some(Value::Number(rate)) = route.get("rate") else { continue };
            let key = route.get("route").and_then(Value::as_text);
            let Some((rate, key)) = rate.as_i64().zip(key) else { continue };
            let limits = [("ThrottlingRateLimit", rate), ("ThrottlingBurstLimit", 2 * rate)];
            let limits = limits.map(|(name, limit)| (name.to_owned(), Value::from(limit)));
            settings.insert(key.to_owned(), Value::Map(limits.into()));
            routes.push(Value::from(route_name(&given, at)));
        }
    }
    if let Value::Map(stage) = stage
        && !routes.is_empty()
    {
        stage.insert("DependsOn".to_owned(), Value::List(routes));
    }
    let settings = (!settings.is_empty()).then_some(Value::Map(settings));
    put(stage, &["Properties", "RouteSettings"], settings.unwrap_or_default());
}

/// The name of a function's route in the template.
fn route_name(given: &Given<'_>, at: usize) -> String {
    format!("{}{}", given.name("FunctionRoute"), nth(at + 1))
}

/// Nothing for the first, a number for each further one.
fn nth(number: usize) -> String {
    if number == 1 { String::new() } else { number.to_string() }
}

/// Sets a value within maps; `Null` removes it.
fn put(value: &mut Value, path: &[&str], new: Value) {
    let (Value::Map(map), Some((first, rest))) = (value, path.split_first()) else { return };
    match (rest, new) {
        ([], Value::Null) => drop(map.remove(*first)),
        ([], new) => drop(map.insert((*first).to_owned(), new)),
        (rest, new) => {
            if let Some(inner) = map.get_mut(*first) {
                put(inner, rest, new);
            }
        }
    }
}
