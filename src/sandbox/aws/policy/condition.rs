//! The conditions of statements, as AWS judges them.
//!
//! Facts: IAM's "JSON policy elements: condition operators", "global condition context keys" and "policy variables". A key
//! that a request does not have makes a test fail, a negated one hold. A key that the sandbox does not play is another
//! matter: whether it would be there nobody knows, so nothing is allowed by it, and what is denied stays denied.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::ask::{Ask, Asker};
use super::each;
use super::evaluate::is_like;

/// What a request has under a key.
enum Actual {
    Said(String),
    /// AWS would have nothing either.
    Absent,
    /// AWS might have something.
    Unplayed,
}

/// A judge of one document: its version says whether `${…}` is a variable.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) ask: Ask<'a>,
    pub(super) variables: bool,
}

/// How the values that a request has under a key are put together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    One,
    All,
    Any,
}

/// Stand for `*` and `?` that are no wildcards.
const STAR: char = '\u{1}';
const MARK: char = '\u{2}';

impl Judge<'_> {
    /// Whether all tests of a condition hold; `None` where that hangs on what the sandbox does not play.
    pub(super) fn holds(self, condition: &Json) -> Option<bool> {
        let operators = condition.as_object().into_iter().flatten();
        let tests = operators.flat_map(|(operator, tests)| {
            tests.as_object().into_iter().flatten().map(move |(key, values)| (operator, key, values))
        });
        let mut whole = Some(true);
        for (operator, key, values) in tests {
            match self.test(operator, key, values) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => whole = None,
            }
        }
        whole
    }

    fn test(self, operator: &str, key: &str, values: &Json) -> Option<bool> {
        let operator = operator.to_ascii_lowercase();
        let (set, plain) = match operator.split_once(':') {
            Some(("forallvalues", plain)) => (Set::All, plain),
            Some(("foranyvalue", plain)) => (Set::Any, plain),
            Some(_) => return None,
            None => (Set::One, operator.as_str()),
        };
        let (plain, optional) = match plain.strip_suffix("ifexists") {
            Some(plain) => (plain, true),
            None => (plain, false),
        };
        let negated = plain.contains("not");
        let plain = plain.replacen("not", "", 1);
        let wanted = || each(values).filter_map(|value| self.resolved(&text(value)));
        match self.known(key) {
            Actual::Unplayed => None,
            Actual::Absent if plain == "null" => Some(wanted().any(|value| value == "true")),
            Actual::Said(_) if plain == "null" => Some(wanted().any(|value| value == "false")),
            Actual::Absent => Some(optional || set == Set::All || (negated && set == Set::One)),
            Actual::Said(actual) => {
                let mut any = false;
                for value in wanted() {
                    any = any || compare(&plain, &value, &actual)?;
                }
                Some(any != negated)
            }
        }
    }

    /// A text with the variables filled in; `None` where one of them has no value: such a text fits nothing.
    pub(super) fn resolved(self, text: &str) -> Option<String> {
        if !self.variables || !text.contains("${") {
            return Some(text.to_owned());
        }
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}')?;
            filled.push_str(before);
            let (name, default) = match name.split_once(',') {
                Some((name, default)) => (name.trim(), Some(default.trim().trim_matches('\''))),
                None => (name, None),
            };
            match name {
                "*" => filled.push(STAR),
                "?" => filled.push(MARK),
                "$" => filled.push('$'),
                name => {
                    let value = match (self.known(name), default) {
                        (Actual::Said(value), _) => value,
                        (Actual::Absent, Some(default)) => default.to_owned(),
                        (Actual::Absent | Actual::Unplayed, _) => return None,
                    };
                    filled.extend(value.chars().map(|letter| match letter {
                        '*' => STAR,
                        '?' => MARK,
                        letter => letter,
                    }));
                }
            }
            rest = after;
        }
        filled.push_str(rest);
        Some(filled)
    }

    fn known(self, key: &str) -> Actual {
        let Ask { caller, service, facts, .. } = self.ask;
        let key = key.to_ascii_lowercase();
        let said = |value: Option<String>| value.map_or(Actual::Absent, Actual::Said);
        if let Some(value) = facts.get(&key) {
            return Actual::Said(value.to_owned());
        }
        match key.as_str() {
            "aws:securetransport" => Actual::Said(facts.secure.to_string()),
            "aws:sourceip" => said(service.is_none().then(|| "127.0.0.1".to_owned())),
            "aws:currenttime" => Actual::Said(facts.now.to_string()),
            "aws:epochtime" => Actual::Said(facts.now.as_second().to_string()),
            // The role's ARN, not its session's.
            "aws:principalarn" => {
                said(caller.map(|caller| caller.role.clone().unwrap_or_else(|| caller.arn.clone())))
            }
            "aws:principalaccount" => said(caller.map(|caller| caller.account.clone())),
            "aws:userid" => said(caller.map(|caller| caller.id.clone())),
            "aws:username" => said(
                caller
                    .filter(|caller| caller.role.is_none())
                    .and_then(|caller| caller.arn.rsplit_once('/').map(|(_, name)| name.to_owned())),
            ),
            "aws:principaltype" => Actual::Said(
                match caller {
                    Some(caller) if caller.role.is_some() => "AssumedRole",
                    Some(_) => "User",
                    None => "Anonymous",
                }
                .to_owned(),
            ),
            "aws:sourcearn" => said(service.map(|service| service.source_arn.to_owned())),
            "aws:sourceaccount" => said(service.map(|service| service.source_account.to_owned())),
            "aws:principalservicename" => said(service.map(|service| service.principal.to_owned())),
            "aws:principalisawsservice" => Actual::Said(service.is_some().to_string()),
            // A session is opened by nobody's second factor; who has lasting keys has none to tell of.
            "aws:multifactorauthpresent" => {
                said(caller.and_then(|caller| caller.role.as_ref()).map(|_| "false".to_owned()))
            }
            "aws:tokenissuetime" => match caller {
                Some(Asker { role: Some(_), issued: None, .. }) => Actual::Unplayed,
                caller => said(caller.and_then(|caller| caller.issued).map(|issued| issued.to_string())),
            },
            "aws:viaawsservice" => Actual::Said("false".to_owned()),
            name => match name.strip_prefix("aws:principaltag/") {
                Some(tag) => said(caller.and_then(|caller| {
                    let found = caller.tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(tag));
                    found.map(|(_, value)| value.clone())
                })),
                None if is_absent(name) => Actual::Absent,
                None => Actual::Unplayed,
            },
        }
    }
}

