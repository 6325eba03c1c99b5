//! `mcm trust`: every trust between clouds, and the proof that it lets in whom it should, and no one else.

mod live;
mod written;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use super::failure::{Ending, Failure};
use super::options::Variables;
use super::reach::Reach;
use super::survey::survey;
use super::workspace::{Loaded, Workspace};
use super::{Context, reach, signals};
use crate::model::{Address, Inventory, Mode, Resource, Stack, Value};
use crate::ui::trust::{Edge, Written};
use crate::{store, ui};

/// List the trusts between clouds, and prove whom each lets in: with --sandbox or --live
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(super) struct Trust {
    /// The stack's folder or file [default: stack.yaml here]
    stack: Option<PathBuf>,
    /// Try each trust with real tokens, by the AWS credentials at hand
    #[arg(long)]
    live: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    variables: Variables,
}

/// What `mcm trust --help` ends with.
const HELP: &str = "\
Listed are the entries of `trust:`, and what resources say of federated identities by hand, which
is not tried. With --sandbox all is tried in a copy of the embedded clouds. With --live the clouds
themselves are asked, for what the AWS credentials at hand can try: the role is tried if they are the
role's, or may assume it; if they are not the role's, their owner is tried as well, and must be kept
out; and so must be requests that are signed for another provider, or falsely. The tokens that come
of it are dropped. Google credentials are needed that may see the service account, its policy, and
the pool.

Exit codes with --sandbox and --live, of the entries of `trust:`:
  0    each role was let in, and nobody else
  1    somebody was not treated as they should be, or a role could not be tried: a trust that is
       not deployed is not proved
  8    no or insufficient credentials";

impl Trust {
    pub(super) fn run(self, context: &Context) -> Ending {
        signals::run_readonly(async {
            let workspace = Workspace::find(self.stack.as_deref(), context.sandbox)?;
            let loaded = workspace.load(self.variables.given(), context)?;
            let known = store::load(&*loaded.place(&workspace)?.medium(), Some(&loaded.stack.name)).await?;
            let written = written::written(&loaded.stack);
            if self.live {
                // On the heap: many requests are awaited side by side.
                let (edges, caller) = Box::pin(live::prove(&workspace, loaded, &known)).await?;
                self.tell(&edges, &written, context);
                if let (false, Some(caller)) = (self.json, caller) {
                    ui::print::notice(&format!("Tried by {}.", ui::text::line(&caller)));
                }
                return Ok(self.verdict(&edges));
            }
            let reach = reach::open(&workspace, &loaded.stack).await?;
            let inventory =
                survey(&loaded, &known.state, &known.journal, Mode::RefreshOnly, &reach.router).await?;
            let edges = edges(&loaded.stack, &inventory);
            #[cfg(feature = "sandbox")]
            let edges = if context.sandbox { proof::prove(&reach, edges)? } else { edges };
            reach.close().await;
            self.tell(&edges, &written, context);
            if context.sandbox {
                return Ok(self.verdict(&edges));
            }
            if !self.json && !edges.is_empty() {
                ui::print::notice(
                    "Nothing was tried: --live tries each trust, as the credentials at hand allow.",
                );
            }
            Ok(Exit::Done)
        })
    }

    fn tell(&self, edges: &[Edge], written: &[Written], context: &Context) {
        if self.json {
            return ui::print::result(&format!("{:#}", ui::trust::to_json(edges, written)));
        }
        match (edges, written) {
            ([], []) => ui::print::notice("The stack has no trust."),
            ([], _) => ui::print::notice("The stack has no `trust:` entry."),
            _ => {}
        }
        let told = ui::trust::render(edges, context.out) + &ui::trust::render_written(written, context.out);
        if !told.is_empty() {
            ui::print::result(&told);
        }
    }

    /// A role that was not tried proves nothing, so that its trust is not passed for proved.
    fn verdict(&self, edges: &[Edge]) -> Exit {
        let unproved: Vec<&Edge> = edges.iter().filter(|edge| !edge.is_proved()).collect();
        for edge in unproved.iter().filter(|edge| !self.json && !edge.is_wrong()) {
            let name = ui::text::line(&edge.name);
            ui::print::notice(&format!("The trust {name} is not proved: its role was not tried."));
        }
        if unproved.is_empty() { Exit::Done } else { Exit::Failed }
    }
}

