//! Inputs that no one would write: whatever comes in, the parser answers in bounded time and does not panic, and
//! what it says can be drawn.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use mcm::model::Catalogue;
use mcm::stack::{Dialect, Given, Source, parse};
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::support;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(mcm::provider::catalogue);

/// A small input is answered well within this, even unoptimised and on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Parses bytes as a stack file in an empty folder, and draws what is wrong with them. Whether they are a stack.
fn survives(bytes: &[u8], variables: Vec<Given>) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.yaml");
    fs::write(&file, bytes).unwrap();
    fs::create_dir(folder.path().join("site")).unwrap();
    fs::write(folder.path().join("site/index.html"), "x").unwrap();
    let begun = Instant::now();
    let source = Source { file, variables, environment: vec![("HOME".to_owned(), "/root".to_owned())] };
    let dialect = Dialect {
        catalogue: &CATALOGUE,
        trust: mcm::trust::expand,
        functions: mcm::lambda::expand,
        artifacts: &BTreeMap::new(),
    };
    let told = match parse(&source, dialect) {
        Ok((stack, warnings)) => {
            // What is accepted is whole: every reference leads to a resource of the stack.
            for resource in &stack.resources {
                for needed in resource.dependencies() {
                    assert!(stack.get(&needed).is_some(), "{} needs {needed}", resource.address);
                }
            }
            (true, warnings)
        }
        Err(diagnostics) => {
            assert!(diagnostics.has_errors());
            assert!(diagnostics.0.len() <= 101, "{}", diagnostics.0.len());
            (false, diagnostics.0)
        }
    };
    let text = mcm::ui::diagnostics::render(&told.1, false);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    told.0
}

fn shipped() -> Vec<String> {
    let read = |name: &str| {
        fs::read_to_string(support::root().join("stacks").join(name).join("stack.yaml")).unwrap()
    };
    ["image-recognition", "aws-website", "gcp-service-account", "azure-vision"].map(read).to_vec()
}

