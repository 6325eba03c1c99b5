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
    /// The AWS account and the role's name.
    pub from: Option<(String, String)>,
    /// Whom the role may become, where that is there.
    pub to: Option<String>,
    /// Google's name of the provider, where it is there.
    pub through: Option<String>,
    /// Whether the service account names the role.
    pub granted: bool,
    /// What was tried.
    pub proofs: Vec<Proof>,
}

/// A trust that somebody wrote by hand, as resources: it is listed, and not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The resource that says so.
    pub address: String,
    /// Who is let in, as far as the stack says.
    pub from: String,
    /// What they become.
    pub to: String,
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Proof {
    /// By whom.
    pub who: &'static str,
    /// Whether it should succeed.
    pub may: bool,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// They were let in.
    LetIn,
    /// They were refused, and with which words.
    KeptOut(String),
    /// It could not be tried, or says nothing.
    Untried {
        /// Why.
        why: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl Proof {
    /// Whether it went as it should; `None` where it could not be tried.
    pub fn holds(&self) -> Option<bool> {
        self.let_in().map(|let_in| let_in == self.may)
    }

    fn let_in(&self) -> Option<bool> {
        match self.outcome {
            Outcome::LetIn => Some(true),
            Outcome::KeptOut(_) => Some(false),
            Outcome::Untried { .. } => None,
        }
    }
}

impl Edge {
    /// Whether something went otherwise than it should.
    pub fn is_wrong(&self) -> bool {
        self.proofs.iter().any(|proof| proof.holds() == Some(false))
    }

    /// Whether nothing did, and whoever it is for was let in.
    pub fn is_proved(&self) -> bool {
        let rightful = self.proofs.iter().any(|proof| proof.may && proof.holds() == Some(true));
        rightful && !self.is_wrong()
    }
}

/// Those that were written by hand, for people.
pub fn render_written(written: &[Written], style: Style) -> String {
    let mut out = String::new();
    for one in written {
        let _ = writeln!(out, "{}", style.bold(&format!("by hand: {}", text::line(&one.address))));
        let _ = writeln!(out, "  from     {}", text::line(&one.from));
        let _ = writeln!(out, "  to       {}", text::line(&one.to));
        let _ = writeln!(out, "  {}      not tried: only a `trust:` entry is", style.yellow("?"));
    }
    out
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
        if edge.to.is_some() && edge.through.is_some() && !edge.granted {
            let _ = writeln!(out, "  grant    {}", unknown());
        }
        let width = edge.proofs.iter().map(|proof| proof.who.chars().count()).max().unwrap_or(0);
        for proof in &edge.proofs {
            let said = match &proof.outcome {
                Outcome::LetIn => "let in".to_owned(),
                Outcome::KeptOut(why) => format!("kept out: {}", text::line(why)),
                Outcome::Untried { why, .. } => format!("not tried: {}", text::line(why)),
            };
            let (sign, said) = match proof.holds() {
                Some(true) => (style.green("ok   "), said),
                Some(false) => (style.red("WRONG"), style.red(&said)),
                None => (style.yellow("?    "), said),
            };
            let _ = writeln!(out, "  {sign}  {:width$}  {said}", proof.who);
            if let Outcome::Untried { hint: Some(hint), .. } = &proof.outcome {
                let _ = writeln!(out, "         {:width$}  {}", "", style.dim(&text::line(hint)));
            }
        }
    }
    out
}

/// For programs.
pub fn to_json(edges: &[Edge], written: &[Written]) -> Json {
    let edge = |edge: &Edge| {
        let proofs: Vec<Json> = edge.proofs.iter().map(proof).collect();
        let from = edge.from.as_ref().map(|(account, role)| json!({ "account": account, "role": role }));
        json!({
            "name": edge.name, "from": from, "to": edge.to, "through": edge.through, "granted": edge.granted,
            "proofs": proofs,
        })
    };
    let by_hand = |one: &Written| json!({ "resource": one.address, "from": one.from, "to": one.to });
    json!({
        "trust": edges.iter().map(edge).collect::<Vec<_>>(),
        "by_hand": written.iter().map(by_hand).collect::<Vec<_>>(),
    })
}

/// What could not be tried has `null` for what came of it.
fn proof(proof: &Proof) -> Json {
    let (said, hint) = match &proof.outcome {
        Outcome::LetIn => (None, None),
        Outcome::KeptOut(why) => (Some(why), None),
        Outcome::Untried { why, hint } => (Some(why), hint.as_ref()),
    };
    json!({
        "who": proof.who, "may": proof.may, "tried": proof.holds().is_some(), "let_in": proof.let_in(),
        "said": said, "hint": hint, "holds": proof.holds(),
    })
}
