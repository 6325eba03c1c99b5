//! Whose an object is, and what happens to it: a folder's content among other people's objects.

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use mcm::model::*;
use serde_yaml::{Mapping, Value as Yaml};

use super::road::{ACCOUNT, Road, told_edits};

/// Someone else with a client of their own.
pub fn client(road: &Road, keys: Option<&(String, Secret)>) -> Client {
    let (id, secret) = match keys {
        Some((id, secret)) => (id.clone(), secret.expose().to_owned()),
        // ministack takes an account's number for its key.
        None => (ACCOUNT.to_owned(), "none".to_owned()),
    };
    let place = road.clouds.aws.clone().unwrap();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(place.region))
        .endpoint_url(place.endpoint.unwrap())
        .force_path_style(true)
        .credentials_provider(Credentials::from_keys(id, secret, None))
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::from_conf(config.build())
}

fn site(bucket: &str, versioned: bool) -> Mapping {
    let status = if versioned { "Enabled" } else { "Suspended" };
    serde_yaml::from_str(&format!(
        "bucket: {{ type: 'AWS::S3::Bucket', properties: {{ BucketName: {bucket}, VersioningConfiguration: {{ Status: {status} }} }} }}\n\
         site: {{ type: 'MCM::S3::Content', properties: {{ Bucket: '${{bucket.BucketName}}', Source: site, Prefix: 'w/' }} }}\n"
    ))
    .unwrap()
}

