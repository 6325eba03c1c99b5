//! What can be measured in a picture.

use std::collections::BTreeMap;
use std::io::Cursor;

use image::{DynamicImage, ImageFormat, ImageReader, Limits, Rgb, RgbImage};

/// The twelve names that the service gives to colours, each with its middle.
const COLOURS: [(&str, [u8; 3]); 12] = [
    ("Black", [0, 0, 0]),
    ("Blue", [40, 80, 220]),
    ("Brown", [125, 75, 35]),
    ("Grey", [128, 128, 128]),
    ("Green", [40, 150, 50]),
    ("Orange", [245, 140, 20]),
    ("Pink", [250, 150, 190]),
    ("Purple", [130, 40, 150]),
    ("Red", [215, 30, 35]),
    ("Teal", [20, 150, 150]),
    ("White", [255, 255, 255]),
    ("Yellow", [250, 225, 40]),
];
/// A side is at least so long.
const MIN_SIDE: u32 = 50;
/// And at most so long.
const MAX_SIDE: u32 = 10_000;
/// A decoded picture takes no more memory.
const MAX_MEMORY: u64 = 512 * 1024 * 1024;
/// Colours are measured on a reduced picture of this size.
const SAMPLE: u32 = 96;

/// A picture's measures. Shares and levels run from 0 to 1.
pub(super) struct Picture {
    pub(super) format: &'static str,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Every colour's name with its share of the picture, the largest first.
    pub(super) shares: Vec<(&'static str, f64)>,
    /// The commonest colour in the middle.
    pub(super) foreground: &'static str,
    /// The commonest colour along the edges.
    pub(super) background: &'static str,
    /// The liveliest colour.
    pub(super) accent: [u8; 3],
    pub(super) brightness: f64,
    /// How far brightness strays from its mean.
    pub(super) contrast: f64,
    /// How colourful: the mean distance between the strongest and the weakest channel.
    pub(super) chroma: f64,
    pub(super) is_grey: bool,
    /// Of how many clearly different colours it is made up.
    pub(super) palette: usize,
    /// The share of its points at which neighbours differ.
    pub(super) edges: f64,
}

/// Why a picture cannot be measured.
pub(super) enum Problem {
    Format,
    TooSmall,
    TooLarge,
}

/// Measures a JPEG, PNG, GIF or BMP.
pub(super) fn measure(bytes: &[u8]) -> Result<Picture, Problem> {
    let format = image::guess_format(bytes).map_err(|_| Problem::Format)?;
    let name = match format {
        ImageFormat::Jpeg => "Jpeg",
        ImageFormat::Png => "Png",
        ImageFormat::Gif => "Gif",
        ImageFormat::Bmp => "Bmp",
        _ => return Err(Problem::Format),
    };
    let reader = || ImageReader::with_format(Cursor::new(bytes), format);
    let (width, height) = reader().into_dimensions().map_err(|_| Problem::Format)?;
    if width < MIN_SIDE || height < MIN_SIDE {
        return Err(Problem::TooSmall);
    }
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(Problem::TooLarge);
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    let mut reader = reader();
    reader.limits(limits);
    let picture = reader.decode().map_err(|_| Problem::Format)?;
    Ok(describe(name, width, height, &on_white(&picture)))
}

/// A small copy; what is transparent shows white, as on a page.
fn on_white(picture: &DynamicImage) -> RgbImage {
    let small = picture.thumbnail_exact(SAMPLE, SAMPLE).to_rgba8();
    RgbImage::from_fn(SAMPLE, SAMPLE, |x, y| {
        let [red, green, blue, alpha] = small.get_pixel(x, y).0;
        let over = |channel: u8| {
            let mixed = u32::from(channel) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
            u8::try_from(mixed / 255).unwrap_or(u8::MAX)
        };
        Rgb([over(red), over(green), over(blue)])
    })
}

fn describe(format: &'static str, width: u32, height: u32, small: &RgbImage) -> Picture {
    let total = f64::from(SAMPLE * SAMPLE);
    let pixels = || small.enumerate_pixels().map(|(x, y, pixel)| (x, y, pixel.0));
    let inner = |at: u32| (SAMPLE / 4..SAMPLE * 3 / 4).contains(&at);
    let edge = |at: u32| !(SAMPLE / 8..SAMPLE * 7 / 8).contains(&at);
    let all = count(pixels().map(|(_, _, colour)| colour));
    let shares = all.iter().map(|(name, count)| (*name, f64::from(*count) / total)).collect();
    let middle = pixels().filter(|(x, y, _)| inner(*x) && inner(*y)).map(|(_, _, colour)| colour);
    let around = pixels().filter(|(x, y, _)| edge(*x) || edge(*y)).map(|(_, _, colour)| colour);
    let first = |counted: Vec<(&'static str, u32)>| counted.first().map_or("White", |(name, _)| *name);
    let brightness = pixels().map(|(_, _, colour)| level(colour)).sum::<f64>() / total;
    let spread = pixels().map(|(_, _, colour)| (level(colour) - brightness).powi(2)).sum::<f64>() / total;
    let chroma = pixels().map(|(_, _, colour)| strength(colour)).sum::<f64>() / total;
    let strongest = pixels().map(|(_, _, colour)| strength(colour)).fold(0.0, f64::max);
    let mut buckets: BTreeMap<[u8; 3], u32> = BTreeMap::new();
    for (_, _, colour) in pixels() {
        *buckets.entry(colour.map(|channel| channel / 32)).or_default() += 1;
    }
    let differs = |x: u32, y: u32, colour: [u8; 3]| {
        let other = |x: u32, y: u32| small.get_pixel_checked(x, y).map_or(colour, |pixel| pixel.0);
        distance(colour, other(x + 1, y)).max(distance(colour, other(x, y + 1))) > 48 * 48
    };
    let edges = pixels().filter(|(x, y, colour)| differs(*x, *y, *colour)).map(|_| 1.0).sum::<f64>() / total;
    Picture {
        format,
        width,
        height,
        shares,
        foreground: first(count(middle)),
        background: first(count(around)),
        accent: accent(pixels().map(|(_, _, colour)| colour)),
        brightness,
        contrast: spread.sqrt(),
        chroma,
        is_grey: strongest < 0.06,
        // What covers less than half a percent is noise.
        palette: buckets.values().filter(|count| f64::from(**count) / total > 0.005).count(),
        edges,
    }
}

/// The names of these colours, the commonest first.
fn count(colours: impl Iterator<Item = [u8; 3]>) -> Vec<(&'static str, u32)> {
    let mut counts: BTreeMap<&'static str, u32> = BTreeMap::new();
    for colour in colours {
        *counts.entry(nearest(colour)).or_default() += 1;
    }
    let mut counts: Vec<(&'static str, u32)> = counts.into_iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    counts
}

fn nearest(colour: [u8; 3]) -> &'static str {
    // What has no colour to speak of is told by its brightness alone.
    if strength(colour) < 0.1 {
        return match level(colour) {
            dark if dark < 0.22 => "Black",
            light if light > 0.82 => "White",
            _ => "Grey",
        };
    }
    let closest = COLOURS.iter().min_by_key(|(_, middle)| distance(colour, *middle));
    closest.map_or("Grey", |(name, _)| *name)
}

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
}

/// Perceived brightness (ITU-R BT.601).
fn level([red, green, blue]: [u8; 3]) -> f64 {
    (0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue)) / 255.0
}

/// The distance between the strongest and the weakest channel.
fn strength(colour: [u8; 3]) -> f64 {
    let (most, least) = (colour.iter().max(), colour.iter().min());
    (f64::from(*most.unwrap_or(&0)) - f64::from(*least.unwrap_or(&0))) / 255.0
}

/// The mean of the liveliest twentieth.
fn accent(colours: impl Iterator<Item = [u8; 3]>) -> [u8; 3] {
    let mut colours: Vec<[u8; 3]> = colours.collect();
    colours.sort_by(|a, b| strength(*b).total_cmp(&strength(*a)));
    colours.truncate((colours.len() / 20).max(1));
    let many = u32::try_from(colours.len()).unwrap_or(1);
    let mean = |index: usize| {
        let sum: u32 = colours.iter().map(|colour| u32::from(colour[index])).sum();
        u8::try_from(sum / many).unwrap_or(u8::MAX)
    };
    [mean(0), mean(1), mean(2)]
}
