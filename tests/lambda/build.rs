//! Building: once, together, the same everywhere, and ended when no one wants it any more.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use mcm::lambda::{BuildError, Flags, Purpose, Settings, build, up_to_date};
use mcm::model::{Architecture, Artifact, BuildEvent, Digest, Function, Map};
use tempfile::TempDir;

use crate::cli::binary::{Ran, mcm};
use crate::support;

/// A copy of the fixture, and a store beside it.
struct Lab {
    folder: TempDir,
    settings: Settings,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        support::copy(&support::root().join("tests/lambda/fixture"), &folder.path().join("code"));
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
        let settings = Settings {
            store: folder.path().join("store"),
            purpose: Purpose::ThisMachine,
            search_path: std::env::var_os("PATH"),
            withheld: Vec::new(),
            cargo_home: std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home),
            flags: Flags::default(),
            time_limit: Duration::from_mins(5),
        };
        Self { folder, settings }
    }

    fn code(&self, name: &str) -> PathBuf {
        self.folder.path().join("code").join(name)
    }

    fn function(&self, name: &str) -> Function {
        Function {
            name: name.to_owned(),
            package: self.code(name),
            architecture: Architecture::default(),
            options: Map::new(),
            location: None,
        }
    }

    fn both(&self) -> [Function; 2] {
        [self.function("hello"), self.function("bye")]
    }

    /// Builds, and tells which calls of cargo were made and what was up to date.
    async fn build(
        &self,
        functions: &[Function],
    ) -> (Result<BTreeMap<String, Artifact>, BuildError>, Vec<Vec<String>>, Vec<String>) {
        let events = Mutex::new(Vec::new());
        let built = build(functions, &self.settings, &|event| events.lock().unwrap().push(event)).await;
        let (mut calls, mut fresh) = (Vec::new(), Vec::new());
        for event in events.into_inner().unwrap() {
            match event {
                BuildEvent::Began { functions, .. } => calls.push(functions),
                BuildEvent::UpToDate { function, .. } => fresh.push(function),
                BuildEvent::Cargo { .. } | BuildEvent::Built { .. } => {}
            }
        }
        (built, calls, fresh)
    }
}

/// What an archive's program says.
fn said(artifact: &Artifact, folder: &Path) -> String {
    let file = std::fs::File::open(&artifact.file).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    assert_eq!(archive.file_names().map(Result::unwrap).collect::<Vec<_>>(), ["bootstrap"]);
    let mut program = Vec::new();
    archive.by_name("bootstrap").unwrap().read_to_end(&mut program).unwrap();
    let path = folder.join(artifact.digest.short());
    std::fs::write(&path, program).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // A child that another test is just starting may hold the file open for a moment longer.
    let began = Instant::now();
    let output = loop {
        match Command::new(&path).output() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && began.elapsed().as_secs() < 10 => {
                std::thread::sleep(Duration::from_millis(20));
            }
            output => break output.unwrap(),
        }
    };
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn names(of: &[&str]) -> Vec<String> {
    of.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test]
async fn functions_of_a_workspace_are_built_together_and_only_when_something_changed() {
    let lab = Lab::new();
    let (first, calls, fresh) = lab.build(&lab.both()).await;
    let first = first.unwrap();
    assert_eq!((calls, fresh), (vec![names(&["hello", "bye"])], names(&[])));
    assert_eq!(said(&first["hello"], lab.folder.path()), "hello, from shared/src/lib.rs");
    assert_eq!(said(&first["bye"], lab.folder.path()), "bye, from shared/src/lib.rs");

    let (again, calls, fresh) = lab.build(&lab.both()).await;
    assert_eq!((calls, fresh), (Vec::new(), names(&["hello", "bye"])));
    assert_eq!(again.unwrap(), first);
    assert_eq!(up_to_date(&lab.both(), &lab.settings), first);

    // One function's own source, a file that belongs to no package, and what both are built from.
    std::fs::write(lab.code("hello/src/main.rs"), "fn main() { shared::say(\"good day\") }").unwrap();
    let (changed, calls, fresh) = lab.build(&lab.both()).await;
    let changed = changed.unwrap();
    assert_eq!((calls, fresh), (vec![names(&["hello"])], names(&["bye"])));
    assert_ne!(changed["hello"].digest, first["hello"].digest);
    assert_eq!(said(&changed["hello"], lab.folder.path()), "good day, from shared/src/lib.rs");
    std::fs::write(lab.code("words.txt"), "farewell").unwrap();
    let (changed, calls, _) = lab.build(&lab.both()).await;
    assert_eq!(calls, [names(&["bye"])]);
    assert_eq!(said(&changed.unwrap()["bye"], lab.folder.path()), "farewell, from shared/src/lib.rs");
    let shared = lab.code("shared/src/lib.rs");
    std::fs::write(&shared, "pub fn say(words: &str) { println!(\"{words}!\") }").unwrap();
    let (_, calls, fresh) = lab.build(&lab.both()).await;
    assert_eq!((calls, fresh), (vec![names(&["hello", "bye"])], names(&[])));
}

