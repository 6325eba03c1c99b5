//! What is said when AWS says no: through the port itself, where others play AWS and in our sandbox.

use mcm::model::*;
use serde_json::json;

use super::road::{ACCOUNT, Road};

fn map(json: serde_json::Value) -> Map {
    Value::from_json(json).as_map().unwrap().clone()
}

fn owner(name: &str, nonce: char) -> Owner {
    Owner {
        stack: "lab".into(),
        address: Address::resource(name),
        nonce: Nonce(nonce.to_string().repeat(24)),
    }
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

fn role(name: &str) -> serde_json::Value {
    let trust: serde_json::Value = serde_json::from_str(TRUST).unwrap();
    json!({ "RoleName": name, "AssumeRolePolicyDocument": trust })
}

/// The port, with the arguments that matter.
pub struct Port<'a>(pub &'a Road);

impl Port<'_> {
    fn id(&self, ty: &ResourceType, properties: &Map) -> CloudId {
        (self.0.catalogue.get(ty).unwrap().identify)(properties, &self.0.clouds).unwrap()
    }

    pub async fn create(
        &self,
        ty: &str,
        properties: serde_json::Value,
        owner: &Owner,
    ) -> Result<Live, CloudError> {
        let (ty, properties) = (ResourceType::new(ty), map(properties));
        let id = self.id(&ty, &properties);
        self.0
            .router
            .create(Create { ty: &ty, id: &id, properties: &properties, owner, secrets: false })
            .await
    }

    pub async fn read(&self, ty: &str, properties: serde_json::Value) -> Result<Option<Live>, CloudError> {
        let (ty, properties) = (ResourceType::new(ty), map(properties));
        let id = self.id(&ty, &properties);
        self.0.router.read(Read { ty: &ty, id: &id, desired: Some(&properties), secrets: false }).await
    }

    pub async fn delete(&self, ty: &str, before: &Live) -> Result<(), CloudError> {
        let ty = ResourceType::new(ty);
        self.0.router.delete(Delete { ty: &ty, id: &before.id, before, spares_data: false }).await
    }
}

/// What all three of them refuse alike.
pub async fn agreed(road: &Road, who: &str) {
    let port = Port(road);
    let (role_type, bucket_type, policy_type) =
        ("AWS::IAM::Role", "AWS::S3::Bucket", "AWS::S3::BucketPolicy");

    // A name that is taken.
    let made = port.create(role_type, role("refused"), &owner("a", '1')).await.unwrap();
    assert_eq!(made.owner, Some(owner("a", '1')));
    let error = port.create(role_type, role("refused"), &owner("b", '2')).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_str()),
        (ErrorKind::AlreadyExists, "EntityAlreadyExists"),
        "{who}: {error}"
    );
    assert!(error.hint.as_deref().unwrap().contains("adopt: true"));
    let still = port.read(role_type, role("refused")).await.unwrap().unwrap();
    assert_eq!(still.owner, Some(owner("a", '1')), "{who}: what was there is as it was");

    // A creation that fails halfway leaves nothing behind. ministack attaches policies that do not exist; IAM answers
    // NoSuchEntity, says the model of AttachRolePolicy.
    if who != "ministack" {
        let mut half = role("refused-half");
        half["ManagedPolicyArns"] = json!([format!("arn:aws:iam::{ACCOUNT}:policy/NoSuchPolicyAtAll")]);
        let error = port.create(role_type, half.clone(), &owner("a", '1')).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Invalid, "NoSuchEntity"), "{who}: {error}");
        assert!(error.hint.as_deref().unwrap().contains("NoSuchPolicyAtAll"), "{who}: {error:?}");
        assert_eq!(port.read(role_type, half).await.unwrap(), None, "{who}");
    }

    // A deletion twice; of what is gone, and of something whose parts are gone.
    port.delete(role_type, &made).await.unwrap();
    port.delete(role_type, &made).await.unwrap();
    assert_eq!(port.read(role_type, role("refused")).await.unwrap(), None);

    // A bucket of one's own, asked for twice: in us-east-1 S3 itself would say yes.
    let bucket = json!({ "BucketName": "mcm-refused" });
    let made = port.create(bucket_type, bucket.clone(), &owner("a", '1')).await.unwrap();
    let error = port.create(bucket_type, bucket.clone(), &owner("b", '2')).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AlreadyExists, "{who}: {error}");
    assert_eq!(port.read(bucket_type, bucket.clone()).await.unwrap().unwrap().owner, Some(owner("a", '1')));

    // A policy that is there already.
    let policy = json!({ "Bucket": "mcm-refused", "PolicyDocument": { "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Principal": { "AWS": "*" }, "Action": "s3:*", "Resource": "arn:aws:s3:::mcm-refused/*",
          "Condition": { "Bool": { "aws:SecureTransport": "false" } } },
    ] } });
    let put = port.create(policy_type, policy.clone(), &owner("p", '1')).await.unwrap();
    let error = port.create(policy_type, policy.clone(), &owner("q", '1')).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AlreadyExists, "{who}: {error}");
    port.delete(policy_type, &put).await.unwrap();
    port.delete(policy_type, &put).await.unwrap();
    assert_eq!(port.read(policy_type, policy.clone()).await.unwrap(), None);

    // A bucket with something in it.
    std::fs::write(road.folder.path().join("site/index.html"), "one").unwrap();
    let content = content(road, "mcm-refused", "", &[("index.html", "one")]);
    let uploaded = port.create("MCM::S3::Content", content, &owner("c", '1')).await.unwrap();
    let error = port.delete(bucket_type, &made).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::NotEmpty, "BucketNotEmpty"), "{who}: {error}");
    assert!(error.hint.as_deref().unwrap().contains("aws s3 rm s3://mcm-refused --recursive"), "{error:?}");
    port.delete("MCM::S3::Content", &uploaded).await.unwrap();
    port.delete(bucket_type, &made).await.unwrap();
    port.delete(bucket_type, &made).await.unwrap();
    assert_eq!(port.read(bucket_type, bucket).await.unwrap(), None);
    assert_eq!(port.read(policy_type, policy.clone()).await.unwrap(), None);
    let error = port.create(policy_type, policy, &owner("q", '1')).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::NotFound, "NoSuchBucket"), "{who}: {error}");
}

