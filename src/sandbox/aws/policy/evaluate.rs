//! Whom a bucket's policy lets in or keeps out, whom a role's trust policy, and what a role's own policies let it do.

use serde_json::{Map, Value as Json};

use super::ask::Ask;
use super::condition::Judge;
use super::{each, statements};

/// What the policy says to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox::aws) enum Verdict {
    /// A statement forbids it; nothing can allow it then.
    Denied,
    /// A statement allows it.
    Allowed(Reach),
    /// It says nothing.
    Silent,
}

/// As whom a policy knows the caller that it allows something, the broadest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sandbox::aws) enum Reach {
    /// As one of its account, which says itself to whom of its own this goes.
    Account,
    /// As a role, whose boundary and session may hold it back.
    Role,
    /// As itself, or as anybody.
    Itself,
}

impl Verdict {
    /// Whether it is allowed.
    pub(in crate::sandbox::aws) fn allows(self) -> bool {
        matches!(self, Self::Allowed(_))
    }
}

/// Judges by a document as it is kept, which says whom it is about: a bucket's, a function's, a role's trust.
pub(in crate::sandbox::aws) fn evaluate(document: &Json, ask: Ask<'_>) -> Verdict {
    judge(document, ask, |statement| match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(principal), _) => meant(principal, ask),
        (None, Some(principal)) if denies(statement) => (!spares(principal, ask)).then_some(Reach::Itself),
        (None, Some(principal)) => meant(principal, ask).is_none().then_some(Reach::Itself),
        (None, None) => None,
    })
}

/// Judges by a document of the caller's own.
pub(in crate::sandbox::aws) fn evaluate_own(document: &Json, ask: Ask<'_>) -> Verdict {
    judge(document, ask, |_| Some(Reach::Itself))
}

fn judge(document: &Json, ask: Ask<'_>, whom: impl Fn(&Map<String, Json>) -> Option<Reach>) -> Verdict {
    // In the older version `${…}` is text like any other.
    let variables = document.get("Version").and_then(Json::as_str) == Some("2012-10-17");
    let judge = Judge { ask, variables };
    let mut verdict = Verdict::Silent;
    for statement in statements(document).filter_map(Json::as_object) {
        let Some(reach) = whom(statement).filter(|_| applies(statement, judge)) else { continue };
        let denies = denies(statement);
        // What cannot be judged is not allowed.
        let holds = statement.get("Condition").map_or(Some(true), |condition| judge.holds(condition));
        match (holds.unwrap_or(denies), denies, verdict) {
            (false, _, _) => {}
            (true, true, _) => return Verdict::Denied,
            (true, false, Verdict::Allowed(before)) => verdict = Verdict::Allowed(before.max(reach)),
            (true, false, Verdict::Silent | Verdict::Denied) => verdict = Verdict::Allowed(reach),
        }
    }
    verdict
}

fn denies(statement: &Map<String, Json>) -> bool {
    statement.get("Effect").and_then(Json::as_str) == Some("Deny")
}

/// Whether a `Deny` for all but some leaves the caller alone. IAM's "NotPrincipal": account, role and session are looked
/// at one after the other, so that whoever is meant must be named together with its account; and whoever has a boundary is
/// denied whatever is named.
fn spares(principal: &Json, ask: Ask<'_>) -> bool {
    let Some(caller) = ask.caller.filter(|_| !is_everybody(principal) && ask.service.is_none()) else {
        return meant(principal, ask).is_some();
    };
    let root = format!("arn:aws:iam::{}:root", caller.account);
    let texts = principal.get("AWS").into_iter().flat_map(each).filter_map(Json::as_str).collect::<Vec<_>>();
    let bearer = caller.role.as_ref().unwrap_or(&caller.arn);
    let id = caller.id.split(':').next().unwrap_or_default();
    let named = texts.iter().any(|text| text == bearer || *text == id);
    let account = texts.iter().any(|text| *text == root || *text == caller.account);
    named && account && !caller.bounded
}

/// Whether a document lets everybody in: an `Allow` for all principals without a condition that binds it to some.
pub(in crate::sandbox::aws) fn is_public(document: &Json) -> bool {
    statements(document).filter_map(Json::as_object).any(|statement| {
        let allows = statement.get("Effect").and_then(Json::as_str) == Some("Allow");
        let everybody =
            statement.contains_key("NotPrincipal") || statement.get("Principal").is_some_and(is_everybody);
        allows && everybody && !binds(statement)
    })
}

