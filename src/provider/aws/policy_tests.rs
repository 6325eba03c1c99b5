//! Spellings that mean the same, and ones that do not.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::{Address, Template};

fn value(json: serde_json::Value) -> Value {
    Value::from_json(json)
}

fn normal(json: serde_json::Value) -> serde_json::Value {
    normalise(value(json)).to_json()
}

#[test]
fn one_form_for_many_spellings() {
    let spelt = json!({
        "Statement": {
            "Sid": "",
            "Effect": "Allow",
            "Principal": { "AWS": ["123456789012"], "Service": ["b.amazonaws.com", "a.amazonaws.com"] },
            "Action": ["sts:AssumeRole"],
            "Condition": { "Bool": { "aws:MultiFactorAuthPresent": [true] }, "NumericEquals": { "x": 1 } },
        },
    });
    let form = json!({
        "Version": "2008-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {
                "AWS": "arn:aws:iam::123456789012:root",
                "Service": ["a.amazonaws.com", "b.amazonaws.com"],
            },
            "Action": "sts:AssumeRole",
            "Condition": { "Bool": { "aws:MultiFactorAuthPresent": "true" }, "NumericEquals": { "x": "1" } },
        }],
    });
    assert_eq!(normal(spelt.clone()), form);
    assert_eq!(normal(json!(spelt.to_string())), form, "JSON in a text is read");
}

#[test]
fn the_case_of_words_is_kept_and_does_not_count() {
    let stack = value(json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*" },
            { "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:getobject"], "Resource": "*",
              "Condition": { "StringEquals": { "AWS:SourceAccount": "1" } } },
        ],
    }));
    let cloud = value(json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "s3:getObject", "Resource": ["*"],
              "Condition": { "StringEquals": { "aws:sourceaccount": ["1"] } } },
            { "Effect": "Deny", "Principal": { "AWS": "*" }, "Action": ["S3:*"], "Resource": "*" },
        ],
    }));
    assert!(same(&stack, &cloud));
    assert_eq!(in_words_of(Some(&stack), cloud.clone()), normalise(stack.clone()));
    assert_eq!(in_words_of(None, cloud.clone()), normalise(cloud));
    assert!(normalise(stack).to_text().contains("s3:GetObject"));
}

#[test]
fn what_differs_is_not_the_same() {
    let base = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::123456789012:role/a" }, "Action": "sts:AssumeRole" },
    ] });
    for (path, other) in [
        ("/Version", json!("2008-10-17")),
        ("/Statement/0/Effect", json!("Deny")),
        ("/Statement/0/Principal", json!({ "AWS": "AROAEXAMPLE" })),
        ("/Statement/0/Principal", json!({ "Federated": "arn:aws:iam::123456789012:role/a" })),
        ("/Statement/0/Principal/AWS", json!("arn:aws:iam::123456789012:role/A")),
        ("/Statement/0/Action", json!(["sts:AssumeRole", "sts:TagSession"])),
    ] {
        let mut changed = base.clone();
        *changed.pointer_mut(path).unwrap() = other;
        assert!(!same(&value(base.clone()), &value(changed.clone())), "{path}: {changed}");
    }
    let with = |values: serde_json::Value| {
        let mut document = base.clone();
        document["Statement"][0]["Condition"] = json!({ "StringEquals": { "aws:x": values } });
        value(document)
    };
    assert!(!same(&with(json!("a")), &with(json!("A"))), "values have a case");
    assert!(!same(&with(json!("a")), &value(base)));
}

#[test]
fn a_half_known_document_keeps_what_is_unknown() {
    let unknown = Value::Unknown(Template::reference(Address::resource("role"), &["Arn"]));
    let document = Value::Map(Map::from([(
        "Statement".to_owned(),
        Value::Map(Map::from([
            ("Effect".to_owned(), "Allow".into()),
            ("Action".to_owned(), Value::List(vec!["a:b".into(), unknown.clone()])),
            ("Resource".to_owned(), unknown.clone()),
        ])),
    )]));
    let normal = normalise(document);
    assert_eq!(normal.at(&["Statement", "0", "Resource"]), Some(&unknown));
    assert!(check("P", &normal, Use::Identity).is_empty());
    assert!(check("P", &unknown, Use::Trust).is_empty());
}

#[test]
fn answers_are_decoded() {
    let document = json!({ "Version": "2012-10-17", "Statement": [{ "Sid": "50%", "Effect": "Allow" }] });
    let encoded =
        percent_encoding::utf8_percent_encode(&document.to_string(), percent_encoding::NON_ALPHANUMERIC)
            .to_string();
    assert_eq!(parse(&encoded).to_json(), document, "IAM's answers are percent-encoded");
    assert_eq!(parse(&document.to_string()).to_json(), document, "S3's are not");
    assert_eq!(parse("no JSON"), "no JSON".into());
}

