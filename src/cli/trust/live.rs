//! Trusts, tried with the clouds themselves.
//!
//! Only Google's side is read: the pool, its provider, the service account and its policy. So whoever tries needs no
//! right in AWS but to say who they are, and may be of another account, as nobody could be who changes something: that
//! such a one is kept out is part of the proof.

use std::collections::BTreeSet;

use super::super::survey::refused;
use super::{Edge, Failure, Loaded, Reach, Workspace, edges, reach, role, text};
use crate::engine;
use crate::model::{Address, Cloud, Clouds, ErrorKind, Mode, Reference, Resource, Stack, Value};
use crate::provider::{RoleTrust, Tried, Trier, Verdict};
use crate::store;
use crate::ui::trust::{Outcome, Proof};

/// Tries everybody at each trust, as far as the credentials at hand go; and whose they are.
pub(super) async fn prove(
    workspace: &Workspace,
    loaded: Loaded,
    known: &store::Loaded,
) -> Result<(Vec<Edge>, Option<String>), Failure> {
    let whole = &loaded.stack;
    let google = Loaded { stack: googles_side(whole), catalogue: loaded.catalogue };
    let reach = reach::open(workspace, &google.stack).await?;
    let mut edges = observe(&google, whole, known, &reach).await?;
    let mut caller = None;
    for edge in &mut edges {
        if let Some(trust) = trust_of(whole, edge) {
            let trials = reach.router.try_trust(&trust).await;
            let what = || format!("the trust {} could not be tried", edge.name);
            let trials = trials.map_err(|error| Failure::clouds([(what(), &error)]))?;
            caller = Some(trials.caller);
            edge.proofs = trials.tried.into_iter().map(proof).collect();
        } else {
            let untried = Verdict::Untried {
                why: "the trust is not deployed".to_owned(),
                hint: Some("run `mcm apply`".to_owned()),
            };
            edge.proofs = vec![proof(Tried { who: Trier::Role, by_role: true, verdict: untried })];
        }
    }
    reach.close().await;
    Ok((edges, caller))
}

/// Reads Google's side.
async fn observe(
    google: &Loaded,
    whole: &Stack,
    known: &store::Loaded,
    reach: &Reach,
) -> Result<Vec<Edge>, Failure> {
    let mut state = known.state.clone();
    state.resources.retain(|address, _| google.stack.get(address).is_some());
    state.replaced.clear();
    let observing = engine::observe(
        &google.stack,
        &state,
        &known.journal,
        &google.catalogue,
        Mode::RefreshOnly,
        &reach.router,
    );
    let (mut guarded, observed) = futures::join!(reach.router.guard(), observing);
    guarded.retain(|error| (error.cloud, error.kind) != (Cloud::Aws, ErrorKind::WrongAccount));
    if guarded.is_empty() { Ok(edges(whole, &observed?)) } else { Err(refused(&guarded)) }
}

/// The parts of a stack's trusts, and what they refer to in Google's cloud. What they refer to elsewhere is put in, as
/// the stack says it.
fn googles_side(whole: &Stack) -> Stack {
    let said = |reference: &Reference| {
        let [name] = reference.attribute.as_slice() else { return None };
        let elsewhere = whole.get(&reference.address).filter(|resource| resource.ty.cloud() != Cloud::Gcp)?;
        elsewhere.properties.get(name).filter(|value| value.is_known()).cloned()
    };
    let mut kept: BTreeSet<&Address> = BTreeSet::new();
    let parts = whole.resources.iter().filter(|resource| resource.address.as_str().starts_with("trust."));
    let mut left: Vec<&Resource> = parts.collect();
    while let Some(resource) = left.pop() {
        if resource.ty.cloud() == Cloud::Gcp && kept.insert(&resource.address) {
            let references = resource.properties.values().flat_map(Value::references);
            left.extend(references.filter_map(|reference| whole.get(&reference.address)));
        }
    }
    let resources = whole.resources.iter().filter(|resource| kept.contains(&resource.address));
    let resources = resources.cloned().map(|mut resource| {
        for value in resource.properties.values_mut() {
            *value = value.resolve(&said);
        }
        resource
    });
    let clouds = Clouds { azure: None, ..whole.clouds.clone() };
    let (functions, outputs) = (Vec::new(), Vec::new());
    Stack { resources: resources.collect(), clouds, functions, outputs, ..whole.clone() }
}

/// What a trust should be, where enough of it is there to be tried. The grant need not be: then the role is kept out.
fn trust_of(whole: &Stack, edge: &Edge) -> Option<RoleTrust> {
    let (account, role_name) = edge.from.clone()?;
    let binding = whole.get(&Address::part("trust", &edge.name, "binding"))?;
    Some(RoleTrust {
        account,
        path: text(role(whole, binding)?, "Path").unwrap_or_else(|| "/".to_owned()),
        role: role_name,
        provider: edge.through.clone()?,
        service_account: edge.to.clone()?,
    })
}

fn proof(tried: Tried) -> Proof {
    let who = match (tried.who, tried.by_role) {
        (Trier::Role, _) => "the role itself",
        (Trier::Neighbour, _) => "another identity of the account",
        (Trier::Stranger, _) => "an identity of another account",
        (Trier::OtherAudience, true) => "the role, signing for another provider",
        (Trier::OtherAudience, false) => "the caller, signing for another provider",
        (Trier::Forger, true) => "somebody without the role's key",
        (Trier::Forger, false) => "somebody without the caller's key",
    };
    let outcome = match tried.verdict {
        Verdict::LetIn => Outcome::LetIn,
        Verdict::KeptOut(why) => Outcome::KeptOut(why),
        Verdict::Untried { why, hint } => Outcome::Untried { why, hint },
    };
    Proof { who, may: tried.who == Trier::Role, outcome }
}
