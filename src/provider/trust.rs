//! Whom a trust from an AWS role to a Google service account lets in, tried with the clouds themselves.
//!
//! What can be tried depends on the credentials at hand. They may be the role's, or may assume it; if they are not the
//! role's, they are somebody else's, who must be kept out. A refusal is only believed where the same request, but for
//! the one thing that is wrong with it, is answered otherwise: else it would be no word about that thing. No token
//! outlives its attempt.

use super::aws::Caller;
use super::gcp::{Answer, Gcp, Trial};
use super::{AwsKey, Router, unroutable};
use crate::model::{CloudError, ErrorKind, ResourceType, Secret};

/// A trust, as it should be.
#[derive(Clone, Debug)]
pub struct RoleTrust {
    /// The AWS account.
    pub account: String,
    /// The role's path: `/`, or `/service/`.
    pub path: String,
    /// The role's name.
    pub role: String,
    /// `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`
    pub provider: String,
    /// Whom the role may become: its address.
    pub service_account: String,
}

/// Who tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trier {
    /// The role itself.
    Role,
    /// Another identity of its account.
    Neighbour,
    /// An identity of another account.
    Stranger,
    /// The role, or whoever stands in for it, with a request that was signed for another provider.
    OtherAudience,
    /// Somebody with the access key's id of the role, or of whoever stands in for it, and another key.
    Forger,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They became the service account.
    LetIn,
    /// They were refused, in Google's words.
    KeptOut(String),
    /// It could not be tried, or says nothing.
    Untried {
        /// Why.
        why: String,
        /// What to do about it, where that is known.
        hint: Option<String>,
    },
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Tried {
    /// By whom.
    pub who: Trier,
    /// Whether the role's key was used; otherwise that of the credentials at hand.
    pub by_role: bool,
    /// What came of it.
    pub verdict: Verdict,
}

/// All attempts at a trust.
#[derive(Clone, Debug)]
pub struct Trials {
    /// The ARN of whose credentials are at hand.
    pub caller: String,
    /// Whoever may be let in first.
    pub tried: Vec<Tried>,
}

/// What one key comes to: as it should be used, signing for another provider, and with a false signature.
struct Answers {
    plain: Answer,
    elsewhere: Answer,
    forged: Answer,
}

impl Router {
    /// Tries everybody at a trust who can be tried. Fails only where nobody can: no credentials are at hand.
    pub async fn try_trust(&self, trust: &RoleTrust) -> Result<Trials, CloudError> {
        let (Some(aws), Some(gcp)) = (&self.aws, &self.gcp) else {
            return Err(unroutable(&ResourceType::new("AWS::IAM::Role")));
        };
        let caller = aws.caller().await?;
        let region = &aws.place().region;
        if caller.is_role(&trust.account, &trust.role) {
            let role = answers(gcp, region, trust, &caller.key).await;
            return Ok(told(trust, &caller, Ok(role), None));
        }
        let as_caller = answers(gcp, region, trust, &caller.key);
        let as_role = async {
            match aws.assume(&trust.arn()).await {
                Ok(key) => Ok(answers(gcp, region, trust, &key).await),
                Err(error) => Err(not_assumed(&caller, &error)),
            }
        };
        let (as_caller, as_role) = futures::join!(as_caller, as_role);
        Ok(told(trust, &caller, as_role, Some(as_caller)))
    }
}

impl Verdict {
    fn untried(why: String, hint: Option<String>) -> Self {
        Self::Untried { why, hint }
    }
}

impl RoleTrust {
    fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role{}{}", self.account, self.path, self.role)
    }
}

async fn answers(gcp: &Gcp, region: &str, trust: &RoleTrust, key: &AwsKey) -> Answers {
    let RoleTrust { provider, service_account, .. } = trust;
    let other = format!("{provider}-other");
    let false_key = (key.0.clone(), Secret::new("a-key-that-nobody-has-given-to-anyone"), key.2.clone());
    let plain = Trial { key, region, provider, signed_for: provider, service_account };
    let (plain, elsewhere, forged) = futures::join!(
        gcp.attempt(plain),
        gcp.attempt(Trial { signed_for: &other, ..plain }),
        gcp.attempt(Trial { key: &false_key, ..plain }),
    );
    Answers { plain, elsewhere, forged }
}

