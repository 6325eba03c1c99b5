//! `mcm trust`: every trust between clouds, and in the sandbox the proof that it lets in whom it should, and no one else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use super::failure::Ending;
use super::options::Variables;
use super::survey::survey;
use super::workspace::Workspace;
use super::{Context, reach, signals};
use crate::model::{Address, Inventory, Live, Stack, Value};
use crate::ui::trust::Edge;
use crate::{store, ui};

/// List the trusts between clouds; with --sandbox, prove whom each lets in
#[derive(Args, Debug)]
pub(super) struct Trust {
    /// The stack's folder or file [default: stack.yaml here]
    stack: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    variables: Variables,
}

impl Trust {
    pub(super) fn run(self, context: &Context) -> Ending {
        signals::run_readonly(async {
            let workspace = Workspace::find(self.stack.as_deref(), context.sandbox)?;
            let loaded = workspace.load(self.variables.given(), context)?;
            let known = store::load(&*loaded.place(&workspace)?.medium(), Some(&loaded.stack.name)).await?;
            let reach = reach::open(&workspace, &loaded.stack).await?;
            let inventory = survey(&loaded, &known.state, &known.journal, &reach.router).await?;
            let edges = edges(&loaded.stack, &inventory);
            #[cfg(feature = "sandbox")]
            let edges = if context.sandbox { proof::prove(&reach, edges)? } else { edges };
            reach.close().await;
            if self.json {
                ui::print::result(&format!("{:#}", ui::trust::to_json(&edges)));
            } else if edges.is_empty() {
                ui::print::notice("The stack has no trust.");
            } else {
                ui::print::result(&ui::trust::render(&edges, context.out));
                if !context.sandbox {
                    ui::print::notice(
                        "Nothing was tried: with --sandbox, mcm proves whom each trust lets in.",
                    );
                }
            }
            let holds = edges.iter().flat_map(|edge| &edge.proofs).all(ui::trust::Proof::holds);
            Ok(if holds { Exit::Done } else { Exit::Failed })
        })
    }
}

/// The trusts of a stack, as they are live.
fn edges(stack: &Stack, inventory: &Inventory) -> Vec<Edge> {
    let mut parts: BTreeMap<&str, BTreeMap<&str, Option<&Live>>> = BTreeMap::new();
    for resource in &stack.resources {
        let mut words = resource.address.as_str().splitn(3, '.');
        if let (Some("trust"), Some(name), Some(part)) = (words.next(), words.next(), words.next()) {
            let live = inventory.at(&Address::part("trust", name, part));
            parts.entry(name).or_default().insert(part, live);
        }
    }
    let text = |live: Option<&Live>, name: &str| {
        let live = live?;
        let found = live.properties.get(name).or_else(|| live.attributes.get(name));
        found.and_then(Value::as_text).map(str::to_owned)
    };
    parts
        .into_iter()
        .map(|(name, parts)| {
            let part = |part: &str| parts.get(part).copied().flatten();
            Edge {
                name: name.to_owned(),
                from: text(part("binding"), "member").as_deref().and_then(role_of),
                to: text(part("binding"), "serviceAccount"),
                through: text(part("provider"), "name"),
                proofs: Vec::new(),
            }
        })
        .collect()
}

/// Account and name of the role that a set of principals consists of.
fn role_of(member: &str) -> Option<(String, String)> {
    let (_, session) = member.split_once("/attribute.aws_role/arn:aws:sts::")?;
    let (account, role) = session.split_once(":assumed-role/")?;
    Some((account.to_owned(), role.to_owned()))
}

#[cfg(feature = "sandbox")]
mod proof {
    use super::super::failure::Failure;
    use super::super::reach::Reach;
    use crate::model::Diagnostic;
    use crate::sandbox::proof::{Claim, Who, prove as attempts};
    use crate::ui::trust::{Edge, Proof};

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
            let told = tried.into_iter().map(|tried| Proof {
                who: words(tried.who),
                may: tried.who.may(),
                outcome: tried.outcome,
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