#[tokio::test]
async fn the_same_source_gives_the_same_archive_wherever_it_lies() {
    let (one, other) = (Lab::new(), Lab::new());
    let (here, _, _) = one.build(&one.both()).await;
    let (there, _, _) = other.build(&other.both()).await;
    let digests = |built: Result<BTreeMap<String, Artifact>, BuildError>| {
        let built = built.unwrap().into_iter();
        built.map(|(name, artifact)| (name, artifact.digest, artifact.size)).collect::<Vec<_>>()
    };
    assert_eq!(digests(here), digests(there));
}

/// Flags of the environment displace those of cargo's configuration; what keeps this machine's folders out of the program
/// must not be among the displaced.
#[test]
#[cfg(target_os = "linux")]
fn flags_of_the_environment_let_no_folder_of_this_machine_into_the_program() {
    let lab = Lab::new();
    // Like a download: outside of the workspace, in cargo's home.
    let home = lab.folder.path().join("home");
    std::fs::create_dir_all(home.join("dep/src")).unwrap();
    let manifest = "[package]\nname = \"dep\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    std::fs::write(home.join("dep/Cargo.toml"), manifest).unwrap();
    std::fs::write(home.join("dep/src/lib.rs"), "pub fn place() -> &'static str { file!() }").unwrap();
    let manifest = lab.code("hello/Cargo.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let with = format!("[dependencies]\ndep = {{ path = {:?} }}\n", home.join("dep"));
    std::fs::write(&manifest, text.replace("[dependencies]\n", &with)).unwrap();
    let main = "fn main() { shared::say(if cfg!(inherited) { dep::place() } else { \"no flags\" }) }";
    std::fs::write(lab.code("hello/src/main.rs"), main).unwrap();
    let _ = std::fs::remove_file(lab.code("Cargo.lock"));
    let stack = r#"stack: lab
clouds:
  aws: { account: "123456789012", region: us-east-1 }
resources:
  role:
    type: AWS::IAM::Role
    properties:
      RoleName: lab
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: { Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: "sts:AssumeRole" }
functions:
  hello: { package: hello, role: "${role}" }
"#;
    std::fs::write(lab.code("stack.yaml"), stack).unwrap();
    let target =
        format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUSTFLAGS", std::env::consts::ARCH.to_uppercase());
    for variable in ["RUSTFLAGS", target.as_str()] {
        let _ = std::fs::remove_dir_all(lab.code(".mcm"));
        let mut command = mcm(&lab.folder.path().join("code"));
        command.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("RUSTFLAGS");
        command.env("CARGO_HOME", &home).env(variable, "--cfg inherited");
        let ran = Ran::from(command.args(["functions", "build", "--sandbox", "--json"]).output().unwrap());
        let told: serde_json::Value = serde_json::from_str(&ran.exits(0).out).unwrap();
        let artifact = Artifact {
            digest: Digest(told[0]["digest"].as_str().unwrap().to_owned()),
            size: 0,
            file: lab.code(told[0]["file"].as_str().unwrap()),
        };
        assert_eq!(
            said(&artifact, lab.folder.path()),
            "cargo/dep/src/lib.rs, from shared/src/lib.rs",
            "{variable}"
        );
    }
}

#[tokio::test]
async fn an_archive_or_a_record_that_was_damaged_is_made_again() {
    let lab = Lab::new();
    let functions = [lab.function("hello")];
    let built = lab.build(&functions).await.0.unwrap();
    let file = &built["hello"].file;
    std::fs::write(file, "damaged").unwrap();
    let (again, calls, _) = lab.build(&functions).await;
    assert_eq!((again.unwrap(), calls.len()), (built.clone(), 1));
    for entry in std::fs::read_dir(&lab.settings.store).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            std::fs::write(path, "{").unwrap();
        }
    }
    let (again, calls, _) = lab.build(&functions).await;
    assert_eq!((again.unwrap(), calls.len()), (built, 1));
}

