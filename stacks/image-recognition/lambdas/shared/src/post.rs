//! The form by which a browser stores one picture in the bucket: a policy, signed with the role's key, that S3
//! checks against what is sent. It names one key, one content type and the longest body, and holds for minutes.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::aws::Aws;

/// What may be stored.
#[derive(Debug, Clone)]
pub struct Permission<'a> {
    /// In which bucket.
    pub bucket: &'a str,
    /// Under which key, exactly.
    pub key: &'a str,
    /// With which content type, exactly.
    pub content_type: &'a str,
    /// At most so many bytes, and at least one.
    pub max_bytes: u64,
    /// For how long.
    pub lifetime: Duration,
}

/// The form. Its fields go before the file, in any order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Form {
    /// Where it is posted to.
    pub url: String,
    /// Every field but the file.
    pub fields: BTreeMap<String, String>,
    /// Until when, in RFC 3339.
    pub expires_at: String,
}

/// Signs a form that permits this and nothing else.
pub fn form(aws: &Aws, permission: &Permission<'_>, now: SystemTime) -> Form {
    // Whole seconds: the policy's date and the signature's must tell the same moment.
    let second = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH).as_second();
    let issued = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
    let lifetime = i64::try_from(permission.lifetime.as_secs()).unwrap_or(i64::MAX);
    let expires_at = Timestamp::from_second(second.saturating_add(lifetime)).unwrap_or(issued);
    let day = issued.strftime("%Y%m%d").to_string();
    let mut fields = BTreeMap::from([
        ("key", permission.key.to_owned()),
        ("Content-Type", permission.content_type.to_owned()),
        // The page then reads 201, and an XML document that names the object.
        ("success_action_status", "201".to_owned()),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("x-amz-credential", format!("{}/{day}/{}/s3/aws4_request", aws.keys.access_key_id, aws.region)),
        ("x-amz-date", issued.strftime("%Y%m%dT%H%M%SZ").to_string()),
    ]);
    if let Some(token) = &aws.keys.session_token {
        fields.insert("x-amz-security-token", token.reveal().to_owned());
    }
    // Every field is pinned to its exact value; S3 refuses fields that the policy does not name.
    let mut conditions = vec![
        json!({ "bucket": permission.bucket }),
        json!(["content-length-range", 1, permission.max_bytes]),
    ];
    conditions.extend(fields.iter().map(|(name, value)| json!({ *name: value })));
    let expiration = expires_at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
    let policy = STANDARD.encode(json!({ "expiration": expiration, "conditions": conditions }).to_string());
    let signature = signature(aws, issued, &policy);
    fields.insert("policy", policy);
    fields.insert("x-amz-signature", signature);
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Form { url: aws.bucket_url(permission.bucket), fields, expires_at: expires_at.to_string() }
}

/// A policy's signature: of its base64, by the day's key for S3.
fn signature(aws: &Aws, issued: Timestamp, policy: &str) -> String {
    let secret = aws.keys.secret_access_key.reveal();
    let key = generate_signing_key(secret, issued.into(), &aws.region, "s3");
    calculate_signature(key, policy.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn aws() -> Aws {
        let variable = |name: &str| match name {
            "AWS_REGION" => Some("us-east-1".to_owned()),
            "AWS_ACCESS_KEY_ID" => Some("AKIAIOSFODNN7EXAMPLE".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
            "AWS_SESSION_TOKEN" => Some("session".to_owned()),
            _ => None,
        };
        let mut settings = Settings::new(&variable);
        let aws = Aws::from_settings(&mut settings);
        settings.finish(aws).unwrap()
    }

    /// The example of S3's own documentation ("Browser-based upload using HTTP POST").
    #[test]
    fn the_signature_is_the_one_that_aws_documents() {
        let policy = concat!(
            "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tl",
            "dCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAg",
            "ICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhh",
            "bXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwg",
            "IiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAg",
            "ICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXot",
            "bWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkv",
            "dXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwN",
            "CiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9",
        );
        let issued = "2015-12-29T00:00:00Z".parse().unwrap();
        assert_eq!(
            signature(&aws(), issued, policy),
            "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"
        );
    }

    #[test]
    fn every_field_is_pinned() {
        let permission = Permission {
            bucket: "pictures",
            key: "uploads/1",
            content_type: "image/png",
            max_bytes: 1000,
            lifetime: Duration::from_mins(5),
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_445_412_480_750);
        let form = form(&aws(), &permission, now);
        assert_eq!(form.url, "https://pictures.s3.us-east-1.amazonaws.com");
        assert_eq!(form.expires_at, "2015-10-21T07:33:00Z");
        let policy = STANDARD.decode(&form.fields["policy"]).unwrap();
        let policy: serde_json::Value = serde_json::from_slice(&policy).unwrap();
        assert_eq!(
            policy,
            json!({
                "expiration": "2015-10-21T07:33:00.000Z",
                "conditions": [
                    { "bucket": "pictures" },
                    ["content-length-range", 1, 1000],
                    { "Content-Type": "image/png" },
                    { "key": "uploads/1" },
                    { "success_action_status": "201" },
                    { "x-amz-algorithm": "AWS4-HMAC-SHA256" },
                    { "x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151021/us-east-1/s3/aws4_request" },
                    { "x-amz-date": "20151021T072800Z" },
                    { "x-amz-security-token": "session" },
                ],
            })
        );
        let text = format!("{form:?}");
        assert!(!text.contains("wJalrXUtnFEMI"));
    }
}
