//! A trust edge between clouds -> the resources that make it.
//!
//! One edge, from an AWS role to a Google service account, becomes a workload identity pool, an AWS provider in it
//! that admits that one role, and the grant that lets the role's sessions become the service account. No key is
//! made anywhere. The room knows the vendors' names and rules of trust; schemas come in as data.

mod ids;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Address, Catalogue, Diagnostic, Expansion, Lifecycle, Map, Part, Reference, Resource, ResourceType,
    Schema, Stack, Template, TrustEdge, Value,
};

const ROLE: &str = "AWS::IAM::Role";
const SERVICE_ACCOUNT: &str = "iam.googleapis.com/ServiceAccount";
const POOL: &str = "iam.googleapis.com/WorkloadIdentityPool";
const PROVIDER: &str = "iam.googleapis.com/WorkloadIdentityPoolProvider";
const BINDING: &str = "iam.googleapis.com/ServiceAccountIamMember";
/// What lets a federated identity become a service account.
const USER: &str = "roles/iam.workloadIdentityUser";

/// The session's name alone, at most 64 bytes. Google's default, the whole ARN of the session, can be longer than
/// the 127 bytes that a subject may have (a role's and a session's name have 64 each), and the exchange then fails.
const SUBJECT: &str = "assertion.arn.extract('assumed-role/{role_and_session}').extract('/{session}')";
/// The role's ARN without the session, as `arn:aws:sts::ACCOUNT:assumed-role/ROLE`: Google's own default, written
/// out so that a change of the default changes nothing.
const AWS_ROLE: &str = "assertion.arn.contains('assumed-role') ? \
    assertion.arn.extract('{account_arn}assumed-role/') + 'assumed-role/' + \
    assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn";

/// The [`crate::model::Expander`] of the `trust` section.
pub fn expand(edge: &TrustEdge, stack: &Stack, catalogue: &Catalogue) -> Result<Expansion, Vec<Diagnostic>> {
    let mut wrong = Vec::new();
    check_end(edge, stack, "from", &edge.from, ROLE, &mut wrong);
    check_end(edge, stack, "to", &edge.to, SERVICE_ACCOUNT, &mut wrong);
    check_options(edge, &mut wrong);
    let pool = ids::chosen(edge, "pool", || ids::pool(&stack.name, &edge.name), &mut wrong);
    let account = stack.clouds.aws.as_ref().map(|place| place.account.clone());
    if account.is_none() {
        wrong.push(no_place(edge, "aws"));
    }
    check_partition(edge, stack, &mut wrong);
    if stack.clouds.gcp.is_none() {
        wrong.push(no_place(edge, "gcp"));
    }
    let account = account.unwrap_or_default();
    let provider = ids::chosen(edge, "provider", || ids::provider(&account), &mut wrong);
    check_taken(edge, stack, &pool, &mut wrong);
    let schemas = [POOL, PROVIDER, BINDING].map(|ty| catalogue.get(&ResourceType::new(ty)).ok_or(ty));
    let [Ok(pool_schema), Ok(provider_schema), Ok(binding_schema)] = schemas else {
        let missing = schemas.iter().filter_map(|schema| schema.err());
        wrong.extend(
            missing
                .map(|ty| said(edge, format!("this mcm does not know the type {ty}, which a trust needs"))),
        );
        return Err(wrong);
    };
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let parts = Parts { edge, account, pool, provider };
    Ok(Expansion {
        resources: vec![
            parts.pool(pool_schema),
            parts.provider(provider_schema),
            parts.binding(binding_schema),
        ],
        attributes: Map::from([("credentialConfiguration".to_owned(), parts.credential_configuration())]),
    })
}

/// What the parts are made of.
struct Parts<'e> {
    edge: &'e TrustEdge,
    account: String,
    pool: String,
    provider: String,
}

