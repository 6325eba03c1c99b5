//! Statements and their conditions, as IAM documents them.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{Ask, Asker, Facts, Reach, Verdict, evaluate, evaluate_own};
use crate::sandbox::{Accounts, Clock, World};

fn asker() -> Asker {
    Asker {
        arn: "arn:aws:sts::123456789012:assumed-role/r/s".to_owned(),
        account: "123456789012".to_owned(),
        id: "AROAAAAAAAAAAAAAAAAAA:s".to_owned(),
        role: Some("arn:aws:iam::123456789012:role/p/r".to_owned()),
        tags: vec![("team".to_owned(), "a*".to_owned())],
        issued: Some("2026-11-29T11:00:00Z".parse().unwrap()),
        bounded: false,
    }
}

fn judged(document: &Json, resource: &str) -> Verdict {
    judged_for(Some(&asker()), document, resource)
}

fn judged_for(caller: Option<&Asker>, document: &Json, resource: &str) -> Verdict {
    let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
    let world = World::new(Clock::Fixed(now), 1, Accounts::default());
    let facts =
        Facts::new(&world, "us-east-1", "123456789012").with("s3:max-keys", "10").with("s3:prefix", "a/");
    let ask = Ask { caller, action: "s3:GetObject", resource, service: None, facts: &facts };
    if document.to_string().contains("Principal\":") {
        evaluate(document, ask)
    } else {
        evaluate_own(document, ask)
    }
}

/// Whether a condition lets an `Allow` apply, and a `Deny`.
fn applies(condition: &Json) -> (bool, bool) {
    let statement = |effect: &str| {
        json!({ "Version": "2012-10-17", "Statement": {
            "Effect": effect, "Action": "s3:*", "Resource": "*", "Condition": condition,
        } })
    };
    let [allow, deny] = ["Allow", "Deny"].map(|effect| judged(&statement(effect), "arn:aws:s3:::b/k"));
    (allow.allows(), deny == Verdict::Denied)
}

#[test]
fn conditions_hold_as_documented() {
    for (condition, wanted) in [
        (json!({ "DateGreaterThan": { "aws:CurrentTime": "2020-01-01T00:00:00Z" } }), true),
        (json!({ "DateLessThan": { "aws:CurrentTime": "2020-01-01" } }), false),
        (json!({ "DateLessThanEquals": { "aws:EpochTime": "1795953600" } }), true),
        (json!({ "StringNotEqualsIgnoreCase": { "aws:PrincipalAccount": "1" } }), true),
        (json!({ "stringnotequals": { "aws:PrincipalAccount": "123456789012" } }), false),
        (json!({ "NumericLessThanEquals": { "s3:max-keys": "10" } }), true),
        (json!({ "NumericGreaterThan": { "s3:max-keys": 10 } }), false),
        (json!({ "IpAddress": { "aws:SourceIp": ["203.0.113.0/24", "127.0.0.0/8"] } }), true),
        (json!({ "NotIpAddress": { "aws:SourceIp": "127.0.0.0/8" } }), false),
        (json!({ "IpAddress": { "aws:SourceIp": "::/0" } }), false),
        (json!({ "ArnEquals": { "aws:PrincipalArn": "arn:aws:iam::*:role/p/*" } }), true),
        (json!({ "ArnLike": { "aws:PrincipalArn": "arn:aws:iam:*:role/p/r" } }), false),
        (json!({ "ArnEquals": { "aws:PrincipalArn": "arn:aws:sts::123456789012:assumed-role/r/s" } }), false),
        (json!({ "StringEquals": { "aws:PrincipalType": "AssumedRole" } }), true),
        (json!({ "ForAnyValue:StringLike": { "s3:prefix": ["b/*", "a*"] } }), true),
        (json!({ "ForAllValues:StringLike": { "s3:delimiter": "/" } }), true),
        (json!({ "ForAnyValue:StringLike": { "s3:delimiter": "/" } }), false),
        (json!({ "StringEqualsIfExists": { "aws:SourceVpce": "vpce-1" } }), true),
        (json!({ "StringEquals": { "aws:SourceVpce": "vpce-1" } }), false),
        (json!({ "StringNotEquals": { "aws:SourceVpce": "vpce-1" } }), true),
        (json!({ "Null": { "aws:SourceVpce": "true" } }), true),
        (json!({ "Bool": { "aws:SecureTransport": "FALSE" } }), false),
        (json!({ "Bool": { "aws:MultiFactorAuthPresent": "false" } }), true),
        (json!({ "BoolIfExists": { "aws:MultiFactorAuthPresent": "true" } }), false),
        (json!({ "Null": { "aws:MultiFactorAuthAge": "true" } }), true),
        (json!({ "DateLessThan": { "aws:TokenIssueTime": "2026-11-29T11:00:00.001Z" } }), true),
        (json!({ "DateLessThan": { "aws:TokenIssueTime": "2026-11-29T10:59:59.999Z" } }), false),
        (json!({ "Null": { "aws:TokenIssueTime": "true" } }), false),
        (json!({ "StringEquals": { "aws:RequestedRegion": "us-east-1" } }), true),
        (json!({ "StringNotEquals": { "aws:ResourceAccount": "${aws:PrincipalAccount}" } }), false),
        (json!({ "ArnEquals": { "iam:PolicyARN": "arn:aws:iam::aws:policy/ReadOnlyAccess" } }), false),
        (json!({ "StringNotEquals": { "iam:PermissionsBoundary": "b" } }), true),
        (json!({ "StringEquals": { "aws:PrincipalTag/Team": "a*" } }), true),
        (json!({ "StringLike": { "aws:PrincipalTag/team": "${aws:PrincipalTag/team}" } }), true),
        (json!({ "StringLike": { "s3:prefix": "${aws:PrincipalTag/team}" } }), false),
        (json!({ "StringLike": { "s3:prefix": "${aws:username}" } }), false),
        (json!({ "StringLike": { "s3:prefix": "${aws:username, 'a'}/" } }), true),
    ] {
        assert_eq!(applies(&condition), (wanted, wanted), "{condition}");
    }
    // What nobody here can know is never allowed, and stays denied.
    for condition in [
        json!({ "StringEquals": { "s3:ExistingObjectTag/x": "y" } }),
        json!({ "StringNotEquals": { "aws:ResourceTag/x": "y" } }),
        json!({ "DateLessThan": { "aws:CurrentTime": "tomorrow" } }),
    ] {
        assert_eq!(applies(&condition), (false, true), "{condition}");
    }
    // Both must hold, and one that does not is enough.
    let both = json!({ "StringEquals": { "s3:ExistingObjectTag/x": "y", "s3:prefix": "b" } });
    assert_eq!(applies(&both), (false, false));
}