#[test]
fn what_is_wrong_is_said() {
    let wrong = |document: serde_json::Value, usage| check("P", &value(document), usage).join("; ");
    let statement =
        |statement: serde_json::Value| json!({ "Version": "2012-10-17", "Statement": [statement] });
    let allow = |extra: serde_json::Value| {
        let mut allow = json!({ "Effect": "Allow", "Action": "a:b" });
        allow.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        statement(allow)
    };
    assert_eq!(wrong(allow(json!({ "Resource": "*" })), Use::Identity), "");
    assert_eq!(wrong(allow(json!({ "Principal": { "AWS": "*" } })), Use::Trust), "");
    assert_eq!(wrong(allow(json!({ "Principal": "*", "Resource": "*" })), Use::Resource), "");
    assert!(wrong(allow(json!({})), Use::Trust).contains("needs a `Principal`"));
    assert!(wrong(allow(json!({})), Use::Identity).contains("needs a `Resource`"));
    assert!(wrong(allow(json!({ "Principal": "*" })), Use::Identity).contains("not allowed here"));
    let both = allow(json!({ "Principal": "*", "Resource": "*" }));
    assert!(wrong(both, Use::Trust).contains("`P.Statement[0].Resource` is not allowed"));
    assert!(
        wrong(allow(json!({ "Resource": "*", "Actions": "x" })), Use::Identity)
            .contains("no element `Actions`")
    );
    assert!(
        wrong(statement(json!({ "Effect": "allow", "Action": "a:b", "Resource": "*" })), Use::Identity)
            .contains("must be `Allow` or `Deny`")
    );
    assert!(
        wrong(json!({ "Version": "2012", "Statement": [] }), Use::Trust).contains("must be \"2012-10-17\"")
    );
    assert!(wrong(json!("text"), Use::Trust).contains("is no policy document"));
}

/// Texts that policies are made of, and that collide often.
fn text() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        Just(json!("*")),
        Just(json!("123456789012")),
        Just(json!("s3:GetObject")),
        Just(json!("S3:getobject")),
        Just(json!(true)),
        Just(json!(7)),
        "[a-c]{0,2}".prop_map(|text| json!(text)),
    ]
}

fn texts_of() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![text(), prop::collection::vec(text(), 0..4).prop_map(|texts| json!(texts))]
}

fn documents() -> impl Strategy<Value = serde_json::Value> {
    let principal = prop_oneof![
        Just(json!("*")),
        prop::collection::btree_map(
            prop_oneof![Just("AWS"), Just("Service"), Just("Federated")],
            texts_of(),
            0..3
        )
        .prop_map(|map| json!(map)),
    ];
    let condition =
        prop::collection::btree_map("[A-C]", prop::collection::btree_map("[a-c]", texts_of(), 0..3), 0..3);
    let element = prop_oneof![
        texts_of().prop_map(|value| ("Action", value)),
        texts_of().prop_map(|value| ("Resource", value)),
        principal.prop_map(|value| ("Principal", value)),
        condition.prop_map(|value| ("Condition", json!(value))),
        Just(("Effect", json!("Allow"))),
        Just(("Sid", json!(""))),
        Just(("Sid", serde_json::Value::Null)),
    ];
    let statement = prop::collection::vec(element, 0..5).prop_map(|elements| {
        let elements = elements.into_iter().map(|(key, value)| (key.to_owned(), value));
        serde_json::Value::Object(elements.collect())
    });
    (prop::option::of(Just("2012-10-17")), prop::collection::vec(statement, 0..4)).prop_map(
        |(version, statements)| {
            let mut document = json!({ "Statement": statements });
            if let Some(version) = version {
                document["Version"] = json!(version);
            }
            document
        },
    )
}

/// Turns every list of a document around.
fn reversed(json: serde_json::Value) -> serde_json::Value {
    match json {
        serde_json::Value::Array(items) => items.into_iter().rev().map(reversed).collect(),
        serde_json::Value::Object(map) => {
            serde_json::Value::Object(map.into_iter().map(|(key, value)| (key, reversed(value))).collect())
        }
        other => other,
    }
}

proptest! {
    #[test]
    fn normalising_twice_is_normalising_once(document in documents()) {
        let once = normalise(value(document));
        prop_assert_eq!(normalise(once.clone()), once);
    }

    #[test]
    fn a_normal_form_means_what_its_document_means(document in documents()) {
        let document = value(document);
        prop_assert!(same(&document, &normalise(document.clone())));
    }

    #[test]
    fn order_means_nothing(document in documents()) {
        prop_assert!(same(&value(document.clone()), &value(reversed(document))));
    }

    #[test]
    fn sent_and_read_back_it_is_the_same(document in documents()) {
        let sent = normalise(value(document));
        prop_assert_eq!(&normalise(parse(&print(&sent))), &sent);
    }

    #[test]
    fn nothing_panics(text in ".{0,40}") {
        let parsed = parse(&text);
        let _ = check("P", &parsed, Use::Resource);
        let once = normalise(parsed);
        prop_assert_eq!(normalise(once.clone()), once);
    }
}