fn is_everybody(principal: &Json) -> bool {
    let all = |json: &Json| each(json).any(|value| value.as_str() == Some("*"));
    principal.as_str() == Some("*") || principal.get("AWS").is_some_and(all)
}

/// Whether a condition ties the statement to fixed callers: S3's "The meaning of public".
fn binds(statement: &Map<String, Json>) -> bool {
    const BINDING: [&str; 13] = [
        "aws:sourceip",
        "aws:sourcearn",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:sourceowner",
        "aws:sourceaccount",
        "aws:userid",
        "aws:principalarn",
        "aws:principalaccount",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "s3:dataaccesspointarn",
        "s3:dataaccesspointaccount",
    ];
    let tests = statement.get("Condition").and_then(Json::as_object).into_iter().flatten();
    tests
        .filter(|(operator, _)| {
            let operator = operator.to_ascii_lowercase();
            !["not", "ifexists", "null", "forallvalues"].iter().any(|word| operator.contains(word))
        })
        .flat_map(|(_, tests)| tests.as_object().into_iter().flatten())
        .any(|(key, values)| {
            let wild =
                |value: &Json| value.as_str().is_none_or(|text| text.contains('*') || text == "0.0.0.0/0");
            BINDING.contains(&key.to_ascii_lowercase().as_str()) && !each(values).any(wild)
        })
}

fn applies(statement: &Map<String, Json>, judge: Judge<'_>) -> bool {
    let ask = judge.ask;
    let acts = |json: &Json| {
        let action = ask.action.to_ascii_lowercase();
        each(json).filter_map(Json::as_str).any(|pattern| is_like(&pattern.to_ascii_lowercase(), &action))
    };
    let on = |json: &Json| {
        let patterns = each(json).filter_map(Json::as_str).filter_map(|text| judge.resolved(text));
        patterns.into_iter().any(|pattern| is_like(&pattern, ask.resource))
    };
    let what = match (statement.get("Action"), statement.get("NotAction")) {
        (Some(actions), _) => acts(actions),
        (None, Some(actions)) => !acts(actions),
        (None, None) => false,
    };
    let on = match (statement.get("Resource"), statement.get("NotResource")) {
        (Some(resources), _) => on(resources),
        (None, Some(resources)) => !on(resources),
        // A trust policy names no resource: it is that of the role it belongs to.
        (None, None) => true,
    };
    what && on
}

/// As whom a principal means the caller, if at all.
fn meant(principal: &Json, ask: Ask<'_>) -> Option<Reach> {
    if is_everybody(principal) {
        return Some(Reach::Itself);
    }
    if let Some(service) = ask.service {
        let mut named = principal.get("Service").into_iter().flat_map(each).filter_map(Json::as_str);
        return named.any(|name| name == service.principal).then_some(Reach::Itself);
    }
    let caller = ask.caller?;
    let root = format!("arn:aws:iam::{}:root", caller.account);
    let texts = principal.get("AWS").into_iter().flat_map(each).filter_map(Json::as_str);
    let as_whom = texts.filter_map(|text| {
        if text == caller.arn || text == caller.id {
            return Some(Reach::Itself);
        }
        if let Some(role) = &caller.role
            && (text == role || caller.id.split(':').next() == Some(text))
        {
            return Some(Reach::Role);
        }
        (text == root || text == caller.account).then_some(Reach::Account)
    });
    as_whom.max()
}

/// Matches `*` and `?`, in time linear in the product of the lengths.
pub(in crate::sandbox::aws) fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut from) = (0, 0);
    let mut star = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(byte) if *byte == b'?' || stands_for(*byte) == text[from] => {
                at += 1;
                from += 1;
            }
            Some(_) | None => {
                let Some((star_at, star_from)) = star else { return false };
                at = star_at + 1;
                from = star_from + 1;
                star = Some((star_at, from));
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// The letter that a byte of a pattern means: two are kept for `*` and `?` out of variables (see `condition`).
fn stands_for(byte: u8) -> u8 {
    match byte {
        1 => b'*',
        2 => b'?',
        byte => byte,
    }
}
