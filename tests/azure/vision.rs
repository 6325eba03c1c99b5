//! The vision service: what it says follows from the picture, and only for those who may ask.

use std::io::Cursor;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use image::{ImageFormat, Rgb, RgbImage};
use mcm::sandbox::{Accounts, Options, Session, azure};
use serde_json::{Value as Json, json};

use super::SUBSCRIPTION;
use super::world::{Azure, COGNITIVE, vision, vision_at};
use crate::support::{judges, root};

const ALL: &str = "/vision/v3.2/analyze?visualFeatures=Categories,Color,Description,ImageType,Tags";

/// A live account, and its key.
fn account(azure: &mut Azure, name: &str, body: &Json) -> String {
    azure.make(name, body);
    let path = Azure::account(name);
    let keys = azure.ok("POST", &format!("{path}/listKeys"), COGNITIVE, &Json::Null);
    keys["key1"].as_str().unwrap().to_owned()
}

/// A picture posted to a host: status and body.
fn post(azure: &mut Azure, host: &str, path: &str, key: &str, picture: &[u8]) -> (u16, Json) {
    let request = http::Request::builder()
        .method("POST")
        .uri(path)
        .header("host", host)
        .header("content-type", "application/octet-stream")
        .header("ocp-apim-subscription-key", key)
        .body(Bytes::copy_from_slice(picture))
        .unwrap();
    let mut response = azure::handle(&mut azure.world, &request);
    // What is measured is not measured in the world: everybody else would wait for it.
    if let Some(look) = response.extensions_mut().remove::<azure::Look>() {
        response = look.answer();
    }
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

fn picture(width: u32, height: u32, format: ImageFormat, at: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_fn(width, height, |x, y| Rgb(at(x, y))).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn red(width: u32, height: u32) -> Vec<u8> {
    picture(width, height, ImageFormat::Png, |_, _| [220, 25, 30])
}

fn seen(azure: &mut Azure, key: &str, picture: &[u8]) -> Json {
    let (status, body) = post(azure, "127.0.0.1:4002", ALL, key, picture);
    assert_eq!(status, 200, "{body:#}");
    body
}

fn names(tags: &Json) -> Vec<&str> {
    tags.as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect()
}

#[test]
fn the_answer_is_measured_in_the_picture() {
    let mut azure = Azure::ready();
    let key = account(&mut azure, "vision", &vision_at("my-vision"));

    let flat = seen(&mut azure, &key, &red(200, 100));
    assert_eq!(flat["metadata"], json!({ "width": 200, "height": 100, "format": "Png" }));
    assert_eq!(flat["color"]["dominantColors"], json!(["Red"]));
    assert_eq!(flat["color"]["accentColor"], "DC191E");
    assert_eq!(flat["color"]["isBWImg"], false);
    assert!(
        names(&flat["tags"]).contains(&"red") && names(&flat["tags"]).contains(&"landscape format"),
        "{flat:#}"
    );
    assert!(flat["description"]["captions"][0]["text"].as_str().unwrap().contains("red"), "{flat:#}");

    let framed = picture(300, 300, ImageFormat::Jpeg, |x, y| {
        if (75..225).contains(&x) && (75..225).contains(&y) { [250, 225, 40] } else { [40, 80, 220] }
    });
    let framed = seen(&mut azure, &key, &framed);
    assert_eq!(framed["metadata"]["format"], "Jpeg");
    assert_eq!(framed["color"]["dominantColorForeground"], "Yellow");
    assert_eq!(framed["color"]["dominantColorBackground"], "Blue");
    assert_eq!(framed["color"]["dominantColors"], json!(["Blue", "Yellow"]));
    let text = framed["description"]["captions"][0]["text"].as_str().unwrap();
    assert!(text.ends_with("with yellow in the middle and blue around it"), "{text}");

    let shade = |x: u32| [u8::try_from(x * 255 / 119).unwrap(); 3];
    let grey = seen(&mut azure, &key, &picture(120, 240, ImageFormat::Bmp, |x, _| shade(x)));
    assert_eq!(grey["color"]["isBWImg"], true);
    assert_eq!(grey["metadata"]["format"], "Bmp");
    assert!(names(&grey["tags"]).contains(&"black and white"), "{grey:#}");
    assert!(names(&grey["tags"]).contains(&"portrait format"), "{grey:#}");

    let night = seen(&mut azure, &key, &picture(60, 60, ImageFormat::Gif, |_, _| [5, 5, 8]));
    assert!(names(&night["tags"]).contains(&"dark"), "{night:#}");
    let sure: Vec<f64> =
        night["tags"].as_array().unwrap().iter().map(|tag| tag["confidence"].as_f64().unwrap()).collect();
    assert!(
        sure.is_sorted_by(|a, b| a >= b) && sure.iter().all(|sure| (0.0..=1.0).contains(sure)),
        "{sure:?}"
    );

    let path = "/vision/v3.2/analyze";
    let (_, plain) = post(&mut azure, "127.0.0.1", path, &key, &red(60, 60));
    assert!(plain.get("categories").is_some() && plain.get("tags").is_none(), "{plain:#}");
}

#[test]
fn what_is_no_picture_for_the_service_is_refused() {
    let mut azure = Azure::ready();
    let key = account(&mut azure, "vision", &vision_at("my-vision"));
    let small = picture(60, 60, ImageFormat::Png, |_, _| [0; 3]);
    let cases: [(&str, &[u8], &str, &str); 8] = [
        (ALL, b"no picture", "InvalidRequest", "InvalidImageFormat"),
        (ALL, &small[..40], "InvalidRequest", "InvalidImageFormat"),
        (ALL, &red(49, 200), "InvalidRequest", "InvalidImageSize"),
        (ALL, &vec![0; 4 * 1024 * 1024 + 1], "InvalidRequest", "InvalidImageSize"),
        ("/vision/v3.2/analyze?visualFeatures=Faces", &small, "InvalidArgument", "NotSupportedVisualFeature"),
        ("/vision/v3.2/analyze?visualFeatures=Moods", &small, "InvalidArgument", "NotSupportedVisualFeature"),
        ("/vision/v3.2/analyze?language=xx", &small, "InvalidArgument", "NotSupportedLanguage"),
        ("/vision/v3.2/analyze?model-version=1999-01-01", &small, "InvalidArgument", "InvalidModel"),
    ];
    for (path, bytes, code, inner) in cases {
        let (status, body) = post(&mut azure, "127.0.0.1", path, &key, bytes);
        let error = &body["error"];
        assert_eq!((status, error["code"].as_str()), (400, Some(code)), "{path}: {body:#}");
        assert_eq!(error["innererror"]["code"], inner, "{path}: {body:#}");
    }
    for path in ["/vision/v3.1/analyze", "/vision/v4.0/analyze", "/vision/v3.2/describe"] {
        assert_eq!(post(&mut azure, "127.0.0.1", path, &key, &small).0, 404, "{path}");
    }
}

#[test]
fn only_a_live_accounts_key_opens_and_only_at_its_own_host() {
    let mut azure = Azure::ready();
    let key = account(&mut azure, "vision", &vision_at("my-vision"));
    let mut elsewhere = vision();
    elsewhere["location"] = json!("westeurope");
    elsewhere["sku"] = json!({ "name": "S1" });
    let other = account(&mut azure, "other", &elsewhere);
    let small = red(60, 60);
    let path = "/vision/v3.2/analyze";
    for (host, path, key, wanted) in [
        ("my-vision.cognitiveservices.azure.com", path.to_owned(), &key, 200),
        ("127.0.0.1:1", format!("/my-vision.cognitiveservices.azure.com{path}"), &key, 200),
        ("127.0.0.1:1", format!("/my-vision.cognitiveservices.azure.com{path}"), &other, 401),
        ("westeurope.api.cognitive.microsoft.com", path.to_owned(), &other, 200),
        ("eastus.api.cognitive.microsoft.com", path.to_owned(), &other, 401),
        ("127.0.0.1:1", path.to_owned(), &"0".repeat(32), 401),
    ] {
        let (status, body) = post(&mut azure, host, &path, key, &small);
        assert_eq!(status, wanted, "{host}{path}: {body:#}");
        if wanted == 401 {
            assert_eq!(body["error"]["code"], "401");
        }
    }
    let account = Azure::account("vision");
    azure.ok("POST", &format!("{account}/regenerateKey"), COGNITIVE, &json!({ "keyName": "Key1" }));
    assert_eq!(post(&mut azure, "127.0.0.1", path, &key, &small).0, 401, "the key was changed");
    let other_account = Azure::account("other");
    azure.ok("DELETE", &other_account, COGNITIVE, &Json::Null);
    assert_eq!(post(&mut azure, "127.0.0.1", path, &other, &small).0, 401, "the account is going");
}

#[test]
fn the_free_tier_takes_twenty_requests_a_minute() {
    let mut azure = Azure::ready();
    let key = account(&mut azure, "vision", &vision());
    let small = red(60, 60);
    for number in 0..20 {
        assert_eq!(post(&mut azure, "127.0.0.1", ALL, &key, &small).0, 200, "{number}");
    }
    let (status, body) = post(&mut azure, "127.0.0.1", ALL, &key, &small);
    assert_eq!((status, body["error"]["code"].as_str()), (429, Some("429")));
    azure.later(1);
    assert_eq!(post(&mut azure, "127.0.0.1", ALL, &key, &small).0, 200);
}

#[tokio::test]
async fn microsofts_client_analyses_a_picture() {
    let modules = ["azure.cognitiveservices.vision.computervision", "requests"];
    let Some(python) = judges("azure vision client", &modules) else { return };
    let folder = tempfile::tempdir().unwrap();
    let accounts = Accounts { azure: [SUBSCRIPTION.to_owned()].into(), ..Accounts::default() };
    let options = Options { data: folder.path().to_owned(), port: None, latency: Duration::ZERO, accounts };
    let session = Session::open(options).await.unwrap();
    let script: &Path = &root().join("tests/azure/vision.py");
    let mut command = Command::new(python);
    command.arg(script).args([
        session.endpoints.azure.as_str(),
        &session.credentials.azure_token(),
        SUBSCRIPTION,
    ]);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
