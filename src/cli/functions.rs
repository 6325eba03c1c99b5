//! `mcm functions`: the Rust functions of a stack. `build` builds and packs them; plan and apply do the same first.
//! `invoke` calls what everyone calls: the version that was released. `logs` shows what they have logged (`super::logs`).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::exit::Exit;
use super::failure::{Ending, Failure, chain};
use super::options::Variables;
use super::survey::guard;
use super::workspace::{Workspace, closest};
use super::{Context, logs, reach, signals};
use crate::lambda::{self, BuildError, Flags, Purpose, Settings};
use crate::model::{Action, Address, Artifact, Diagnostic, Function, Plan, Severity, Stack};
use crate::provider::{Router, is_loopback};
use crate::store::Store;
use crate::ui;
use crate::ui::build::Progress;

/// How variables begin that are for mcm and for the clouds' clients, managed identities and a pipeline's identity included.
const WITHHELD: [&str; 11] = [
    "MCM_",
    "AWS_",
    "GOOGLE_",
    "GCLOUD_",
    "CLOUDSDK_",
    "AZURE_",
    "ARM_",
    "IDENTITY_",
    "MSI_",
    "ACTIONS_ID_TOKEN_",
    "IMDS_",
];

/// Build and call the Rust functions of a stack, and see what they log
#[derive(Args, Debug)]
pub(super) struct Functions {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Build(Build),
    Invoke(Invoke),
    Logs(logs::Logs),
}

/// Build and pack the functions of a stack; what is up to date is left as it is
#[derive(Args, Debug)]
struct Build {
    /// The stack's folder or file [default: stack.yaml here]
    stack: Option<PathBuf>,
    /// Only this function; may be repeated
    #[arg(long, value_name = "NAME")]
    function: Vec<String>,
    /// Print the archives as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    variables: Variables,
}

/// Call a function of a stack: its answer on stdout, the end of its log on stderr
#[derive(Args, Debug)]
struct Invoke {
    /// The function's name in the stack file
    function: String,
    /// The stack's folder or file [default: stack.yaml here]
    stack: Option<PathBuf>,
    /// The event, as JSON; or `@FILE`
    #[arg(long, value_name = "JSON", default_value = "{}")]
    event: String,
    #[command(flatten)]
    variables: Variables,
}

impl Invoke {
    fn run(self, context: &Context) -> Ending {
        let workspace = Workspace::find(self.stack.as_deref(), context.sandbox)?;
        let event = self.event()?;
        let loaded = workspace.load(self.variables.given(), context)?;
        let (function, alias) = released(&loaded.stack, &self.function)?;
        signals::run_readonly(async {
            let reach = reach::open(&workspace, &loaded.stack).await?;
            guard(&reach.router).await?;
            let answered = reach.router.invoke(function, alias, event).await;
            let answered = answered.map_err(|error| {
                Failure::clouds(std::iter::once((format!("{function} could not be called"), &error)))
            })?;
            reach.close().await;
            for line in answered.log.replace('\t', "  ").lines() {
                ui::print::notice(&ui::text::line(line));
            }
            let body = String::from_utf8_lossy(&answered.body);
            ui::print::result(&body.lines().map(ui::text::line).collect::<Vec<_>>().join("\n"));
            let Some(word) = answered.error else { return Ok(Exit::Done) };
            let diagnostic = Diagnostic::error(format!("{function} failed: {word}"));
            Err(Failure::new(
                Exit::Failed,
                diagnostic.hint("its answer stands above, with the end of its log"),
            ))
        })
    }

    /// The event: JSON, so that a mistake is told here and not by the function.
    fn event(&self) -> Result<Vec<u8>, Failure> {
        let text = match self.event.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file)
                .map_err(|error| Failure::io(format!("{} cannot be read", ui::text::line(file)), &error))?,
            None => self.event.clone(),
        };
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(_) => Ok(text.into_bytes()),
            Err(error) => {
                let diagnostic = Diagnostic::error("the event is no JSON").detail(error.to_string());
                let hint = "write `--event '{\"a\": 1}'`, or `--event @FILE`";
                Err(Failure::new(Exit::Invalid, diagnostic.hint(hint)))
            }
        }
    }
}

