//! The trusts of a stack, with what proves them.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::style::Style;
use super::text;

/// One trust as it is live.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The entry's name.
    pub name: String,
    /// The AWS account and the role's name, where the grant is there.
    pub from: Option<(String, String)>,
    /// Whom the role may become, where that is known.
    pub to: Option<String>,
    /// Google's name of the provider, where it is there.
    pub through: Option<String>,
    /// What was tried.
    pub proofs: Vec<Proof>,
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Proof {
    /// By whom.
    pub who: &'static str,
    /// Whether it should succeed.
    pub may: bool,
    /// Whether it did; what the clouds said otherwise.
    pub outcome: Result<(), String>,
}

impl Proof {
    /// Whether it went as it should.
    pub fn holds(&self) -> bool {
        self.may == self.outcome.is_ok()
    }
}

/// For people.
pub fn render(edges: &[Edge], style: Style) -> String {
    let mut out = String::new();
    for edge in edges {
        let _ = writeln!(out, "{}", style.bold(&format!("trust {}", text::line(&edge.name))));
        let unknown = || "(not deployed)".to_owned();
        let from = edge.from.as_ref().map_or_else(unknown, |(account, role)| format!("{role} in {account}"));
        let _ = writeln!(out, "  from     AWS role {}", text::line(&from));
        let _ = writeln!(out, "  to       {}", text::line(&edge.to.clone().unwrap_or_else(unknown)));
        let _ = writeln!(out, "  through  {}", text::line(&edge.through.clone().unwrap_or_else(unknown)));
        let width = edge.proofs.iter().map(|proof| proof.who.chars().count()).max().unwrap_or(0);
        for proof in &edge.proofs {
            let said = match &proof.outcome {
                Ok(()) => "let in".to_owned(),
                Err(why) => format!("kept out: {}", text::line(why)),
            };
            let (sign, said) = if proof.holds() {
                (style.green("ok   "), said)
            } else {
                (style.red("WRONG"), style.red(&said))
            };
            let _ = writeln!(out, "  {sign}  {:width$}  {said}", proof.who);
        }
    }
    out
}

/// For programs.
pub fn to_json(edges: &[Edge]) -> Json {
    let edge = |edge: &Edge| {
        let proofs: Vec<Json> = edge.proofs.iter().map(proof).collect();
        let from = edge.from.as_ref().map(|(account, role)| json!({ "account": account, "role": role }));
        json!({ "name": edge.name, "from": from, "to": edge.to, "through": edge.through, "proofs": proofs })
    };
    json!({ "trust": edges.iter().map(edge).collect::<Vec<_>>() })
}

fn proof(proof: &Proof) -> Json {
    json!({
        "who": proof.who, "may": proof.may, "let_in": proof.outcome.is_ok(), "said": proof.outcome.as_ref().err(),
        "holds": proof.holds(),
    })
}