/// The trusts of a stack, as they are live.
fn edges(stack: &Stack, inventory: &Inventory) -> Vec<Edge> {
    let mut parts: BTreeMap<&str, BTreeMap<&str, &Resource>> = BTreeMap::new();
    for resource in &stack.resources {
        let mut words = resource.address.as_str().splitn(3, '.');
        if let (Some("trust"), Some(name), Some(part)) = (words.next(), words.next(), words.next()) {
            parts.entry(name).or_default().insert(part, resource);
        }
    }
    let live = |address: &Address, name: &str| {
        let live = inventory.at(address)?;
        let found = live.properties.get(name).or_else(|| live.attributes.get(name));
        found.and_then(Value::as_text).map(str::to_owned)
    };
    parts
        .into_iter()
        .map(|(name, parts)| {
            let binding = parts.get("binding").copied();
            let account = stack.clouds.aws.as_ref().map(|place| place.account.clone());
            let role =
                binding.and_then(|binding| role(stack, binding)).and_then(|role| text(role, "RoleName"));
            let to = binding.and_then(|binding| end(binding, "serviceAccount", "email"));
            Edge {
                name: name.to_owned(),
                from: account.zip(role),
                to: to.and_then(|to| live(to, "email")),
                through: parts.get("provider").and_then(|provider| live(&provider.address, "name")),
                granted: binding.is_some_and(|binding| inventory.at(&binding.address).is_some()),
                proofs: Vec::new(),
            }
        })
        .collect()
}

/// The role that a trust is for.
fn role<'s>(stack: &'s Stack, binding: &Resource) -> Option<&'s Resource> {
    stack.get(end(binding, "member", "RoleName")?)
}

/// Whose attribute a property refers to.
fn end<'r>(resource: &'r Resource, property: &str, attribute: &str) -> Option<&'r Address> {
    let references = resource.properties.get(property)?.references();
    references.into_iter().find(|to| to.attribute == [attribute]).map(|to| &to.address)
}

fn text(resource: &Resource, property: &str) -> Option<String> {
    resource.properties.get(property).and_then(Value::as_text).map(str::to_owned)
}

#[cfg(feature = "sandbox")]
mod proof {
    use super::super::failure::Failure;
    use super::super::reach::Reach;
    use crate::model::Diagnostic;
    use crate::sandbox::proof::{Claim, Who, prove as attempts};
    use crate::ui::trust::{Edge, Outcome, Proof};

    /// Tries everybody at each trust that is there, in a copy of the clouds.
    pub(super) fn prove(reach: &Reach, mut edges: Vec<Edge>) -> Result<Vec<Edge>, Failure> {
        let Some(world) = reach.world() else {
            let diagnostic = Diagnostic::error("another process serves the sandbox, and only it can copy it")
                .hint("stop that process, and try again");
            return Err(Failure::refused(diagnostic));
        };
        for edge in &mut edges {
            let (Some((account, role)), Some(to), Some(through)) = (&edge.from, &edge.to, &edge.through)
            else {
                continue;
            };
            let claim = Claim {
                account: account.clone(),
                role: role.clone(),
                provider: through.clone(),
                service_account: to.clone(),
            };
            let tried = attempts(&world, &claim);
            // Where the rightful one is refused, too, the same words say nothing of the others.
            let of_all =
                tried.iter().find(|tried| tried.who.may()).and_then(|tried| tried.outcome.clone().err());
            let told = tried.into_iter().map(|tried| Proof {
                who: words(tried.who),
                may: tried.who.may(),
                outcome: match tried.outcome {
                    Ok(()) => Outcome::LetIn,
                    Err(why) if !tried.who.may() && of_all.as_ref() == Some(&why) => {
                        Outcome::Untried { why: format!("refused, but as everybody is: {why}"), hint: None }
                    }
                    Err(why) => Outcome::KeptOut(why),
                },
            });
            edge.proofs = told.collect();
        }
        Ok(edges)
    }

    fn words(who: Who) -> &'static str {
        match who {
            Who::Role => "the role itself",
            Who::Neighbour => "another role of the account",
            Who::Namesake => "a role of that name in another account",
            Who::OtherAudience => "the role, signing for another provider",
            Who::Forger => "somebody without the role's key",
        }
    }
}
