//! The app as a visitor finds it: one command brings the reference stack up in the sandbox and tells its address; a
//! headless Chromium uploads a picture and reads from the page what is in it.
//!
//! `MCM_SCREENS=DIR` has it take the screenshots that the README shows.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

use crate::support::{self, judges, root};

/// `mcm apply --serve`, ended as Ctrl-C ends it.
struct Up(Child);

impl Up {
    /// Applies the stack in this folder; returns where its outputs answer, too.
    fn start(home: &Path) -> (Self, Json) {
        let child = Command::new(env!("CARGO_BIN_EXE_mcm"))
            .args(["apply", "--sandbox", "--auto-approve", "--json", "--serve"])
            .current_dir(home)
            .env("CARGO_TARGET_DIR", support::functions_target())
            .env_remove("MCM_SANDBOX")
            .env_remove("AWS_ENDPOINT_URL")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut up = Self(child);
        let lines = BufReader::new(up.0.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        for line in lines {
            let event: Json = serde_json::from_str(&line).unwrap();
            if event["type"] == "served" {
                return (up, event["addresses"].clone());
            }
            said.push(line);
        }
        panic!("the app does not come up: {}", said.join("\n"));
    }

    /// Ends it; it says that all is well.
    fn end(mut self) {
        let interrupted = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap();
        assert!(interrupted.success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A landscape under a sun, 960 by 640 pixels.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies in a byte's range")]
fn landscape(to: &Path) {
    let picture = image::RgbImage::from_fn(960, 640, |x, y| {
        let (across, down) = (f64::from(x), f64::from(y));
        let near = 470.0 + 40.0 * (across / 130.0).sin();
        let far = 400.0 + 60.0 * (across / 210.0 + 2.0).sin();
        let shade = |from: u8, by: f64| (f64::from(from) + by).clamp(0.0, 255.0) as u8;
        if (across - 730.0).hypot(down - 130.0) < 62.0 {
            image::Rgb([250, 210, 60])
        } else if down > near {
            image::Rgb([shade(40, (near - down) / 12.0), shade(140, (near - down) / 4.0), 60])
        } else if down > far {
            image::Rgb([90, shade(150, (far - down) / 6.0), 120])
        } else {
            image::Rgb([shade(60, down / 6.0), shade(130, down / 8.0), 235])
        }
    });
    picture.save(to).unwrap();
}

/// Chromium, where it is installed.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file())
}

#[test]
fn a_visitor_uploads_a_picture_and_reads_what_is_in_it() {
    let test = "functions::browser";
    let Some(python) = judges(test, &["playwright"]) else { return };
    let Some(chromium) = chromium() else {
        return support::skip(test, "Chromium is not installed (see .ci/run)");
    };
    let folder = tempfile::tempdir().unwrap();
    let stack = support::reference("browser");
    let (picture, other) = (folder.path().join("landscape.png"), folder.path().join("other.png"));
    landscape(&picture);
    std::fs::write(&other, "This is text.").unwrap();

    let (up, addresses) = Up::start(&stack);
    let site = addresses["site"].as_str().unwrap();
    assert!(site.contains(".cloudfront.localhost:"), "{site}");
    let mut browser = Command::new(python);
    browser.arg(root().join("tests/functions/browser.py")).arg(chromium).arg(site).args([&picture, &other]);
    let visited = browser.args(std::env::var_os("MCM_SCREENS")).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&visited.stdout), String::from_utf8_lossy(&visited.stderr));
    assert!(visited.status.success() && out.trim() == "ok", "{out}\n{err}");
    up.end();
}
