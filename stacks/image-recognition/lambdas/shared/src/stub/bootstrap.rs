//! A function's real program, run as Lambda runs it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};

/// A running bootstrap; it ends with this value.
pub struct Bootstrap(Child);

impl Bootstrap {
    /// Starts `program` with these variables and no others.
    pub fn start(program: &str, variables: &BTreeMap<String, String>) -> std::io::Result<Self> {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().map(Self)
    }

    /// Waits for a program that ends by itself: whether it succeeded, and its log.
    pub fn wait(mut self) -> std::io::Result<(bool, String)> {
        let status = self.0.wait()?;
        Ok((status.success(), self.log()?))
    }

    /// Ends it, and gives back its log.
    pub fn end(mut self) -> std::io::Result<String> {
        self.0.kill()?;
        self.0.wait()?;
        self.log()
    }

    fn log(&mut self) -> std::io::Result<String> {
        let mut log = String::new();
        if let Some(mut out) = self.0.stdout.take() {
            out.read_to_string(&mut log)?;
        }
        if let Some(mut out) = self.0.stderr.take() {
            out.read_to_string(&mut log)?;
        }
        Ok(log)
    }
}

impl Drop for Bootstrap {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