#[tokio::test]
async fn what_cargo_says_is_shown() {
    let lab = Lab::new();
    std::fs::write(lab.code("hello/src/main.rs"), "fn main() { unknown() }").unwrap();
    let error = lab.build(&lab.both()).await.0.unwrap_err();
    assert_eq!(error.to_string(), "cargo could not build bye, hello");
    let said = error.said().unwrap();
    assert!(said.starts_with("error[E0425]: cannot find function `unknown`"), "{said}");
    assert!(said.contains("hello/src/main.rs:1:13"), "{said}");
    assert!(!said.contains("Compiling"), "{said}");

    let nowhere = Function { package: lab.code("nowhere"), ..lab.function("hello") };
    let error = lab.build(&[nowhere]).await.0.unwrap_err();
    assert!(error.to_string().starts_with("the function `hello` has no Rust package in "), "{error}");
    let library = Function { package: lab.code("shared"), ..lab.function("shared") };
    let error = lab.build(&[library]).await.0.unwrap_err();
    assert_eq!(error.to_string(), "the package `shared` of the function `shared` has 0 programs");
    std::fs::write(lab.code("hello/Cargo.toml"), "[package]\nname = 1\n").unwrap();
    let error = lab.build(&lab.both()).await.0.unwrap_err();
    assert!(error.said().unwrap().contains("name = 1"), "{error:?}");
}

#[tokio::test]
async fn zig_builds_for_lambda() {
    let Some(python) = support::judges("cargo-zigbuild", &["ziglang"]) else { return };
    let mut lab = Lab::new();
    let path = std::env::var_os("PATH").unwrap();
    let folders = std::iter::once(python.parent().unwrap().to_owned()).chain(std::env::split_paths(&path));
    lab.settings.search_path = Some(std::env::join_paths(folders).unwrap());
    lab.settings.purpose = Purpose::Lambda;
    let built = lab.build(&[lab.function("hello")]).await.0.unwrap();
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    assert_eq!(said(&built["hello"], lab.folder.path()), "hello, from shared/src/lib.rs");
    assert!(built["hello"].size > 1000);
    // Graviton: built where its standard library is installed, else told how to get it.
    let arm = Function { architecture: Architecture::Arm64, ..lab.function("bye") };
    match lab.build(&[arm]).await.0 {
        Ok(built) => assert!(built["bye"].size > 1000),
        Err(error) => assert_eq!(
            error.hint(),
            "install the target with `rustup target add aarch64-unknown-linux-gnu`",
            "{error:?}"
        ),
    }
}

/// A build script that writes again and again, and would for a minute.
const LASTING: &str = r#"fn main() {
    for beat in 0..600 {
        std::fs::write("../beat", format!("{beat}")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}"#;

#[tokio::test]
async fn a_build_that_is_given_up_leaves_nothing_running() {
    let mut lab = Lab::new();
    std::fs::write(lab.code("hello/build.rs"), LASTING).unwrap();
    let beat = lab.code("beat");
    let running = || {
        let before = std::fs::read(&beat).unwrap_or_default();
        std::thread::sleep(Duration::from_millis(600));
        std::fs::read(&beat).unwrap_or_default() != before
    };
    let functions = [lab.function("hello")];
    {
        let mut building = Box::pin(build(&functions, &lab.settings, &|_| {}));
        let began = Instant::now();
        while !beat.exists() && began.elapsed() < Duration::from_mins(2) {
            let more = tokio::time::timeout(Duration::from_millis(50), &mut building).await;
            assert!(more.is_err(), "it ended: {more:?}");
        }
        assert!(running());
    }
    assert!(!running());

    lab.settings.time_limit = Duration::from_secs(3);
    let error = lab.build(&functions).await.0.unwrap_err();
    assert!(error.to_string().contains("took longer than 3 s"), "{error}");
    assert!(!running());
}
