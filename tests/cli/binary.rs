//! The program as others run it.

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;

/// A stack that needs one cloud and two requests.
pub const SMALL: &str = "\
stack: small
variables:
  tag: { type: string, default: one, pattern: \"^[a-z]{1,10}$\" }
clouds:
  aws: { account: \"123456789012\", region: us-east-1 }
resources:
  files:
    type: AWS::S3::Bucket
    properties:
      BucketName: small-files-123456789012
      Tags: [{ Key: label, Value: \"${var.tag}\" }]
  worker:
    type: AWS::IAM::Role
    properties:
      RoleName: small-worker
      AssumeRolePolicyDocument:
        Version: \"2012-10-17\"
        Statement:
          - { Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: \"sts:AssumeRole\" }
      Policies:
        - PolicyName: read
          PolicyDocument:
            Version: \"2012-10-17\"
            Statement: [{ Effect: Allow, Action: \"s3:GetObject\", Resource: \"${files.Arn}/*\" }]
outputs:
  bucket: ${files.Arn}
  role: { value: \"${worker.Arn}\", sensitive: true }
";

/// How a run of the program ended.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Everything, for a snapshot.
    pub fn all(&self) -> String {
        format!("exit: {}\n--- stdout\n{}--- stderr\n{}", self.code.unwrap_or(-1), self.out, self.err)
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.all());
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// The program, in a folder, with nothing of the tester's own environment that would change what it does.
pub fn mcm(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcm"));
    command.current_dir(folder);
    for name in ["MCM_SANDBOX", "AWS_ENDPOINT_URL", "NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES"] {
        command.env_remove(name);
    }
    command
}

/// Runs it with arguments.
pub fn run(folder: &Path, arguments: &[&str]) -> Ran {
    mcm(folder).args(arguments).output().unwrap().into()
}

/// A folder with a stack file.
pub fn folder(stack: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stack.yaml"), stack).unwrap();
    folder
}