/// Pieces that mean something to a parser of stacks.
fn token() -> impl Strategy<Value = String> {
    let words = [
        "stack: demo\n",
        "resources:\n",
        "variables:\n",
        "clouds:\n",
        "trust:\n",
        "outputs:\n",
        "  ",
        "    ",
        "- ",
        "a: ",
        "b: ",
        "type: AWS::S3::Bucket\n",
        "properties:\n",
        "use: templates/a.yaml\n",
        "\n",
        "${a.Arn}",
        "${",
        "}",
        "$${",
        "${var.x}",
        "&a ",
        "*a",
        "<<: ",
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        "'",
        "\"",
        "|\n",
        ">\n",
        "# ",
        "!Ref ",
        "!!int ",
        "? ",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "\t",
        "null",
        "true",
        "1e999",
        "0x",
        "\u{feff}",
        "\u{202e}",
        "é",
        "\r\n",
        "\r",
        "\u{85}",
        "\u{2028}",
        "\\u0000",
        "from: ",
        "to: ",
        "@",
        "`",
    ];
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

/// A change to a text that leaves it nearly what it was.
#[derive(Clone, Debug)]
enum Mutation {
    Delete { at: usize, length: usize },
    Insert { at: usize, what: String },
    Repeat { at: usize, length: usize, times: usize },
    DropLine { line: usize },
    SwapLines { one: usize, other: usize },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = 0..6000_usize;
    prop_oneof![
        (at.clone(), 1..40_usize).prop_map(|(at, length)| Mutation::Delete { at, length }),
        (at.clone(), token()).prop_map(|(at, what)| Mutation::Insert { at, what }),
        (at, 1..40_usize, 1..20_usize).prop_map(|(at, length, times)| Mutation::Repeat { at, length, times }),
        (0..200_usize).prop_map(|line| Mutation::DropLine { line }),
        (0..200_usize, 0..200_usize).prop_map(|(one, other)| Mutation::SwapLines { one, other }),
    ]
}

fn mutate(text: &str, mutation: &Mutation) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut lines: Vec<&str> = text.lines().collect();
    let count = lines.len().max(1);
    let bound = |at: usize| at % (chars.len() + 1);
    match mutation {
        Mutation::Delete { at, length } => {
            let at = bound(*at);
            chars[..at].iter().chain(chars.iter().skip(at + length)).collect()
        }
        Mutation::Insert { at, what } => {
            let at = bound(*at);
            chars[..at].iter().copied().chain(what.chars()).chain(chars[at..].iter().copied()).collect()
        }
        Mutation::Repeat { at, length, times } => {
            let at = bound(*at);
            let piece: String = chars[at..].iter().take(*length).collect();
            chars[..at].iter().collect::<String>()
                + &piece.repeat(*times)
                + &chars[at..].iter().collect::<String>()
        }
        Mutation::DropLine { line } => {
            if !lines.is_empty() {
                lines.remove(line % count);
            }
            lines.join("\n")
        }
        Mutation::SwapLines { one, other } => {
            if !lines.is_empty() {
                lines.swap(one % count, other % count);
            }
            lines.join("\n")
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 200, failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(&bytes, Vec::new());
    }

    #[test]
    fn any_text(text in "\\PC{0,300}") {
        survives(text.as_bytes(), Vec::new());
    }

    #[test]
    fn any_words_of_the_language(words in prop::collection::vec(token(), 0..60)) {
        survives(words.concat().as_bytes(), Vec::new());
    }

    #[test]
    fn any_flag(flag in "\\PC{0,40}") {
        let stack = "stack: demo\nvariables:\n  a: { type: list, default: [] }\n  b: { type: number, default: 1 }\n";
        survives(stack.as_bytes(), vec![Given::Flag(format!("a={flag}")), Given::Flag(format!("b={flag}")), Given::Flag(flag)]);
    }

    #[test]
    fn any_mutated_stack(which in 0..4_usize, mutations in prop::collection::vec(mutation(), 1..6)) {
        let stack = mutations.iter().fold(shipped()[which].clone(), |text, one| mutate(&text, one));
        survives(stack.as_bytes(), Vec::new());
    }
}

/// Inputs made to be expensive, each a stack file's text.
fn hostile() -> Vec<(&'static str, String)> {
    let head = "stack: demo\nclouds: { aws: { account: \"123456789012\", region: us-east-1 } }\n";
    let many = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    vec![
        ("deep flow", "[".repeat(100_000)),
        ("deep flow maps", "{a: ".repeat(100_000)),
        ("deep block", many(5_000, &|depth| format!("{}a:\n", " ".repeat(depth.min(200))))),
        ("long line", format!("stack: {}", "a".repeat(900_000))),
        ("wide line", format!("stack: demo\noutputs: {{ {} }}", many(20_000, &|n| format!("a{n}: x, ")))),
        ("many keys", format!("stack: demo\n{}", many(60_000, &|n| format!("k{n}: 1\n")))),
        ("many duplicates", format!("stack: demo\n{}", "k: 1\n".repeat(50_000))),
        ("many bad references", format!("{head}resources:\n{}outputs:\n{}",
            many(3_000, &|n| format!("  r{n}: {{ type: AWS::S3::Bucket }}\n")),
            many(10_000, &|n| format!("  o{n}: ${{s{n}.Arn}}\n")))),
        ("one chain", format!("{head}resources:\n{}", many(3_000, &|n| format!("  r{n}: {{ type: AWS::S3::Bucket, dependsOn: [r{}] }}\n", n + 1)))),
        ("one ring", format!("{head}resources:\n{}", many(2_000, &|n| format!("  r{n}: {{ type: AWS::S3::Bucket, dependsOn: [r{}] }}\n", (n + 1) % 2_000)))),
        ("values grow", format!("stack: demo\nvariables:\n  x: {{ type: list, default: [{}] }}\noutputs:\n{}",
            "y, ".repeat(10_000), many(5_000, &|n| format!("  o{n}: ${{var.x}}\n")))),
        ("many expressions", format!("stack: demo\noutputs:\n  a: \"{}\"\n", "${stack}".repeat(50_000))),
        ("bad pattern", "stack: demo\nvariables:\n  a: { type: string, default: x, pattern: \"(((a{100}){100}){100}){100}\" }\n".to_owned()),
    ]
}

#[test]
fn hostile_inputs_are_answered_in_time() {
    for (name, text) in hostile() {
        let begun = Instant::now();
        survives(text.as_bytes(), Vec::new());
        assert!(begun.elapsed() < PATIENCE, "{name}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_file_too_large_is_not_read() {
    assert!(!survives(&vec![b'a'; 3 << 20], Vec::new()));
}

#[test]
fn parts_of_parts_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("templates")).unwrap();
    write(
        "stack.yaml",
        "stack: demo\nresources:\n  a: { use: templates/0.yaml, with: { x: [x] } }\n".to_owned(),
    );
    // Each part gives the next one ten times what it was given, ten times over.
    let ten = |what: &str| what.repeat(10);
    for level in 0..7 {
        let list = ten("\"${param.x}\", ");
        let include =
            |n: usize| format!("  p{n}: {{ use: templates/{}.yaml, with: {{ x: [{list}] }} }}\n", level + 1);
        let resources: String = (0..10).map(include).collect();
        let text = format!(
            "parameters:\n  x: {{ type: list }}\nresources:\n{resources}outputs:\n  y: \"${{p0.y}}\"\n"
        );
        write(&format!("templates/{level}.yaml"), text);
    }
    write("templates/7.yaml", "parameters:\n  x: { type: list }\noutputs:\n  y: \"${param.x}\"\n".to_owned());
    let begun = Instant::now();
    let source =
        Source { file: folder.path().join("stack.yaml"), variables: Vec::new(), environment: Vec::new() };
    let told = parse(
        &source,
        Dialect {
            catalogue: &CATALOGUE,
            trust: mcm::trust::expand,
            functions: mcm::lambda::expand,
            artifacts: &BTreeMap::new(),
        },
    );
    assert!(told.is_err());
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn equal_stacks_digest_alike_and_secrets_count_without_being_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.yaml");
    let text = "stack: demo\nclouds: { aws: { account: \"123456789012\", region: us-east-1 } }\nvariables:\n  token: { type: string, sensitive: true }\n  note: { type: string, default: x }\nresources:\n  files:\n    type: AWS::S3::Bucket\n    properties:\n      Tags: [{ Key: note, Value: \"${var.note}\" }, { Key: token, Value: \"${var.token}\" }]\n";
    let digest = |path: &Path, text: &str, token: &str| {
        fs::write(path, text).unwrap();
        let variables = vec![Given::Flag(format!("token={token}"))];
        let source = Source { file: path.to_owned(), variables, environment: Vec::new() };
        let (stack, _) = parse(
            &source,
            Dialect {
                catalogue: &CATALOGUE,
                trust: mcm::trust::expand,
                functions: mcm::lambda::expand,
                artifacts: &BTreeMap::new(),
            },
        )
        .unwrap();
        assert!(!format!("{stack:?}").contains(token), "a secret is told");
        stack.digest
    };
    let first = digest(&file, text, "hunter2");
    assert_eq!(first, digest(&folder.path().join("other.yaml"), &format!("# a comment\n{text}"), "hunter2"));
    assert_ne!(first, digest(&file, text, "hunter3"));
    assert_ne!(first, digest(&file, &text.replace("default: x", "default: y"), "hunter2"));
    assert_ne!(first, digest(&file, &text.replace("us-east-1", "us-east-2"), "hunter2"));
    assert_ne!(first, digest(&file, &text.replace("  files:", "  file:"), "hunter2"));
}