#[test]
fn variables_are_of_the_newer_version_alone() {
    let document = |version: &str| {
        json!({ "Version": version, "Statement": {
            "Effect": "Allow", "Action": "s3:getobject", "Resource": "arn:aws:s3:::b/${aws:PrincipalAccount}/${*}",
        } })
    };
    assert!(judged(&document("2012-10-17"), "arn:aws:s3:::b/123456789012/*").allows());
    assert!(!judged(&document("2012-10-17"), "arn:aws:s3:::b/123456789012/x").allows());
    assert!(!judged(&document("2008-10-17"), "arn:aws:s3:::b/123456789012/*").allows());
    assert!(judged(&document("2008-10-17"), "arn:aws:s3:::b/${aws:PrincipalAccount}/${x}").allows());
}

#[test]
fn a_principal_is_known_as_what_it_is_named() {
    for (named, reach) in [
        ("arn:aws:iam::123456789012:root", Some(Reach::Account)),
        ("arn:aws:iam::123456789012:role/p/r", Some(Reach::Role)),
        ("AROAAAAAAAAAAAAAAAAAA", Some(Reach::Role)),
        ("arn:aws:sts::123456789012:assumed-role/r/s", Some(Reach::Itself)),
        ("arn:aws:iam::210987654321:root", None),
    ] {
        let document = json!({ "Statement": {
            "Effect": "Allow", "Principal": { "AWS": named }, "Action": "*", "Resource": "*",
        } });
        let wanted = reach.map_or(Verdict::Silent, Verdict::Allowed);
        assert_eq!(judged(&document, "arn:aws:s3:::b"), wanted, "{named}");
    }
}

/// Who has lasting keys has no session; one that was kept before sessions knew their time is judged by nothing of it.
#[test]
fn what_is_of_sessions_alone_is_absent_of_others() {
    let user = Asker { role: None, issued: None, ..asker() };
    let old = Asker { issued: None, ..asker() };
    for (key, of_user, of_old) in [
        ("aws:MultiFactorAuthPresent", (true, true), (false, false)),
        ("aws:TokenIssueTime", (true, true), (false, true)),
    ] {
        for (caller, wanted) in [(&user, of_user), (&old, of_old)] {
            let judged = ["Allow", "Deny"].map(|effect| {
                let statement = json!({ "Statement": {
                    "Effect": effect, "Action": "*", "Resource": "*", "Condition": { "Null": { key: "true" } },
                } });
                judged_for(Some(caller), &statement, "arn:aws:s3:::b")
            });
            assert_eq!((judged[0].allows(), judged[1] == Verdict::Denied), wanted, "{key}");
        }
    }
}

#[test]
fn whoever_is_spared_is_named_with_its_account() {
    const ROOT: &str = "arn:aws:iam::123456789012:root";
    const USER: &str = "arn:aws:iam::123456789012:user/u";
    let user = Asker { arn: USER.to_owned(), id: "AIDAAAAAAAAAAAAAAAAAA".to_owned(), role: None, ..asker() };
    let role = asker();
    let bounded = Asker { bounded: true, ..asker() };
    let role_arn = role.role.as_deref().unwrap();
    for (caller, named, spared) in [
        (Some(&role), vec![role_arn, ROOT], true),
        (Some(&role), vec!["AROAAAAAAAAAAAAAAAAAA", "123456789012"], true),
        (Some(&role), vec![role_arn], false),
        (Some(&role), vec![ROOT], false),
        (Some(&role), vec![role.arn.as_str(), ROOT], false),
        (Some(&bounded), vec![role_arn, ROOT], false),
        (Some(&user), vec![USER, ROOT], true),
        (Some(&user), vec!["AIDAAAAAAAAAAAAAAAAAA"], false),
        (Some(&user), vec![role_arn, ROOT], false),
        (None, vec![role_arn, ROOT], false),
    ] {
        let document = json!({ "Statement": {
            "Effect": "Deny", "NotPrincipal": { "AWS": named }, "Action": "*", "Resource": "*",
        } });
        let wanted = if spared { Verdict::Silent } else { Verdict::Denied };
        assert_eq!(judged_for(caller, &document, "arn:aws:s3:::b"), wanted, "{document}");
    }
}
