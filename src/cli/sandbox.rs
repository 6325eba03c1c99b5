//! `mcm sandbox`: the embedded clouds, kept up for a browser, other tools, or several commands.

use clap::Args;

use super::Context;
use super::failure::Ending;

/// The three embedded clouds: serve them, point other tools at them, empty them
#[derive(Args, Debug)]
pub(super) struct Sandbox {
    #[cfg(feature = "sandbox")]
    #[command(subcommand)]
    command: embedded::Command,
}

impl Sandbox {
    #[cfg(feature = "sandbox")]
    pub(super) fn run(self, context: &Context) -> Ending {
        self.command.run(context)
    }

    #[cfg(not(feature = "sandbox"))]
    #[expect(clippy::unused_self, reason = "every command is run the same way")]
    pub(super) fn run(self, _context: &Context) -> Ending {
        Err(super::failure::Failure::invalid("this mcm was built without the sandbox"))
    }
}

#[cfg(feature = "sandbox")]
mod embedded {
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use clap::Subcommand;
    use serde_json::json;

    use crate::cli::exit::Exit;
    use crate::cli::failure::{Ending, Failure};
    use crate::cli::options::Variables;
    use crate::cli::reach::{sandbox_failed, sandbox_options};
    use crate::cli::workspace::Workspace;
    use crate::cli::{Context, signals};
    use crate::model::{Clouds, Diagnostic};
    use crate::sandbox::{self, Accounts, Endpoints, Options, Session};
    use crate::ui;

    #[derive(Subcommand, Debug)]
    pub(super) enum Command {
        /// Keep the sandbox up until it is interrupted
        Serve {
            /// The stack's folder or file [default: stack.yaml here]
            stack: Option<PathBuf>,
            /// The folder of its data [default: .mcm/sandbox beside the stack]
            #[arg(long, value_name = "DIR")]
            data: Option<PathBuf>,
            /// The first of three ports in a row: AWS, GCP, Azure [default: any free ones]
            #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=65533))]
            port: Option<u16>,
            /// Wait so long before every answer, to feel what distance costs
            #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60_000))]
            latency_ms: u64,
            #[command(flatten)]
            variables: Variables,
        },
        /// Print what points other tools at the sandbox that is served
        Env {
            /// The stack's folder or file [default: stack.yaml here]
            stack: Option<PathBuf>,
            /// The folder of its data [default: .mcm/sandbox beside the stack]
            #[arg(long, value_name = "DIR")]
            data: Option<PathBuf>,
            /// Print JSON
            #[arg(long)]
            json: bool,
            #[command(flatten)]
            variables: Variables,
        },
        /// Empty the sandbox, and forget what stacks own in it
        Reset {
            /// The stack's folder or file [default: stack.yaml here]
            stack: Option<PathBuf>,
            /// The folder of its data [default: .mcm/sandbox beside the stack]
            #[arg(long, value_name = "DIR")]
            data: Option<PathBuf>,
        },
    }

    impl Command {
        pub(super) fn run(self, context: &Context) -> Ending {
            match self {
                Self::Serve { stack, data, port, latency_ms, variables } => {
                    let (mut options, _) = place(stack.as_deref(), data, &variables, context)?;
                    options.port = port;
                    options.latency = Duration::from_millis(latency_ms);
                    serve(options)
                }
                Self::Env { stack, data, json, variables } => {
                    let (options, clouds) = place(stack.as_deref(), data, &variables, context)?;
                    env(options, &clouds, json)
                }
                Self::Reset { stack, data } => reset(stack.as_deref(), data),
            }
        }
    }

    /// The data folder and the accounts: those of the stack, if there is one. A data folder of its own needs none.
    fn place(
        stack: Option<&Path>,
        data: Option<PathBuf>,
        variables: &Variables,
        context: &Context,
    ) -> Result<(Options, Clouds), Failure> {
        match Workspace::find(stack, true) {
            Ok(workspace) => {
                let clouds = workspace.load(variables.given(), context)?.stack.clouds;
                let mut options = sandbox_options(&workspace, &clouds);
                match data {
                    Some(data) => options.data = data,
                    None => workspace.prepare()?,
                }
                Ok((options, clouds))
            }
            Err(failure) => match data {
                Some(data) if stack.is_none() => {
                    let options =
                        Options { data, port: None, latency: Duration::ZERO, accounts: Accounts::default() };
                    Ok((options, Clouds::default()))
                }
                Some(_) | None => Err(failure),
            },
        }
    }

    fn serve(options: Options) -> Ending {
        let data = options.data.display().to_string();
        signals::run(async |mut signals| {
            let session = Session::serve(options).await.map_err(|error| sandbox_failed(&error))?;
            let Endpoints { aws, gcp, azure } = &session.endpoints;
            ui::print::result(&format!("AWS    {aws}\nGCP    {gcp}\nAzure  {azure}"));
            ui::print::notice(&format!(
                "The sandbox is up; its data lies in {data}. `mcm sandbox env` points other tools at it; Ctrl-C ends it."
            ));
            signals.came().await;
            session.close().await;
            Ok(Exit::Done)
        })
    }

