//! Azure Computer Vision's analysis of an image, version 3.2 (configurable): the bytes go there, tags, a caption
//! and colours come back.

use bytes::Bytes;
use serde::Deserialize;
use shared::analysis::{Caption, Colors, Image, Reason, Seen, Tag};
use shared::aws::Aws;
use shared::call::{CallError, Caller, Reply, json};
use shared::secret::Secret;
use shared::settings::Settings;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::inspect::{too_large, unreadable};

const SERVICE: &str = "Computer Vision";
/// More tags than these say nothing.
const MOST_TAGS: usize = 50;

/// Where the service's key is.
enum Key {
    Known(Secret),
    /// In a secure parameter; read when it is first needed, and again when it is not taken: keys are rotated.
    Parameter {
        name: String,
        known: Mutex<Option<Secret>>,
    },
}

/// The service.
pub struct Vision {
    caller: Caller,
    aws: Aws,
    url: String,
    key: Key,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    description: Description,
    color: Color,
    metadata: Metadata,
    #[serde(default)]
    model_version: String,
}

#[derive(Default, Deserialize)]
struct Description {
    #[serde(default)]
    captions: Vec<Caption>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Color {
    dominant_color_foreground: String,
    dominant_color_background: String,
    dominant_colors: Vec<String>,
    #[serde(rename = "accentColor")]
    accent: String,
    // The service sends both spellings; this one is documented.
    #[serde(rename = "isBWImg", default)]
    is_bw_img: bool,
}

#[derive(Deserialize)]
struct Metadata {
    width: u64,
    height: u64,
    format: String,
}

impl Vision {
    /// Reads `AZURE_VISION_ENDPOINT`, the key (`AZURE_VISION_KEY`, or the name of a secure parameter in
    /// `AZURE_VISION_KEY_PARAMETER`), `AZURE_VISION_VERSION` (`v3.2`) and `AZURE_VISION_LANGUAGE` (`en`).
    pub fn from_settings(settings: &mut Settings<'_>, aws: Aws, caller: Caller) -> Self {
        settings.required("AZURE_VISION_ENDPOINT");
        let endpoint = settings.endpoint("AZURE_VISION_ENDPOINT");
        let endpoint = endpoint.map(|at| at.as_str().to_owned()).unwrap_or_default();
        let plain = |text: &String| text.bytes().all(|c| c.is_ascii_alphanumeric() || b".-".contains(&c));
        let version = settings.parsed("AZURE_VISION_VERSION", "v3.2".to_owned(), plain);
        let language = settings.parsed("AZURE_VISION_LANGUAGE", "en".to_owned(), plain);
        let key = match (settings.secret("AZURE_VISION_KEY"), settings.optional("AZURE_VISION_KEY_PARAMETER"))
        {
            (Some(key), _) => Key::Known(key),
            (None, Some(name)) => Key::Parameter { name, known: Mutex::default() },
            (None, None) => {
                settings.wrong("neither AZURE_VISION_KEY nor AZURE_VISION_KEY_PARAMETER is set".to_owned());
                Key::Known(Secret::new(""))
            }
        };
        let features = "Tags,Description,Color,ImageType";
        let url =
            format!("{endpoint}/vision/{version}/analyze?visualFeatures={features}&language={language}");
        Self { caller, aws, url, key }
    }

    /// What is in the picture; or, inside, why it can never be told.
    pub async fn look(&self, picture: &Bytes, deadline: Instant) -> Result<Result<Seen, Reason>, CallError> {
        let key = self.key(deadline).await?;
        let first = self.ask(picture, &key, deadline).await;
        let (Err(CallError::Refused { status: 401, .. }), Key::Parameter { known, .. }) = (&first, &self.key)
        else {
            return first;
        };
        *known.lock().await = None;
        let fresh = self.key(deadline).await?;
        if fresh == key { first } else { self.ask(picture, &fresh, deadline).await }
    }

    /// Whether the service is there and takes our key: it is shown bytes that are no picture, which it refuses as such
    /// (400, `InvalidImageFormat`), and whoever has no key before that. That it has too much to do, or gives no more this
    /// month, it tells those alone whom it knows.
    pub async fn probe(&self, deadline: Instant) -> Result<(), CallError> {
        match self.look(&Bytes::from_static(b"no picture"), deadline).await {
            Ok(_) | Err(CallError::Busy { status: 429, .. }) => Ok(()),
            Err(CallError::Refused { status: 403, message, .. }) if message.contains("quota") => {
                tracing::error!(message, "the vision service's quota is used up");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn key(&self, deadline: Instant) -> Result<Secret, CallError> {
        match &self.key {
            Key::Known(key) => Ok(key.clone()),
            Key::Parameter { name, known } => {
                let mut known = known.lock().await;
                if let Some(key) = &*known {
                    return Ok(key.clone());
                }
                let key = self.aws.parameter(&self.caller, deadline, name).await?;
                *known = Some(key.clone());
                Ok(key)
            }
        }
    }

    async fn ask(
        &self,
        picture: &Bytes,
        key: &Secret,
        deadline: Instant,
    ) -> Result<Result<Seen, Reason>, CallError> {
        let make = |client: &reqwest::Client| {
            let mut value = http::HeaderValue::from_str(key.reveal()).map_err(|_| CallError::Unmade {
                service: SERVICE,
                why: "its key holds what no header can".to_owned(),
            })?;
            value.set_sensitive(true);
            let request = client.post(&self.url).header("ocp-apim-subscription-key", value);
            Ok(request.header("content-type", "application/octet-stream").body(picture.clone()))
        };
        let bytes = picture.len() as u64;
        let read = |reply: &Reply| match fault_of_picture(reply) {
            Some(reason) => Ok(Err(reason)),
            None => json::<Answer>(SERVICE, reply).map(|answer| Ok(seen(answer, bytes))),
        };
        self.caller.call(SERVICE, deadline, 1024 * 1024, make, read).await
    }
}

/// Whether the service does not let us in at all: the key is wrong (401), or the month's quota is used up or the network
/// closed (403). It stays so until somebody sees to it.
pub fn is_shut(error: &CallError) -> bool {
    matches!(error, CallError::Refused { service: SERVICE, status: 401 | 403, .. })
}

fn seen(answer: Answer, bytes: u64) -> Seen {
    let mut tags = answer.tags;
    tags.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    tags.truncate(MOST_TAGS);
    let color = answer.color;
    Seen {
        caption: answer.description.captions.into_iter().next(),
        tags,
        colors: Colors {
            dominant: color.dominant_colors,
            foreground: color.dominant_color_foreground,
            background: color.dominant_color_background,
            accent: color.accent,
            black_and_white: color.is_bw_img,
        },
        image: Image {
            width: answer.metadata.width,
            height: answer.metadata.height,
            format: answer.metadata.format,
            bytes,
        },
        model: answer.model_version,
    }
}

/// Whether a refusal is about the picture, and not about our key, our address or our parameters.
fn fault_of_picture(reply: &Reply) -> Option<Reason> {
    if reply.status.as_u16() == 413 {
        return Some(too_large());
    }
    if reply.status.as_u16() != 400 {
        return None;
    }
    let json: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    // The code stands at the top, in `error`, or in `error.innererror`, by the age of the service's front.
    let places = ["/error/innererror/code", "/error/code", "/code"];
    places.iter().find_map(|place| match json.pointer(place)?.as_str()? {
        "InvalidImageSize" => Some(too_large()),
        "InvalidImageFormat" | "InvalidImageDimension" | "NotSupportedImage" | "InvalidImage" => {
            Some(unreadable())
        }
        _ => None,
    })
}
