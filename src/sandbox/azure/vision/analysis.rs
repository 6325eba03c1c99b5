//! A picture's measures in the service's words.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::measure::Picture;

/// What can be asked.
pub(super) const FEATURES: [&str; 5] = ["Categories", "Color", "Description", "ImageType", "Tags"];
/// A colour with a larger share is a dominant one.
const DOMINANT: f64 = 0.1;

/// The answer.
pub(super) fn write(picture: &Picture, features: &BTreeSet<&str>, id: &str) -> Json {
    let mut json = Map::new();
    let tags = tags(picture);
    if features.contains("Categories") {
        json.insert("categories".to_owned(), json!([categories(picture)]));
    }
    if features.contains("Color") {
        json.insert("color".to_owned(), colour(picture));
    }
    if features.contains("ImageType") {
        json.insert("imageType".to_owned(), image_type(picture));
    }
    if features.contains("Tags") {
        let one = |(name, confidence): &(String, f64)| json!({ "name": name, "confidence": confidence });
        json.insert("tags".to_owned(), tags.iter().map(one).collect());
    }
    if features.contains("Description") {
        let names: Vec<&String> = tags.iter().map(|(name, _)| name).collect();
        let (text, confidence) = caption(picture);
        let captions = json!([{ "text": text, "confidence": confidence }]);
        json.insert("description".to_owned(), json!({ "tags": names, "captions": captions }));
    }
    json.insert("requestId".to_owned(), json!(id));
    let size = json!({ "height": picture.height, "width": picture.width, "format": picture.format });
    json.insert("metadata".to_owned(), size);
    json.insert("modelVersion".to_owned(), json!("2021-05-01"));
    Json::Object(json)
}

fn dominant(picture: &Picture) -> Vec<&'static str> {
    let many = picture.shares.iter().filter(|(_, share)| *share >= DOMINANT).map(|(name, _)| *name);
    let many: Vec<&'static str> = many.collect();
    // A picture of many small colours has its commonest one.
    if many.is_empty() { picture.shares.first().map(|(name, _)| *name).into_iter().collect() } else { many }
}

fn colour(picture: &Picture) -> Json {
    let grey = picture.is_grey;
    json!({
        "dominantColorForeground": picture.foreground,
        "dominantColorBackground": picture.background,
        "dominantColors": dominant(picture),
        "accentColor": hex::encode_upper(picture.accent),
        "isBwImg": grey,
        "isBWImg": grey,
    })
}

/// Few colours in flat areas look drawn, and so do few dark lines on white.
fn image_type(picture: &Picture) -> Json {
    let clip_art = match picture.palette {
        0..=6 if picture.edges < 0.2 => 3,
        0..=12 if picture.edges < 0.2 => 2,
        13..=20 if picture.edges < 0.1 => 1,
        _ => 0,
    };
    let white = picture.shares.iter().find(|(name, _)| *name == "White").map_or(0.0, |(_, share)| *share);
    let line = picture.is_grey && white > 0.8 && picture.edges > 0.0;
    json!({ "clipArtType": clip_art, "lineDrawingType": i32::from(line) })
}

fn categories(picture: &Picture) -> Json {
    let drawn = picture.palette <= 12 && picture.edges < 0.2;
    let name = if drawn { "abstract_nonphoto" } else { "others_" };
    let certainty = if drawn { 1.0 - picture.edges } else { picture.edges.max(0.01) };
    json!({ "name": name, "score": rounded(certainty) })
}

/// Names of what was measured, each with the measure that speaks for it, the surest first.
fn tags(picture: &Picture) -> Vec<(String, f64)> {
    let ratio = f64::from(picture.width) / f64::from(picture.height);
    let found = [
        ("bright", picture.brightness, picture.brightness > 0.65),
        ("dark", 1.0 - picture.brightness, picture.brightness < 0.35),
        ("black and white", 1.0 - picture.chroma, picture.is_grey),
        ("colorfulness", picture.chroma.sqrt(), picture.chroma > 0.3),
        ("high contrast", (picture.contrast * 2.0).min(1.0), picture.contrast > 0.3),
        ("plain", 1.0 - picture.edges, picture.edges < 0.02 && picture.palette <= 2),
        ("pattern", picture.edges.sqrt(), picture.edges > 0.25),
        ("landscape format", 1.0 - 1.0 / ratio.max(1.0), ratio > 1.2),
        ("portrait format", 1.0 - ratio.min(1.0), ratio < 1.0 / 1.2),
    ];
    let found =
        found.into_iter().filter(|(_, _, holds)| *holds).map(|(name, sure, _)| (name.to_owned(), sure));
    let shares = picture.shares.iter().filter(|(_, share)| *share >= DOMINANT);
    let colours = shares.map(|(name, share)| (name.to_lowercase(), *share));
    let mut tags: Vec<(String, f64)> =
        found.chain(colours).map(|(name, sure)| (name, rounded(sure))).collect();
    tags.sort_by(|(a, sure_a), (b, sure_b)| sure_b.total_cmp(sure_a).then_with(|| a.cmp(b)));
    tags
}

/// One sentence, as sure as the colours that it names are common.
fn caption(picture: &Picture) -> (String, f64) {
    let light = match picture.brightness {
        bright if bright > 0.65 => "bright ",
        dark if dark < 0.35 => "dark ",
        _ => "",
    };
    let kind = if picture.palette <= 12 && picture.edges < 0.2 { "graphic" } else { "picture" };
    let colours: Vec<String> = dominant(picture).iter().take(2).map(|name| name.to_lowercase()).collect();
    let sure = picture.shares.iter().take(2).map(|(_, share)| share).sum::<f64>().min(1.0);
    let colours = if picture.is_grey && colours.len() > 1 {
        "black and white".to_owned()
    } else {
        colours.join(" and ")
    };
    let article = if light.is_empty() && colours.starts_with("orange") { "an" } else { "a" };
    let place = if picture.foreground == picture.background {
        String::new()
    } else {
        format!(
            " with {} in the middle and {} around it",
            picture.foreground.to_lowercase(),
            picture.background.to_lowercase()
        )
    };
    (format!("{article} {light}{colours} {kind}{place}"), rounded(sure))
}

fn rounded(number: f64) -> f64 {
    (number.clamp(0.0, 1.0) * 10_000.0).round() / 10_000.0
}
