//! Functions being built, and what they became.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value as Json, json};

use super::summary::seconds;
use super::{Style, print, text};
use crate::model::{Artifact, BuildEvent, Function};

/// Shows a build on stderr: one moving line on a terminal that can draw, plain lines elsewhere.
pub struct Progress {
    bar: Option<Mutex<ProgressBar>>,
    style: Style,
}

impl Progress {
    /// Shows nothing yet.
    pub fn new(draws: bool, style: Style) -> Self {
        let bar = draws.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let template = ProgressStyle::with_template("  {spinner} {wide_msg} ({elapsed})");
            bar.set_style(template.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            Mutex::new(bar)
        });
        Self { bar, style }
    }

    /// Shows what just happened.
    pub fn show(&self, event: &BuildEvent) {
        let Some(bar) = &self.bar else {
            if let Some(line) = line(event, self.style) {
                print::notice(&line);
            }
            return;
        };
        let bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            BuildEvent::Began { functions, .. } => {
                bar.set_message(format!("building {}", functions.join(", ")));
                bar.enable_steady_tick(Duration::from_millis(120));
            }
            BuildEvent::Cargo { line } => bar.set_message(text::line(line).into_owned()),
            BuildEvent::UpToDate { .. } => {}
            BuildEvent::Built { .. } => {
                if let Some(line) = line(event, self.style) {
                    bar.println(line);
                }
            }
        }
    }

    /// Takes the moving line away.
    pub fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.lock().unwrap_or_else(PoisonError::into_inner).finish_and_clear();
        }
    }
}

/// An event as a line. What is up to date is no news, and cargo's own steps are for a line that moves on.
fn line(event: &BuildEvent, style: Style) -> Option<String> {
    match event {
        BuildEvent::UpToDate { .. } | BuildEvent::Cargo { .. } => None,
        BuildEvent::Began { functions, target } => {
            Some(format!("building {} for {} ...", functions.join(", "), text::line(target)))
        }
        BuildEvent::Built { function, artifact, took } => Some(style.green(&format!(
            "{function}: built in {}, {} {}",
            seconds(*took),
            size(artifact.size),
            artifact.digest.short()
        ))),
    }
}

/// The built functions: name, processor, size, digest, file.
pub fn list(built: &[(&Function, &Artifact)]) -> String {
    let width = built.iter().map(|(function, _)| function.name.len()).max().unwrap_or_default();
    let line = |(function, artifact): &(&Function, &Artifact)| {
        format!(
            "{:width$}  {:6}  {:>9}  {}  {}",
            function.name,
            function.architecture,
            size(artifact.size),
            artifact.digest,
            text::line(&artifact.file.to_string_lossy()),
        )
    };
    built.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The same for programs.
pub fn json(built: &[(&Function, &Artifact)]) -> String {
    let object = |(function, artifact): &(&Function, &Artifact)| {
        json!({
            "function": function.name,
            "architecture": function.architecture.as_str(),
            "digest": artifact.digest.0,
            "size": artifact.size,
            "file": artifact.file.to_string_lossy(),
        })
    };
    format!("{:#}", Json::Array(built.iter().map(object).collect()))
}

/// `1.2 MiB`.
fn size(bytes: u64) -> String {
    let tenths = |unit: u64| {
        let tenths = bytes.saturating_mul(10) / unit;
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", tenths(1 << 10)),
        _ => format!("{} MiB", tenths(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Architecture, Digest, Map};

    #[test]
    fn sizes_are_said_in_few_digits() {
        let said: Vec<String> = [0, 1023, 1024, 1536, 1_048_575, 1_258_291].map(size).to_vec();
        assert_eq!(said, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1023.9 KiB", "1.1 MiB"]);
    }

    #[test]
    fn a_build_is_told_in_lines() {
        let artifact = Artifact { digest: Digest("ab".repeat(32)), size: 1_300_000, file: "f/ab.zip".into() };
        let function = |name: &str| Function {
            name: name.to_owned(),
            package: "p".into(),
            architecture: Architecture::Arm64,
            options: Map::new(),
            location: None,
        };
        let began =
            BuildEvent::Began { functions: vec!["a".into(), "b".into()], target: "this machine".into() };
        assert_eq!(line(&began, Style::PLAIN).unwrap(), "building a, b for this machine ...");
        let built = BuildEvent::Built {
            function: "a".into(),
            artifact: artifact.clone(),
            took: Duration::from_millis(2500),
        };
        assert_eq!(line(&built, Style::PLAIN).unwrap(), "a: built in 2.5 s, 1.2 MiB abababababab");
        let digest = "ab".repeat(32);
        assert_eq!(
            list(&[(&function("a"), &artifact), (&function("long-name"), &artifact)]),
            format!(
                "a          arm64     1.2 MiB  {digest}  f/ab.zip\nlong-name  arm64     1.2 MiB  {digest}  f/ab.zip"
            )
        );
    }
}