/// Whether AWS too would have nothing under a key, of such requests as the sandbox is sent: nobody's network is a VPC,
/// nobody has a second factor, no account is of an organisation; and what S3 is told with each request is known.
fn is_absent(key: &str) -> bool {
    const KEYS: [&str; 28] = [
        "aws:sourcevpc",
        "aws:sourcevpcarn",
        "aws:sourcevpce",
        "aws:vpcsourceip",
        "aws:ec2instancesourcevpc",
        "aws:ec2instancesourceprivateipv4",
        "aws:multifactorauthage",
        "aws:federatedprovider",
        "aws:sourceidentity",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:sourceorgid",
        "aws:sourceorgpaths",
        "aws:resourceorgid",
        "aws:resourceorgpaths",
        "aws:calledvia",
        "aws:calledviafirst",
        "aws:calledvialast",
        "aws:principalservicenameslist",
        "aws:sourceowner",
        "lambda:functionurlauthtype",
        "iam:passedtoservice",
        "iam:permissionsboundary",
        "iam:policyarn",
        "sts:externalid",
        "s3:dataaccesspointarn",
        "s3:dataaccesspointaccount",
        "s3:locationconstraint",
    ];
    KEYS.contains(&key)
        || matches!(key, "s3:prefix" | "s3:delimiter" | "s3:max-keys" | "s3:versionid" | "aws:referer")
        || key.starts_with("s3:x-amz-")
}

/// Whether a value of a policy fits the request's; `None` for an operator that is none.
fn compare(operator: &str, wanted: &str, actual: &str) -> Option<bool> {
    let literal = || wanted.replace(STAR, "*").replace(MARK, "?");
    Some(match operator {
        "stringequals" | "binaryequals" => literal() == actual,
        "stringequalsignorecase" | "bool" => literal().eq_ignore_ascii_case(actual),
        "stringlike" => is_like(wanted, actual),
        "arnequals" | "arnlike" => is_arn_like(wanted, actual),
        "ipaddress" => is_within(wanted, actual).unwrap_or(false),
        _ => {
            let (kind, relation) =
                operator.split_at_checked(if operator.starts_with("date") { 4 } else { 7 })?;
            let order = match kind {
                "date" => instant(actual)?.partial_cmp(&instant(wanted)?),
                "numeric" => actual.parse::<f64>().ok()?.partial_cmp(&wanted.parse::<f64>().ok()?),
                _ => return None,
            }?;
            match relation {
                "equals" => order.is_eq(),
                "lessthan" => order.is_lt(),
                "lessthanequals" => order.is_le(),
                "greaterthan" => order.is_gt(),
                "greaterthanequals" => order.is_ge(),
                _ => return None,
            }
        }
    })
}

/// Each of the six parts for itself.
fn is_arn_like(pattern: &str, arn: &str) -> bool {
    let (pattern, arn) = (pattern.splitn(6, ':').collect::<Vec<_>>(), arn.splitn(6, ':').collect::<Vec<_>>());
    pattern == ["*"]
        || pattern.len() == arn.len()
            && pattern.iter().zip(&arn).all(|(pattern, part)| is_like(pattern, part))
}

/// Whether an address is within `203.0.113.0/24`, or is the one named.
fn is_within(range: &str, address: &str) -> Option<bool> {
    let (network, length) = match range.split_once('/') {
        Some((network, length)) => (network, Some(length.parse::<u32>().ok()?)),
        None => (range, None),
    };
    let same = |bits: u32, network: u128, address: u128| {
        let length = length.unwrap_or(bits);
        let beyond = bits.checked_sub(length)?;
        Some(network.checked_shr(beyond).unwrap_or(0) == address.checked_shr(beyond).unwrap_or(0))
    };
    match (network.parse::<IpAddr>().ok()?, address.parse::<IpAddr>().ok()?) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            same(32, u32::from(network).into(), u32::from(address).into())
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => same(128, network.into(), address.into()),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Some(false),
    }
}

/// A time of ISO 8601, a day, or seconds since 1970.
fn instant(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Timestamp::from_second(seconds).ok();
    }
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    text.parse().ok().or_else(|| day().map(|day| day.timestamp()))
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
