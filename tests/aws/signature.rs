//! Signatures, by AWS's own worked examples: its test suite's, and those of S3's and IAM's documentation.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use mcm::sandbox::Request;
use mcm::sandbox::aws::sigv4::{Refused, Signed, is_signed, verify};

/// The key of S3's examples.
const S3_KEY: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
/// The key of the test suite.
const SUITE_KEY: (&str, &str) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Bytes::from(body.to_owned())).unwrap()
}

fn authorization(key: &str, scope: &str, signed: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={key}/{scope}/aws4_request, SignedHeaders={signed}, Signature={signature}"
    )
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn verified(request: &Request, key: (&str, &str), now: Timestamp) -> Result<Option<Signed>, Refused> {
    verify(request, now, SignedDuration::from_mins(5), |id| (id == key.0).then(|| key.1.to_owned()))
}

type Headers = Vec<(&'static str, &'static str)>;
/// Method, address, header fields, the names of those signed, and the signature.
type Example = (&'static str, &'static str, Headers, &'static str, &'static str);

/// Requests of S3's documentation, without their authorization.
fn s3_examples() -> Vec<Example> {
    let host = ("host", "examplebucket.s3.amazonaws.com");
    let date = ("x-amz-date", "20130524T000000Z");
    let empty = ("x-amz-content-sha256", EMPTY);
    vec![
        (
            "GET",
            "/test.txt",
            vec![host, ("range", "bytes=0-9"), empty, date],
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            vec![
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                host,
                ("x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
                date,
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/?lifecycle",
            vec![host, empty, date],
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/?max-keys=2&prefix=J",
            vec![host, empty, date],
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ]
}

#[test]
fn s3s_examples_hold_and_nothing_near_them() {
    let now = at("2013-05-24T00:01:00Z");
    for (method, uri, headers, signed, signature) in s3_examples() {
        let scope = "20130524/us-east-1/s3";
        let authorization = authorization(S3_KEY.0, scope, signed, signature);
        let mut headers = headers;
        headers.push(("authorization", &authorization));
        let good = request(method, uri, &headers, "");
        let found = verified(&good, S3_KEY, now).unwrap().unwrap();
        assert_eq!((found.service.as_str(), found.region.as_str()), ("s3", "us-east-1"));
        assert_eq!(found.signature, signature);

        let other_uri = request(method, &format!("{uri}x"), &headers, "");
        assert!(matches!(verified(&other_uri, S3_KEY, now), Err(Refused::Mismatch { .. })));
        let other_secret = verified(&good, (S3_KEY.0, SUITE_KEY.1), now);
        assert!(matches!(other_secret, Err(Refused::Mismatch { .. })));
        let late = verified(&good, S3_KEY, at("2013-05-24T00:05:01Z"));
        assert!(matches!(late, Err(Refused::Skewed { .. })));
        let unsigned = request(method, uri, &[headers.as_slice(), &[("x-amz-acl", "private")]].concat(), "");
        assert!(
            matches!(verified(&unsigned, S3_KEY, now), Err(Refused::HeadersNotSigned(names)) if names == ["x-amz-acl"])
        );
    }
}

#[test]
fn s3s_presigned_example_holds_for_a_day() {
    let uri = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
               &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
               &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
               &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let request = request("GET", uri, &[("host", "examplebucket.s3.amazonaws.com")], "");
    assert!(is_signed(&request));
    let found = verified(&request, S3_KEY, at("2013-05-24T23:59:00Z")).unwrap().unwrap();
    assert!(found.presigned && found.payload == "UNSIGNED-PAYLOAD");
    let late = verified(&request, S3_KEY, at("2013-05-25T00:00:01Z"));
    assert!(matches!(late, Err(Refused::Expired { .. })));
}

#[test]
fn s3s_chunked_examples_seed_holds() {
    let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let signed = "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
                  x-amz-decoded-content-length;x-amz-storage-class";
    let authorization = authorization(S3_KEY.0, "20130524/us-east-1/s3", signed, seed);
    let headers = [
        ("host", "s3.amazonaws.com"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("authorization", &authorization),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("content-length", "66824"),
    ];
    let request = request("PUT", "/examplebucket/chunkObject.txt", &headers, "");
    let found = verified(&request, S3_KEY, at("2013-05-24T00:00:00Z")).unwrap().unwrap();
    assert_eq!(found.payload, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
}

#[test]
fn the_test_suites_requests_hold() {
    let plain = vec![("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
    let form = [vec![("content-type", "application/x-www-form-urlencoded")], plain.clone()].concat();
    let names = "host;x-amz-date";
    let cases: [Example; 4] = [
        (
            "GET",
            "/",
            plain.clone(),
            names,
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            plain.clone(),
            names,
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        ("POST", "/", plain, names, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "POST",
            "/",
            form,
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ];
    for (method, uri, headers, signed, signature) in cases {
        // The form has one field.
        let body = if headers.len() > 2 { "Param1=value1" } else { "" };
        let authorization = authorization(SUITE_KEY.0, "20150830/us-east-1/service", signed, signature);
        let headers = [headers.as_slice(), &[("authorization", authorization.as_str())]].concat();
        let good = request(method, uri, &headers, body);
        let now = at("2015-08-30T12:36:00Z");
        let found = verified(&good, SUITE_KEY, now);
        assert!(matches!(&found, Ok(Some(found)) if found.service == "service"), "{method} {uri}: {found:?}");
        let other_body = request(method, uri, &headers, "Param1=value2");
        assert!(matches!(verified(&other_body, SUITE_KEY, now), Err(Refused::Mismatch { .. })));
    }
}

#[test]
fn iams_documented_example_holds() {
    let signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    let authorization =
        authorization(SUITE_KEY.0, "20150830/us-east-1/iam", "content-type;host;x-amz-date", signature);
    let headers = [
        ("host", "iam.amazonaws.com"),
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("x-amz-date", "20150830T123600Z"),
        ("authorization", &authorization),
    ];
    let request = request("GET", "/?Action=ListUsers&Version=2010-05-08", &headers, "");
    verified(&request, SUITE_KEY, at("2015-08-30T12:36:00Z")).unwrap().unwrap();
}

#[test]
fn what_is_no_signature_is_refused_and_none_is_none() {
    let now = at("2015-08-30T12:36:00Z");
    let host = ("host", "example.amazonaws.com");
    let date = ("x-amz-date", "20150830T123600Z");
    assert!(matches!(verified(&request("GET", "/", &[host], ""), SUITE_KEY, now), Ok(None)));
    let whole = authorization(SUITE_KEY.0, "20150830/us-east-1/service", "host;x-amz-date", "00");
    let unknown = authorization("AKIDOTHER", "20150830/us-east-1/service", "host;x-amz-date", "00");
    let no_host = authorization(SUITE_KEY.0, "20150830/us-east-1/service", "x-amz-date", "00");
    let other_day = authorization(SUITE_KEY.0, "20150831/us-east-1/service", "host;x-amz-date", "00");
    let short = authorization(SUITE_KEY.0, "20150830/service", "host;x-amz-date", "00");
    let refused = |authorization: &str| {
        let headers = [host, date, ("authorization", authorization)];
        verified(&request("GET", "/", &headers, ""), SUITE_KEY, now).unwrap_err()
    };
    assert!(matches!(refused("AWS AKIDEXAMPLE:abc"), Refused::Malformed(_)));
    assert!(matches!(refused(&whole.replace("SignedHeaders=", "Signed=")), Refused::Malformed(_)));
    assert!(matches!(refused(&short), Refused::Malformed(_)));
    assert_eq!(refused(&unknown), Refused::UnknownKey("AKIDOTHER".to_owned()));
    assert_eq!(refused(&no_host), Refused::HeadersNotSigned(vec!["host".to_owned()]));
    assert!(matches!(refused(&other_day), Refused::Scope(_)));
    assert!(matches!(refused(&whole), Refused::Mismatch { .. }));
}
