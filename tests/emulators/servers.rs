//! Other people's emulators, each on a port of its own, ended with the test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{judges, node_judge, root};

/// A running emulator.
pub struct Emulator {
    pub name: &'static str,
    pub endpoint: String,
    process: Child,
    _data: tempfile::TempDir,
}

impl Emulator {
    /// moto's server, by way of `serve_moto.py`; `None` where it is not installed.
    pub fn moto() -> Option<Self> {
        let python = judges("moto", &["moto.server"])?;
        Some(Self::start("moto", &|port, data| {
            let mut command = Command::new(&python);
            command.arg(root().join("tests/emulators/serve_moto.py")).current_dir(data);
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            // Without them there is no AWS managed policy to attach.
            command.env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true");
            command
        }))
    }

    /// ministack; `None` where it is not installed.
    pub fn ministack() -> Option<Self> {
        let python = judges("ministack", &["ministack"])?;
        Some(Self::start("ministack", &|port, data| {
            let mut command = Command::new(&python);
            command.args(["-m", "ministack"]).current_dir(data);
            command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
            command
        }))
    }

    /// azurite's Blob storage; `None` where it is not installed.
    pub fn azurite() -> Option<Self> {
        let script = node_judge("azurite", "azurite/dist/src/blob/main.js")?;
        Some(Self::start("azurite", &|port, data| {
            let mut command = Command::new("node");
            command.arg(&script).args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
            command.args(["--skipApiVersionCheck", "--disableTelemetry", "--silent", "--location"]);
            command.arg(data).current_dir(data);
            command
        }))
    }

    fn start(name: &'static str, command: &dyn Fn(u16, &std::path::Path) -> Command) -> Self {
        let data = tempfile::tempdir().unwrap();
        // Between here and the server's own bind another process may take the port: then another one is tried.
        for _ in 0..3 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut process =
                command(port, data.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let began = Instant::now();
            while process.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_mins(1) {
                if answers(port) {
                    let endpoint = format!("http://127.0.0.1:{port}");
                    return Self { name, endpoint, process, _data: data };
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        panic!("{name} did not start");
    }
}

/// Whether an HTTP server answers there.
fn answers(port: u16) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut answer = [0; 5];
    stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer == *b"HTTP/"
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
