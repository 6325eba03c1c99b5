//! The expansion of an edge, part by part, and every mistake in one.

use std::path::PathBuf;

use super::*;
use crate::model::{AwsPlace, Clouds, Deletion, Digest, GcpPlace};

/// A schema of which only the type's name matters here.
const fn schema(ty: &'static str) -> Schema {
    Schema {
        ty,
        doc: "",
        properties: &[],
        attributes: &[],
        name: None,
        identify: |_, _| None,
        predict: |_, _| Map::new(),
        check: |_, _| Vec::new(),
        marked: false,
        shared: false,
        compares: false,
        deletion: Deletion::Recreatable { loses: "" },
    }
}

static SCHEMAS: [Schema; 5] =
    [schema(ROLE), schema(SERVICE_ACCOUNT), schema(POOL), schema(PROVIDER), schema(BINDING)];

fn resource(index: usize, name: &str, properties: Map) -> Resource {
    Resource {
        address: Address::resource(name),
        ty: ResourceType::new(SCHEMAS[index].ty),
        schema: &SCHEMAS[index],
        properties,
        depends_on: BTreeSet::new(),
        lifecycle: Lifecycle::default(),
        location: None,
        property_locations: BTreeMap::new(),
    }
}

fn stack() -> Stack {
    Stack {
        name: "shop".to_owned(),
        description: None,
        folder: PathBuf::new(),
        clouds: Clouds {
            aws: Some(AwsPlace {
                account: "123456789012".to_owned(),
                region: "us-east-1".to_owned(),
                endpoint: None,
            }),
            gcp: Some(GcpPlace { project: "shop-demo".to_owned(), endpoint: None }),
            azure: None,
        },
        backend: None,
        resources: vec![
            resource(0, "lambda-role", Map::from([("RoleName".to_owned(), "shop-lambda".into())])),
            resource(1, "writer", Map::new()),
        ],
        functions: Vec::new(),
        outputs: Vec::new(),
        variables: Map::new(),
        digest: Digest(String::new()),
    }
}

fn edge(options: &[(&str, Value)]) -> TrustEdge {
    TrustEdge {
        name: "to-gcp".to_owned(),
        from: Address::resource("lambda-role"),
        to: Address::resource("writer"),
        options: options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        location: None,
    }
}

fn catalogue() -> Catalogue {
    Catalogue::new(&SCHEMAS)
}

/// What the parts become once everything they refer to is known.
fn resolved(value: &Value) -> Value {
    let pool = "projects/555/locations/global/workloadIdentityPools/shop-to-gcp";
    value.resolve(&|reference| {
        let known = match (reference.address.as_str(), reference.attribute.join(".").as_str()) {
            ("resources.lambda-role", "RoleName") => "shop-lambda".to_owned(),
            ("resources.writer", "email") => "writer@shop-demo.iam.gserviceaccount.com".to_owned(),
            ("trust.to-gcp.pool", "name") => pool.to_owned(),
            ("trust.to-gcp.provider", "name") => format!("{pool}/providers/aws-123456789012"),
            _ => return None,
        };
        Some(Value::Text(known))
    })
}