fn write(road: &Road, files: &[(&str, &str)]) {
    let folder = road.folder.path().join("site");
    let _ = std::fs::remove_dir_all(&folder);
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

async fn objects(client: &Client, bucket: &str) -> BTreeMap<String, String> {
    let listed = client.list_objects_v2().bucket(bucket).send().await.unwrap();
    let mut objects = BTreeMap::new();
    for key in listed.contents().iter().filter_map(|object| object.key()) {
        let object = client.get_object().bucket(bucket).key(key).send().await.unwrap();
        let body = object.body.collect().await.unwrap().into_bytes();
        objects.insert(key.to_owned(), String::from_utf8(body.to_vec()).unwrap());
    }
    objects
}

fn is(objects: &BTreeMap<String, String>, expected: &[(&str, &str)], told: &str) {
    let expected = expected.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    assert_eq!(*objects, expected, "{told}");
}

async fn put(client: &Client, bucket: &str, key: &str, text: &'static str) {
    client
        .put_object()
        .bucket(bucket)
        .key(key)
        .body(ByteStream::from_static(text.as_bytes()))
        .send()
        .await
        .unwrap();
}

/// A site's life among strangers.
pub async fn among_strangers(road: &mut Road, who: &str, keys: Option<&(String, Secret)>, versioned: bool) {
    let bucket = if versioned { "mcm-versions" } else { "mcm-objects" };
    let told = |what: &str| format!("{who}, versioned {versioned}: {what}");
    let client = client(road, keys);
    let address = Address::resource("site");

    write(road, &[("index.html", "one"), ("a/b c+ä.txt", "two")]);
    let stack = road.stack(&site(bucket, versioned));
    road.must(&stack, Mode::Apply, &told("made")).await;
    is(&objects(&client, bucket).await, &[("w/a/b c+ä.txt", "two"), ("w/index.html", "one")], &told("made"));
    let head = client.head_object().bucket(bucket).key("w/index.html").send().await.unwrap();
    assert_eq!(head.content_type(), Some("text/html; charset=utf-8"), "{}", told("typed"));

    // Strangers' objects are neither shown nor touched, below the prefix or beside it.
    put(&client, bucket, "w/theirs.txt", "theirs").await;
    put(&client, bucket, "elsewhere", "theirs").await;
    let (plan, _) = road.plan(&stack, Mode::Apply).await;
    assert!(plan.is_empty(), "{}", told("strangers are not shown"));

    // An edit from outside shows as that file's digest, and is put back.
    put(&client, bucket, "w/index.html", "drifted").await;
    let (plan, _) = road.plan(&stack, Mode::Apply).await;
    let edits = told_edits(plan.change(&address).unwrap());
    assert!(edits.iter().skip(1).all(|edit| edit.starts_with("Files[\"w/index.html\"].")), "{edits:#?}");
    assert!(edits.iter().any(|edit| edit.contains(".Digest: ")), "{edits:#?}");
    road.must(&stack, Mode::Apply, &told("put back")).await;

    // A file changes, one comes, one goes.
    write(road, &[("index.html", "three!"), ("new.css", "x")]);
    let stack = road.stack(&site(bucket, versioned));
    let (plan, _) = road.plan(&stack, Mode::Apply).await;
    let edits = told_edits(plan.change(&address).unwrap());
    assert_eq!(edits.len(), 5, "{edits:#?}");
    road.must(&stack, Mode::Apply, &told("changed")).await;
    let strangers = [("elsewhere", "theirs"), ("w/theirs.txt", "theirs")];
    let ours = [("w/index.html", "three!"), ("w/new.css", "x")];
    is(&objects(&client, bucket).await, &[&strangers[..], &ours].concat(), &told("changed"));

    // A file that a stranger's object stands in the way of.
    write(road, &[("index.html", "three!"), ("new.css", "x"), ("theirs.txt", "mine")]);
    let taken = road.stack(&site(bucket, versioned));
    let (plan, _) = road.plan(&taken, Mode::Apply).await;
    assert_eq!(
        told_edits(plan.change(&address).unwrap()).len(),
        4,
        "{}",
        told("is shown before it is overwritten")
    );

    // A file that changes between plan and apply.
    let (plan, inventory) = road.plan(&taken, Mode::Apply).await;
    write(road, &[("index.html", "three!"), ("new.css", "x"), ("theirs.txt", "late")]);
    let outcome = road.finish(&taken, plan, &inventory).await;
    let Outcome::RolledBack { failures, .. } = outcome else { panic!("{}: {outcome:#?}", told("late")) };
    assert!(failures[0].error.message.contains("has changed since it was planned"), "{failures:#?}");
    is(&objects(&client, bucket).await, &[&strangers[..], &ours].concat(), &told("nothing was done"));

    // A destruction takes what is ours and leaves what is not; the bucket cannot go.
    write(road, &[("index.html", "three!"), ("new.css", "x")]);
    let stack = road.stack(&site(bucket, versioned));
    let outcome = road.run(&stack, Mode::Destroy).await;
    assert!(!matches!(outcome, Outcome::Applied { .. }), "{outcome:#?}");
    is(&objects(&client, bucket).await, &strangers, &told("only ours are gone"));
    // What drifted is still there for its owner, as an old version, where there are versions.
    for key in ["elsewhere", "w/theirs.txt", "w/index.html"] {
        client.delete_object().bucket(bucket).key(key).send().await.unwrap();
        let versions = client.list_object_versions().bucket(bucket).prefix(key).send().await.unwrap();
        let markers = versions.delete_markers().iter().map(|marker| marker.version_id());
        for version in versions.versions().iter().map(|version| version.version_id()).chain(markers) {
            let version = version.map(str::to_owned);
            client.delete_object().bucket(bucket).key(key).set_version_id(version).send().await.unwrap();
        }
    }
    road.must(&stack, Mode::Destroy, &told("destroyed, old versions and all")).await;
    assert!(road.state.resources.is_empty());
}

/// A failure elsewhere puts back what an update had replaced, although the folder no longer holds it.
pub async fn rolled_back(road: &mut Road, who: &str, keys: Option<&(String, Secret)>) {
    let bucket = "mcm-rollback";
    let client = client(road, keys);
    write(road, &[("index.html", "old"), ("gone.txt", "gone")]);
    let stack = road.stack(&site(bucket, false));
    road.must(&stack, Mode::Apply, who).await;
    write(road, &[("index.html", "new"), ("fresh.txt", "fresh")]);
    let mut resources = site(bucket, false);
    // Waits for the content, then fails.
    let failing = "{ type: 'AWS::S3::BucketPolicy', dependsOn: [site], properties: { Bucket: mcm-no-such-bucket, \
        PolicyDocument: { Version: '2012-10-17', Statement: [{ Effect: Deny, Principal: '*', Action: 's3:*', \
        Resource: 'arn:aws:s3:::mcm-no-such-bucket' }] } } }";
    resources.insert("failing".into(), serde_yaml::from_str::<Yaml>(failing).unwrap());
    let outcome = road.run(&road.stack(&resources), Mode::Apply).await;
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{who}: {outcome:#?}");
    is(&objects(&client, bucket).await, &[("w/gone.txt", "gone"), ("w/index.html", "old")], who);
    road.must(&road.stack(&site(bucket, false)), Mode::Destroy, who).await;
}