/// What is known of everybody. `caller` is `None` where the credentials at hand are the role's.
fn told(trust: &RoleTrust, who: &Caller, role: Result<Answers, Verdict>, caller: Option<Answers>) -> Trials {
    let at_home = who.account == trust.account;
    let mine = caller.as_ref().map(|mine| kept_out(&mine.plain, &mine.forged));
    let absent =
        |why: String, of: &str| Verdict::untried(why, Some(format!("run it again with credentials of {of}")));
    let whose = match caller {
        None => "the credentials at hand are the role's own".to_owned(),
        Some(_) => format!("the credentials at hand are of the account {}", who.account),
    };
    let (home, away) = (format!("another identity of the account {}", trust.account), "another account");
    let (neighbour, stranger) = match mine {
        Some(mine) if at_home => (mine, absent(whose, away)),
        Some(mine) => (absent(whose, &home), mine),
        None => (absent(whose.clone(), &home), absent(whose, away)),
    };
    let by_role = role.is_ok();
    let first = match &role {
        Ok(answers) => let_in(&answers.plain),
        Err(verdict) => verdict.clone(),
    };
    let signed = role.ok().or(caller);
    let altered = |altered: fn(&Answers) -> &Answer| match &signed {
        Some(answers) => kept_out(altered(answers), &answers.plain),
        None => Verdict::untried("nobody could sign a request".to_owned(), None),
    };
    let tried = [
        (Trier::Role, true, first),
        (Trier::Neighbour, false, neighbour),
        (Trier::Stranger, false, stranger),
        (Trier::OtherAudience, by_role, altered(|answers| &answers.elsewhere)),
        (Trier::Forger, by_role, altered(|answers| &answers.forged)),
    ];
    let tried = tried.map(|(who, by_role, verdict)| Tried { who, by_role, verdict });
    Trials { caller: who.arn.clone(), tried: tried.into() }
}

/// The verdict on somebody who should be let in: any refusal is one.
fn let_in(answer: &Answer) -> Verdict {
    match answer {
        Answer::LetIn => Verdict::LetIn,
        Answer::Refused(refusal) => Verdict::KeptOut(refusal.to_string()),
        Answer::Unclear(error) => Verdict::untried(error.to_string(), error.hint.clone()),
    }
}

/// The verdict on somebody who should be kept out, for what sets the request apart from another one.
fn kept_out(answer: &Answer, other: &Answer) -> Verdict {
    match (answer, other) {
        (Answer::LetIn, _) => Verdict::LetIn,
        (Answer::Unclear(error), _) => Verdict::untried(error.to_string(), error.hint.clone()),
        (Answer::Refused(refusal), _) if refusal.is_for_all() => {
            Verdict::untried(format!("refused, but as everybody is: {refusal}"), None)
        }
        (Answer::Refused(refusal), Answer::Refused(other)) if refusal.is_like(other) => {
            Verdict::untried(format!("refused, but not for that: {refusal}"), None)
        }
        (Answer::Refused(refusal), Answer::Unclear(error)) => {
            let why = format!("refused ({refusal}), but what it is to be compared with was not: {error}");
            Verdict::untried(why, error.hint.clone())
        }
        (Answer::Refused(refusal), Answer::LetIn | Answer::Refused(_)) => {
            Verdict::KeptOut(refusal.to_string())
        }
    }
}

/// Why there is no session of the role, and what to do.
fn not_assumed(caller: &Caller, error: &CloudError) -> Verdict {
    let hint = match error.kind {
        ErrorKind::Denied => Some(format!(
            "run it with the role's own credentials, as its function has them; or have the role's trust policy, and the \
             caller's own policies, allow {} to assume it",
            caller.arn
        )),
        _ => error.hint.clone(),
    };
    Verdict::untried(error.to_string(), hint)
}