/// The properties of a folder's content, as the stack file's reader fills them in.
pub fn content(road: &Road, bucket: &str, prefix: &str, files: &[(&str, &str)]) -> serde_json::Value {
    use sha2::{Digest as _, Sha256};
    let files: serde_json::Map<String, serde_json::Value> = files
        .iter()
        .map(|(name, text)| {
            let digest = hex::encode(Sha256::digest(text));
            let file =
                json!({ "ContentType": "text/html; charset=utf-8", "Digest": digest, "Size": text.len() });
            (format!("{prefix}{name}"), file)
        })
        .collect();
    let folder = road.folder.path().canonicalize().unwrap().join("site");
    json!({ "Bucket": bucket, "Prefix": prefix, "Source": "site", "Folder": folder, "Files": files })
}

/// What only our sandbox plays: signatures, other accounts, public policies, dangling principals.
pub async fn strictly(road: &Road, other: &Road, wrong: &Road) {
    let port = Port(road);
    // Credentials.
    let error = wrong.router.guard().await.pop().unwrap();
    assert_eq!(error.kind, ErrorKind::Credentials, "{error:?}");
    assert!(error.hint.is_some());
    let error = other.router.guard().await.pop().unwrap();
    assert_eq!(error.kind, ErrorKind::WrongAccount, "{error:?}");
    assert!(error.message.contains(ACCOUNT) && error.message.contains("999999999999"), "{error}");
    assert!(road.router.guard().await.is_empty());

    // A bucket of someone else.
    let bucket = json!({ "BucketName": "mcm-theirs" });
    Port(other).create("AWS::S3::Bucket", bucket.clone(), &owner("a", '1')).await.unwrap();
    let error = port.create("AWS::S3::Bucket", bucket.clone(), &owner("a", '1')).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AlreadyExists, "{error}");
    assert!(error.hint.as_deref().unwrap().contains("shared by all accounts"), "{error:?}");
    let error = port.read("AWS::S3::Bucket", bucket).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.hint.as_deref().unwrap().contains("another `BucketName`"), "{error:?}");

    // A principal that does not exist, yet.
    let mut early = role("refused-early");
    early["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] =
        json!({ "AWS": format!("arn:aws:iam::{ACCOUNT}:role/no-such-role") });
    let error = port.create("AWS::IAM::Role", early, &owner("a", '1')).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Settling { .. }), "{error:?}");

    // A public policy on a bucket that must not be public.
    port.create("AWS::S3::Bucket", json!({ "BucketName": "mcm-shut" }), &owner("s", '1')).await.unwrap();
    let public = json!({ "Bucket": "mcm-shut", "PolicyDocument": { "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::mcm-shut/*" },
    ] } });
    let error = port.create("AWS::S3::BucketPolicy", public, &owner("p", '1')).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Denied, "AccessDenied"), "{error}");
    assert!(error.hint.as_deref().unwrap().contains("BlockPublicPolicy: false"), "{error:?}");
}

/// Endpoints where nothing good can come from.
pub async fn unreachable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let road = Road::new(&format!("http://127.0.0.1:{port}"), "us-east-1", None);
    let error = road.router.guard().await.pop().unwrap();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error:?}");
    assert!(error.hint.as_deref().unwrap().contains("check the network"));

    for plain in ["http://192.0.2.1:80", "http://example.org"] {
        let road = Road::new(plain, "us-east-1", None);
        let error = road.router.guard().await.pop().unwrap();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error:?}");
        assert!(error.message.contains("plain HTTP") && error.hint.is_some(), "{error:?}");
    }
}
