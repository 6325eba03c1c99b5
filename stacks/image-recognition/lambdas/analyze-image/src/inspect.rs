//! Whether bytes are a picture that the vision service takes: by what they are, not by what they are called.

use imagesize::ImageType;
use shared::analysis::Reason;
use shared::picture::{MAX_BYTES, SIDE_PIXELS};

/// Checks a picture's bytes; what is wrong is told so that a visitor can do something about it.
pub fn inspect(bytes: &[u8]) -> Result<(), Reason> {
    if bytes.is_empty() {
        return Err(reason("empty", "The file is empty. Choose another picture."));
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large());
    }
    let kind = imagesize::image_type(bytes).map_err(|_| no_picture())?;
    let name = match kind {
        ImageType::Jpeg | ImageType::Png | ImageType::Gif | ImageType::Bmp => None,
        ImageType::Webp => Some("WebP"),
        ImageType::Heif(_) => Some("HEIC and AVIF"),
        ImageType::Tiff => Some("TIFF"),
        ImageType::Ico => Some("icon"),
        ImageType::Psd => Some("Photoshop"),
        // The enumeration grows with the library; whatever else it knows, the service does not take.
        _ => Some("such"),
    };
    if let Some(name) = name {
        let message =
            format!("{name} files cannot be analysed. Save the picture as JPEG or PNG, and upload that.");
        return Err(reason("unsupported-format", &message));
    }
    let size = imagesize::blob_size(bytes).map_err(|_| unreadable())?;
    let (width, height) = (size.width, size.height);
    if width < *SIDE_PIXELS.start() || height < *SIDE_PIXELS.start() {
        let message = format!(
            "The picture is only {width} × {height} pixels. It must be larger than 50 × 50: choose a larger one."
        );
        return Err(reason("too-small", &message));
    }
    if width > *SIDE_PIXELS.end() || height > *SIDE_PIXELS.end() {
        let message = format!(
            "The picture is {width} × {height} pixels. No side may be longer than 16,000: make it smaller."
        );
        return Err(reason("too-wide", &message));
    }
    Ok(())
}

/// The bytes are no picture.
pub fn no_picture() -> Reason {
    reason("no-picture", "This file is not a picture. Choose a JPEG, PNG, GIF or BMP file.")
}

/// It has too many bytes.
pub fn too_large() -> Reason {
    reason(
        "too-large",
        "The picture is larger than 4 MB. Make it smaller, or save it as JPEG, and upload that.",
    )
}

/// It calls itself a picture, and cannot be read.
pub fn unreadable() -> Reason {
    let message =
        "The picture is damaged and cannot be read. Open it, save it anew as JPEG or PNG, and upload that.";
    reason("unreadable", message)
}

fn reason(code: &str, message: &str) -> Reason {
    Reason { code: code.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    fn code(bytes: &[u8]) -> String {
        inspect(bytes).err().map_or("fine".to_owned(), |reason| reason.code)
    }

    #[test]
    fn a_picture_is_judged_by_its_content() {
        assert_eq!(code(&png(51, 51)), "fine");
        assert_eq!(code(&png(16_000, 51)), "fine");
        assert_eq!(code(&png(50, 51)), "too-small");
        assert_eq!(code(&png(51, 50)), "too-small");
        assert_eq!(code(&png(16_001, 60)), "too-wide");
        assert_eq!(code(b""), "empty");
        assert_eq!(code(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "no-picture");
        assert_eq!(code(b"hello, world: no picture at all"), "no-picture");
        assert_eq!(code(b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0"), "unsupported-format");
        assert_eq!(code(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00"), "unreadable");
        assert_eq!(code(&png(60, 60)[..20]), "unreadable");
        let mut large = png(60, 60);
        large.resize(usize::try_from(MAX_BYTES).unwrap(), 0);
        assert_eq!(code(&large), "fine");
        large.push(0);
        assert_eq!(code(&large), "too-large");
    }

    #[test]
    fn no_prefix_of_a_picture_panics() {
        let jpeg = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xc0\x00\x11\x08\x00\x40\x00\x40";
        let gif = b"GIF89a\x40\x00\x40\x00\x80\x00\x00\x00\x00\x00";
        let bmp = b"BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00\x40\x00\x00\x00\x40\x00\x00\x00";
        for whole in [&png(60, 60)[..], jpeg, gif, bmp] {
            for end in 0..=whole.len() {
                let _ = inspect(&whole[..end]);
            }
            assert_eq!(code(whole), "fine");
        }
    }
}