/// A function's name in the cloud, and the alias that everyone calls.
pub(super) fn released<'s>(stack: &'s Stack, name: &str) -> Result<(&'s str, &'s str), Failure> {
    let address = Address::part("functions", name, "release");
    let release = stack.get(&address).map(|release| &release.properties);
    let text = |name: &str| release?.get(name)?.as_text();
    text("Function").zip(text("Alias")).ok_or_else(|| unknown(stack, name))
}

/// The functions that a plan releases anew.
pub(super) fn releases(stack: &Stack, plan: &Plan) -> Vec<String> {
    let is_released = |function: &&Function| {
        let change = plan.change(&Address::part("functions", &function.name, "release"));
        change.is_some_and(|change| matches!(change.action, Action::Update | Action::Create))
    };
    stack.functions.iter().filter(is_released).map(|function| function.name.clone()).collect()
}

/// Deletes the long past versions of functions that a run has released anew. The run is over, so that no undoing needs
/// them any more; what cannot be deleted is only told. Without the lock nothing is: by then another run may need them.
pub(super) async fn prune(
    stack: &Stack,
    functions: &[String],
    store: &Store,
    router: &Router,
    context: &Context,
) {
    for name in functions {
        let Ok((function, alias)) = released(stack, name) else { continue };
        if !store.is_held() {
            let what = format!("former versions of {function} were not deleted");
            let warning = Diagnostic::warning(what).detail("the lock of this stack is not held any more");
            context.warn(&[warning.hint("what was applied stands; the next release tries again")]);
            return;
        }
        match router.prune(function, alias).await {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => {
                let gone: Vec<String> = gone.iter().map(u64::to_string).collect();
                ui::print::notice(&format!("{function}: deleted its former versions {}", gone.join(", ")));
            }
            Err(error) => {
                let what = format!("former versions of {function} could not be deleted");
                let mut warning = ui::error::diagnose(&what, &error);
                warning.severity = Severity::Warning;
                context.warn(&[warning.hint("what was applied stands; the next release tries again")]);
            }
        }
    }
}

/// A name that no function of the stack has.
fn unknown(stack: &Stack, wanted: &str) -> Failure {
    let diagnostic = Diagnostic::error(format!("the stack has no function `{wanted}`"));
    let names = stack.functions.iter().map(|function| function.name.as_str());
    let diagnostic = match closest(wanted, names) {
        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
        None => diagnostic.hint("the names stand under `functions:` in the stack file"),
    };
    Failure::new(Exit::Invalid, diagnostic)
}

impl Functions {
    pub(super) fn run(self, context: &Context) -> Ending {
        match self.verb {
            Verb::Build(arguments) => arguments.run(context),
            Verb::Invoke(arguments) => arguments.run(context),
            Verb::Logs(arguments) => arguments.run(context),
        }
    }
}

impl Build {
    fn run(self, context: &Context) -> Ending {
        let workspace = Workspace::find(self.stack.as_deref(), context.sandbox)?;
        let loaded = workspace.load(self.variables.given(), context)?;
        let functions = self.chosen(&loaded.stack)?;
        workspace.prepare()?;
        let artifacts = build(&workspace, &loaded.stack, &functions, context)?;
        let built: Vec<(&Function, &Artifact)> = functions
            .iter()
            .filter_map(|function| Some((function, artifacts.get(&function.name)?)))
            .collect();
        ui::print::result(&if self.json { ui::build::json(&built) } else { ui::build::list(&built) });
        Ok(Exit::Done)
    }