#[cfg(test)]
mod tests {
    use super::super::gcp::Refusal;
    use super::*;
    use crate::model::Cloud;

    fn refused(code: &str, message: &str) -> Answer {
        let (code, message) = (code.to_owned(), message.to_owned());
        Answer::Refused(Refusal { call: "sts.token", status: 400, code, reason: String::new(), message })
    }

    fn unclear() -> Answer {
        Answer::Unclear(CloudError {
            cloud: Cloud::Gcp,
            call: "sts.token".to_owned(),
            kind: ErrorKind::Unreachable,
            code: String::new(),
            message: "nobody is there".to_owned(),
            request_id: None,
            hint: Some("look at the cable".to_owned()),
        })
    }

    #[test]
    fn a_refusal_counts_only_for_what_is_wrong() {
        let condition = || refused("unauthorized_client", "rejected by the attribute condition");
        let signature = || refused("invalid_grant", "SignatureDoesNotMatch at 12:00:01");
        let later = || refused("invalid_grant", "SignatureDoesNotMatch at 12:00:02");
        let nowhere = || refused("invalid_target", "there is no such provider");
        for (answer, other, expected) in [
            (condition(), signature(), Some(true)),
            (signature(), condition(), Some(true)),
            (signature(), Answer::LetIn, Some(true)),
            (Answer::LetIn, signature(), Some(false)),
            (Answer::LetIn, unclear(), Some(false)),
            (signature(), later(), None),
            (nowhere(), signature(), None),
            (unclear(), signature(), None),
            (condition(), unclear(), None),
        ] {
            let verdict = kept_out(&answer, &other);
            let holds = match verdict {
                Verdict::KeptOut(_) => Some(true),
                Verdict::LetIn => Some(false),
                Verdict::Untried { .. } => None,
            };
            assert_eq!(holds, expected, "{verdict:?}");
        }
        assert_eq!(
            let_in(&nowhere()),
            Verdict::KeptOut("400 invalid_target: there is no such provider".into())
        );
        let Verdict::Untried { why, hint } = let_in(&unclear()) else { panic!("a network is no verdict") };
        assert_eq!(
            (why.as_str(), hint.as_deref()),
            ("GCP sts.token: nobody is there", Some("look at the cable"))
        );
    }

    fn trials(account: &str, role: Result<Answers, Verdict>, caller: Option<Answers>) -> Vec<Option<bool>> {
        let trust = RoleTrust {
            account: "123456789012".to_owned(),
            path: "/teams/".to_owned(),
            role: "worker".to_owned(),
            provider: "projects/1/locations/global/workloadIdentityPools/p/providers/q".to_owned(),
            service_account: "writer@project.iam.gserviceaccount.com".to_owned(),
        };
        assert_eq!(trust.arn(), "arn:aws:iam::123456789012:role/teams/worker");
        let key = (String::new(), Secret::new(""), None);
        let who = Caller { arn: format!("arn:aws:iam::{account}:user/me"), account: account.to_owned(), key };
        let told = told(&trust, &who, role, caller);
        let tried = told.tried.iter().map(|tried| match tried.verdict {
            Verdict::LetIn => Some(true),
            Verdict::KeptOut(_) => Some(false),
            Verdict::Untried { .. } => None,
        });
        tried.collect()
    }

    #[test]
    fn whoever_is_at_hand_stands_in_for_whom_they_can() {
        let mine = || {
            Some(Answers {
                plain: refused("unauthorized_client", "no"),
                elsewhere: refused("invalid_request", "no"),
                forged: refused("invalid_grant", "no"),
            })
        };
        let role = || Ok(Answers { plain: Answer::LetIn, ..mine().unwrap() });
        let none = || Err(Verdict::untried("denied".to_owned(), None));
        let (home, away) = ("123456789012", "210987654321");
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(trials(home, role(), mine()), [yes, no, None, no, no]);
        assert_eq!(trials(home, none(), mine()), [None, no, None, no, no]);
        assert_eq!(trials(away, none(), mine()), [None, None, no, no, no]);
        assert_eq!(trials(home, role(), None), [yes, None, None, no, no]);
    }
}