impl Parts<'_> {
    fn address(&self, part: &str) -> Address {
        Address::part("trust", &self.edge.name, part)
    }

    fn pool(&self, schema: &'static Schema) -> Resource {
        self.resource(
            "pool",
            schema,
            Map::from([
                ("workloadIdentityPoolId".to_owned(), self.pool.as_str().into()),
                ("displayName".to_owned(), self.display_name()),
                ("description".to_owned(), "Keyless access from AWS".into()),
            ]),
        )
    }

    fn provider(&self, schema: &'static Schema) -> Resource {
        let mapping = [
            ("google.subject", SUBJECT),
            ("attribute.aws_role", AWS_ROLE),
            ("attribute.aws_account", "assertion.account"),
        ];
        let mapping: Map = mapping.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let condition = template([
            text(format!("attribute.aws_role == \"{}", self.role_prefix())),
            self.role_name(),
            text("\"".to_owned()),
        ]);
        let mut provider = self.resource(
            "provider",
            schema,
            Map::from([
                ("workloadIdentityPool".to_owned(), self.pool.as_str().into()),
                ("workloadIdentityPoolProviderId".to_owned(), self.provider.as_str().into()),
                ("displayName".to_owned(), self.display_name()),
                ("description".to_owned(), "One AWS role".into()),
                (
                    "aws".to_owned(),
                    Map::from([("accountId".to_owned(), self.account.as_str().into())]).into(),
                ),
                ("attributeMapping".to_owned(), mapping.into()),
                ("attributeCondition".to_owned(), condition),
            ]),
        );
        // Its identity is known from the start, so nothing in it refers to the pool that it lies in.
        provider.depends_on.insert(self.address("pool"));
        provider
    }

    fn binding(&self, schema: &'static Schema) -> Resource {
        let member = template([
            text("principalSet://iam.googleapis.com/".to_owned()),
            reference(self.address("pool"), "name"),
            text(format!("/attribute.aws_role/{}", self.role_prefix())),
            self.role_name(),
        ]);
        self.resource(
            "binding",
            schema,
            Map::from([
                ("serviceAccount".to_owned(), template([reference(self.edge.to.clone(), "email")])),
                ("role".to_owned(), USER.into()),
                ("member".to_owned(), member),
            ]),
        )
    }

    /// What `gcloud iam workload-identity-pools create-cred-config --aws --service-account` writes.
    fn credential_configuration(&self) -> Value {
        let source = [
            ("environment_id", "aws1"),
            ("region_url", "http://169.254.169.254/latest/meta-data/placement/availability-zone"),
            ("url", "http://169.254.169.254/latest/meta-data/iam/security-credentials"),
            (
                "regional_cred_verification_url",
                "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
            ),
        ];
        let source: Map = source.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let audience =
            template([text("//iam.googleapis.com/".to_owned()), reference(self.address("provider"), "name")]);
        let impersonation = template([
            text("https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/".to_owned()),
            reference(self.edge.to.clone(), "email"),
            text(":generateAccessToken".to_owned()),
        ]);
        Value::Map(Map::from([
            ("universe_domain".to_owned(), "googleapis.com".into()),
            ("type".to_owned(), "external_account".into()),
            ("audience".to_owned(), audience),
            ("subject_token_type".to_owned(), "urn:ietf:params:aws:token-type:aws4_request".into()),
            ("token_url".to_owned(), "https://sts.googleapis.com/v1/token".into()),
            ("credential_source".to_owned(), source.into()),
            ("service_account_impersonation_url".to_owned(), impersonation),
        ]))
    }

    /// A session's ARN names no path, whatever the role's is.
    fn role_prefix(&self) -> String {
        format!("arn:aws:sts::{}:assumed-role/", self.account)
    }

    fn role_name(&self) -> Part {
        reference(self.edge.from.clone(), "RoleName")
    }

    /// At most 32 characters.
    fn display_name(&self) -> Value {
        Value::Text(self.edge.name.chars().take(32).collect())
    }

    fn resource(&self, part: &str, schema: &'static Schema, properties: Map) -> Resource {
        Resource {
            address: self.address(part),
            ty: ResourceType::new(schema.ty),
            schema,
            properties,
            depends_on: BTreeSet::new(),
            lifecycle: Lifecycle::default(),
            location: self.edge.location.clone(),
            property_locations: BTreeMap::new(),
        }
    }
}