    fn env(options: Options, clouds: &Clouds, as_json: bool) -> Ending {
        signals::run_readonly(async {
            let session = Session::open(options).await.map_err(|error| sandbox_failed(&error))?;
            if session.is_own() {
                session.close().await;
                let diagnostic = Diagnostic::error("no sandbox is served here")
                    .hint("start one with `mcm sandbox serve`, in another terminal or with `&`");
                return Err(Failure::new(Exit::Failed, diagnostic));
            }
            ui::print::result(&if as_json {
                format!("{:#}", env_json(&session, clouds))
            } else {
                env_text(&session, clouds)
            });
            Ok(Exit::Done)
        })
    }

    /// The exact shape is documented: other programs read it.
    fn env_json(session: &Session, clouds: &Clouds) -> serde_json::Value {
        let Session { endpoints, credentials, .. } = session;
        let account = clouds.aws.as_ref().map(|place| place.account.clone());
        let keys = account.as_deref().map(|account| credentials.aws_keys(account));
        let project = clouds.gcp.as_ref().map(|place| place.project.clone());
        json!({
            "aws": {
                "endpoint": endpoints.aws,
                "account": account,
                "region": clouds.aws.as_ref().map(|place| &place.region),
                "access_key_id": keys.as_ref().map(|keys| &keys.0),
                "secret_access_key": keys.as_ref().map(|keys| &keys.1),
            },
            "gcp": {
                "endpoint": endpoints.gcp,
                "project": project,
                "project_number": project.as_deref().map(sandbox::project_number),
                "token": credentials.gcp_token(),
            },
            "azure": {
                "endpoint": endpoints.azure,
                "subscription": clouds.azure.as_ref().map(|place| &place.subscription),
                "tenant": sandbox::AZURE_TENANT,
                "location": clouds.azure.as_ref().map(|place| &place.location),
                "token": credentials.azure_token(),
            },
        })
    }

    /// Lines for `eval "$(mcm sandbox env)"`.
    fn env_text(session: &Session, clouds: &Clouds) -> String {
        let Session { endpoints, credentials, .. } = session;
        let mut lines = vec![("AWS_ENDPOINT_URL", endpoints.aws.clone())];
        if let Some(place) = &clouds.aws {
            let (id, secret) = credentials.aws_keys(&place.account);
            lines.push(("AWS_ACCESS_KEY_ID", id));
            lines.push(("AWS_SECRET_ACCESS_KEY", secret));
            lines.push(("AWS_REGION", place.region.clone()));
            lines.push(("AWS_DEFAULT_REGION", place.region.clone()));
        }
        for name in [
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_SERVICEUSAGE",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_FIRESTORE",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_STS",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS",
        ] {
            lines.push((name, format!("{}/", endpoints.gcp)));
        }
        lines.push(("CLOUDSDK_AUTH_ACCESS_TOKEN", credentials.gcp_token()));
        if let Some(place) = &clouds.gcp {
            lines.push(("GOOGLE_CLOUD_PROJECT", place.project.clone()));
            lines.push(("CLOUDSDK_CORE_PROJECT", place.project.clone()));
        }
        lines.push(("ARM_ENDPOINT", endpoints.azure.clone()));
        lines.push(("ARM_ACCESS_TOKEN", credentials.azure_token()));
        lines.push(("AZURE_TENANT_ID", sandbox::AZURE_TENANT.to_owned()));
        if let Some(place) = &clouds.azure {
            lines.push(("AZURE_SUBSCRIPTION_ID", place.subscription.clone()));
        }
        let export =
            |(name, value): &(&str, String)| format!("export {name}='{}'", value.replace('\'', "'\\''"));
        lines.iter().map(export).collect::<Vec<_>>().join("\n")
    }

    /// Its server is started and ended first: that fails while someone else serves it.
    fn reset(stack: Option<&Path>, data: Option<PathBuf>) -> Ending {
        let data = match data {
            Some(data) => data,
            None => Workspace::find(stack, true)?.sandbox_folder(),
        };
        if !data.exists() {
            ui::print::result("The sandbox is empty.");
            return Ok(Exit::Done);
        }
        signals::run_readonly(async {
            let options = Options {
                data: data.clone(),
                port: None,
                latency: Duration::ZERO,
                accounts: Accounts::default(),
            };
            let session = Session::serve(options).await.map_err(|error| sandbox_failed(&error))?;
            session.close().await;
            std::fs::remove_dir_all(&data)
                .map_err(|error| Failure::io(format!("{} could not be removed", data.display()), &error))?;
            ui::print::result("The sandbox is empty.");
            Ok(Exit::Done)
        })
    }
}