#[test]
fn an_edge_becomes_pool_provider_and_binding() {
    let made = expand(&edge(&[]), &stack(), &catalogue()).unwrap();
    let parts: Vec<String> =
        made.resources.iter().map(|part| format!("{} {}", part.address, part.ty)).collect();
    assert_eq!(
        parts,
        [
            "trust.to-gcp.pool iam.googleapis.com/WorkloadIdentityPool",
            "trust.to-gcp.provider iam.googleapis.com/WorkloadIdentityPoolProvider",
            "trust.to-gcp.binding iam.googleapis.com/ServiceAccountIamMember",
        ]
    );
    let [pool, provider, binding] = made.resources.as_slice() else { panic!("three parts") };
    assert_eq!(pool.properties["workloadIdentityPoolId"], "shop-to-gcp".into());
    assert_eq!(provider.properties["workloadIdentityPool"], "shop-to-gcp".into());
    assert_eq!(provider.properties["workloadIdentityPoolProviderId"], "aws-123456789012".into());
    assert_eq!(provider.properties["aws"].to_json().to_string(), r#"{"accountId":"123456789012"}"#);
    assert_eq!(
        resolved(&provider.properties["attributeCondition"]),
        r#"attribute.aws_role == "arn:aws:sts::123456789012:assumed-role/shop-lambda""#.into()
    );
    assert_eq!(
        resolved(&binding.properties["serviceAccount"]),
        "writer@shop-demo.iam.gserviceaccount.com".into()
    );
    assert_eq!(binding.properties["role"], "roles/iam.workloadIdentityUser".into());
    assert_eq!(
        resolved(&binding.properties["member"]),
        "principalSet://iam.googleapis.com/projects/555/locations/global/workloadIdentityPools/shop-to-gcp/\
         attribute.aws_role/arn:aws:sts::123456789012:assumed-role/shop-lambda"
            .into()
    );
}

#[test]
fn each_part_needs_what_it_is_made_of() {
    let made = expand(&edge(&[]), &stack(), &catalogue()).unwrap();
    let needs = |index: usize| {
        made.resources[index].dependencies().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(needs(0).is_empty());
    assert_eq!(needs(1), ["resources.lambda-role", "trust.to-gcp.pool"]);
    assert_eq!(needs(2), ["resources.lambda-role", "resources.writer", "trust.to-gcp.pool"]);
}

#[test]
fn the_credential_configuration_is_what_googles_own_tool_writes() {
    let made = expand(&edge(&[]), &stack(), &catalogue()).unwrap();
    let json = resolved(&made.attributes["credentialConfiguration"]).to_json();
    assert_eq!(
        json,
        serde_json::json!({
            "universe_domain": "googleapis.com",
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/555/locations/global/workloadIdentityPools/shop-to-gcp/providers/aws-123456789012",
            "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {
                "environment_id": "aws1",
                "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
                "url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
                "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
            },
            "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/writer@shop-demo.iam.gserviceaccount.com:generateAccessToken",
        })
    );
}

#[test]
fn the_mapping_is_explicit_and_its_subject_short() {
    let made = expand(&edge(&[]), &stack(), &catalogue()).unwrap();
    let mapping = made.resources[1].properties["attributeMapping"].as_map().unwrap().clone();
    assert_eq!(
        mapping.keys().collect::<Vec<_>>(),
        ["attribute.aws_account", "attribute.aws_role", "google.subject"]
    );
    assert_eq!(
        mapping["attribute.aws_role"],
        "assertion.arn.contains('assumed-role') ? assertion.arn.extract('{account_arn}assumed-role/') + 'assumed-role/' \
         + assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn"
            .into()
    );
    assert_ne!(mapping["google.subject"], "assertion.arn".into());
}

#[test]
fn ids_can_be_chosen_and_long_defaults_are_shortened() {
    let chosen = [("pool", "my-pool".into()), ("provider", "my-provider".into())];
    let made = expand(&edge(&chosen), &stack(), &catalogue()).unwrap();
    assert_eq!(made.resources[0].properties["workloadIdentityPoolId"], "my-pool".into());
    assert_eq!(made.resources[1].properties["workloadIdentityPoolProviderId"], "my-provider".into());

    assert_eq!(ids::pool("a", "b"), "a-b-pool");
    assert_eq!(ids::pool("gcp", "b"), "mcm-gcp-b");
    let long = "image-recognition-with-a-long-name";
    let (one, other) = (ids::pool(long, "to-gcp"), ids::pool(long, "to-gcp-too"));
    assert_ne!(one, other);
    for id in [one, other] {
        assert!((4..=32).contains(&id.len()), "{id}");
        assert!(id.starts_with("image-recognition"), "{id}");
    }
}

/// Every mistake, with what is said of it.
#[test]
fn mistakes_are_told_all_at_once_with_a_way_out() {
    let told = |edge: &TrustEdge, stack: &Stack| -> Vec<String> {
        let wrong = expand(edge, stack, &catalogue()).unwrap_err();
        assert!(wrong.iter().all(|diagnostic| diagnostic.hint.is_some()));
        wrong.into_iter().map(|diagnostic| diagnostic.summary).collect()
    };

    let swapped =
        TrustEdge { from: Address::resource("writer"), to: Address::resource("lambda-role"), ..edge(&[]) };
    assert_eq!(
        told(&swapped, &stack()),
        [
            "trust `to-gcp`: `from` must be an AWS::IAM::Role, and `resources.writer` is of type \
             iam.googleapis.com/ServiceAccount",
            "trust `to-gcp`: `to` must be an iam.googleapis.com/ServiceAccount, and `resources.lambda-role` is of type \
             AWS::IAM::Role",
        ]
    );

    let lost = TrustEdge { to: Address::resource("nobody"), ..edge(&[]) };
    assert_eq!(
        told(&lost, &stack()),
        ["trust `to-gcp`: `to` leads to `resources.nobody`, which the stack does not have"]
    );

    let nowhere = Stack { clouds: Clouds::default(), ..stack() };
    assert_eq!(
        told(&edge(&[]), &nowhere),
        [
            "trust `to-gcp` needs `clouds.aws`, which the stack does not have",
            "trust `to-gcp` needs `clouds.gcp`, which the stack does not have",
        ]
    );

    let options = [("pol", "x".into()), ("pool", "gcp-mine".into()), ("provider", Value::Bool(true))];
    assert_eq!(
        told(&edge(&options), &stack()),
        [
            "trust `to-gcp`: unknown key `pol`",
            "trust `to-gcp`: `gcp-mine` cannot be the id of a pool",
            "trust `to-gcp`: this cannot be the id of a provider",
        ]
    );

    let mut crowded = stack();
    let taken = Map::from([("workloadIdentityPoolId".to_owned(), "shop-to-gcp".into())]);
    crowded.resources.push(resource(2, "mine", taken));
    assert_eq!(
        told(&edge(&[]), &crowded),
        ["trust `to-gcp`: the pool id `shop-to-gcp` is that of `resources.mine` already"]
    );

    let none = expand(&edge(&[]), &stack(), &Catalogue::default()).unwrap_err();
    assert_eq!(none.len(), 3);
}