fn text(text: String) -> Part {
    Part::Text(text)
}

fn reference(address: Address, attribute: &str) -> Part {
    Part::Reference(Reference { address, attribute: vec![attribute.to_owned()] })
}

fn template(parts: impl IntoIterator<Item = Part>) -> Value {
    Value::Unknown(Template::new(parts))
}

/// An end of the edge is a resource of the stack, of the one type that can stand there.
fn check_end(
    edge: &TrustEdge,
    stack: &Stack,
    end: &str,
    address: &Address,
    ty: &str,
    wrong: &mut Vec<Diagnostic>,
) {
    let found = stack.get(address);
    if found.is_some_and(|resource| resource.ty.as_str() == ty) {
        return;
    }
    let what = if ty == ROLE { "the role under `from`" } else { "the service account under `to`" };
    let hint = format!("a trust runs from an {ROLE} to an {SERVICE_ACCOUNT}: put {what}");
    let summary = match found {
        Some(resource) => {
            format!(
                "trust `{}`: `{end}` must be an {ty}, and `{address}` is of type {}",
                edge.name, resource.ty
            )
        }
        None => format!("trust `{}`: `{end}` leads to `{address}`, which the stack does not have", edge.name),
    };
    wrong.push(Diagnostic::error(summary).at(edge.location.clone()).hint(hint));
}

/// The options of an edge.
const OPTIONS: &[&str] = &["pool", "provider"];

fn check_options(edge: &TrustEdge, wrong: &mut Vec<Diagnostic>) {
    for name in edge.options.keys().filter(|name| !OPTIONS.contains(&name.as_str())) {
        let near = OPTIONS.iter().find(|option| strsim::damerau_levenshtein(name, option) <= 2);
        let hint = match near {
            Some(option) => format!("did you mean `{option}`?"),
            None => "a trust has `from`, `to`, and the ids `pool` and `provider`".to_owned(),
        };
        wrong.push(said(edge, format!("trust `{}`: unknown key `{name}`", edge.name)).hint(hint));
    }
}

/// Google's AWS providers know the accounts of AWS's public partition: what a role in another one is called, and whose
/// token service would vouch for it, is something else.
fn check_partition(edge: &TrustEdge, stack: &Stack, wrong: &mut Vec<Diagnostic>) {
    let Some(place) = &stack.clouds.aws else { return };
    if place.partition() != "aws" {
        let summary = format!(
            "trust `{}`: {} lies in a part of AWS that Google Cloud does not know",
            edge.name, place.region
        );
        wrong.push(said(edge, summary).hint("a trust needs a role of the public regions, such as us-east-1"));
    }
}

/// Two pools of one id would be one object with two addresses.
fn check_taken(edge: &TrustEdge, stack: &Stack, pool: &str, wrong: &mut Vec<Diagnostic>) {
    let holds = |resource: &&Resource| {
        resource.ty.as_str() == POOL
            && resource.properties.get("workloadIdentityPoolId").and_then(Value::as_text) == Some(pool)
    };
    if let Some(other) = stack.resources.iter().find(holds) {
        let summary =
            format!("trust `{}`: the pool id `{pool}` is that of `{}` already", edge.name, other.address);
        wrong.push(said(edge, summary).hint("give the trust a `pool` of its own"));
    }
}

fn no_place(edge: &TrustEdge, cloud: &str) -> Diagnostic {
    said(edge, format!("trust `{}` needs `clouds.{cloud}`, which the stack does not have", edge.name))
        .hint("a trust from AWS to Google Cloud needs the AWS account and the Google project")
}

fn said(edge: &TrustEdge, summary: String) -> Diagnostic {
    Diagnostic::error(summary).at(edge.location.clone())
}

#[cfg(test)]
mod tests;