    /// The functions that are asked for: all, unless some are named.
    fn chosen(&self, stack: &Stack) -> Result<Vec<Function>, Failure> {
        let names = || stack.functions.iter().map(|function| function.name.as_str());
        for wanted in &self.function {
            if !names().any(|name| name == wanted) {
                return Err(unknown(stack, wanted));
            }
        }
        if stack.functions.is_empty() {
            let diagnostic = Diagnostic::error("the stack has no functions")
                .hint("declare them under `functions:`: a name, a `package` and a `role`");
            return Err(Failure::new(Exit::Invalid, diagnostic));
        }
        let wanted =
            |function: &&Function| self.function.is_empty() || self.function.contains(&function.name);
        Ok(stack.functions.iter().filter(wanted).cloned().collect())
    }
}

/// Builds functions, showing what is done; a stop signal ends it with everything that it has started.
pub(super) fn build(
    workspace: &Workspace,
    stack: &Stack,
    functions: &[Function],
    context: &Context,
) -> Result<BTreeMap<String, Artifact>, Failure> {
    let settings = settings(workspace, stack);
    let progress = Progress::new(super::run::draws(), context.err);
    let built = signals::run_readonly_for(async {
        let show = |event| progress.show(&event);
        Ok(lambda::build(functions, &settings, &show).await)
    });
    progress.close();
    built?.map_err(|error| failed(&error))
}

/// What runs the functions. An emulator on this machine does so itself; any other endpoint may be AWS's own, such as that
/// of a VPC.
fn purpose(sandbox: bool, endpoint: Option<&str>) -> Purpose {
    match endpoint {
        Some(url) if is_loopback(url) => Purpose::ThisMachine,
        None if sandbox => Purpose::ThisMachine,
        Some(_) | None => Purpose::Lambda,
    }
}

/// How functions are built: for AWS, or for an emulator that runs them on this machine.
fn settings(workspace: &Workspace, stack: &Stack) -> Settings {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let said = stack.clouds.aws.as_ref().and_then(|place| place.endpoint.clone());
    let endpoint = said.or_else(|| variable("AWS_ENDPOINT_URL")?.into_string().ok());
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    Settings {
        store: workspace.functions_folder(),
        purpose: purpose(workspace.sandbox, endpoint.as_deref()),
        search_path: variable("PATH"),
        withheld: std::env::vars_os().map(|(name, _)| name).filter(|name| is_ours(name)).collect(),
        cargo_home: variable("CARGO_HOME").map(PathBuf::from).or_else(home),
        flags: Flags::of(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        ),
        time_limit: lambda::TIME_LIMIT,
    }
}

/// Whether a variable of the environment is meant for mcm or for a cloud's client. A build runs other people's programs
/// (build scripts, macros): a plan of what somebody else proposes must not hand them credentials.
fn is_ours(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    // How a cryptographic library is built, and no credential.
    !name.starts_with("AWS_LC_") && WITHHELD.iter().any(|prefix| name.starts_with(prefix))
}

/// A build that failed: what, in cargo's own words, and what to do.
fn failed(error: &BuildError) -> Failure {
    let mut diagnostic = Diagnostic::error(error.to_string()).hint(error.hint());
    if let Some(said) = error.said() {
        diagnostic = diagnostic.detail(said.lines().map(ui::text::line).collect::<Vec<_>>().join("\n"));
    } else if let Some(source) = std::error::Error::source(error) {
        diagnostic = diagnostic.detail(chain(source));
    }
    Failure::new(Exit::Failed, diagnostic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_runs_on_this_machine_is_built_for_it() {
        for (sandbox, endpoint, expected) in [
            (false, None, Purpose::Lambda),
            (true, None, Purpose::ThisMachine),
            (false, Some("http://127.0.0.1:4566"), Purpose::ThisMachine),
            (false, Some("https://localhost:4566"), Purpose::ThisMachine),
            // AWS itself, through an endpoint of a VPC.
            (false, Some("https://vpce-1-2.lambda.us-east-1.vpce.amazonaws.com"), Purpose::Lambda),
            (true, Some("https://lambda-fips.us-east-1.amazonaws.com"), Purpose::Lambda),
        ] {
            assert_eq!(purpose(sandbox, endpoint), expected, "{endpoint:?}");
        }
    }
}
