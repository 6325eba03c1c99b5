//! Whose credentials are at hand, and sessions of the roles that they may assume.

use aws_sdk_sts::types::Credentials;

use super::super::AwsKey;
use super::Aws;
use super::error::refusal;
use crate::model::{CloudError, ErrorKind, Secret};

/// Whose credentials are at hand, by AWS's own word.
pub(crate) struct Caller {
    /// Its ARN; a role's session has its own.
    pub(crate) arn: String,
    /// Its account.
    pub(crate) account: String,
    /// What it signs with.
    pub(crate) key: AwsKey,
}

/// The shortest session that AWS gives, in seconds.
const SHORTEST: i32 = 900;
/// What such a session may do in AWS: nothing. To say who it is takes no permission.
const NOTHING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;

impl Caller {
    /// Whether it is a session of this role of the account.
    pub(crate) fn is_role(&self, account: &str, role: &str) -> bool {
        let session = self.arn.split_once(":assumed-role/").and_then(|(_, rest)| rest.split_once('/'));
        self.account == account && session.is_some_and(|(name, _)| name == role)
    }
}

impl Aws {
    /// Asks AWS whose the credentials are.
    pub(crate) async fn caller(&self) -> Result<Caller, CloudError> {
        let clients = self.clients().await?;
        let call = "sts:GetCallerIdentity";
        let me = self.read(call, || clients.sts.get_caller_identity().send()).await?;
        let (Some(arn), Some(account)) = (me.arn, me.account) else { return Err(incomplete(call)) };
        Ok(Caller { arn, account, key: clients.key().await? })
    }

    /// The key of a short session of a role, which can say who it is and do nothing else.
    pub(crate) async fn assume(&self, role: &str) -> Result<AwsKey, CloudError> {
        let sts = &self.clients().await?.sts;
        let call = "sts:AssumeRole";
        // A session more or less changes nothing, so it is asked for as things are read.
        let session = self.read(call, || {
            let request = sts.assume_role().role_arn(role).role_session_name("mcm-trust");
            request.duration_seconds(SHORTEST).policy(NOTHING).send()
        });
        let Some(Credentials { access_key_id, secret_access_key, session_token, .. }) =
            session.await?.credentials
        else {
            return Err(incomplete(call));
        };
        Ok((access_key_id, Secret::new(secret_access_key), Some(Secret::new(session_token))))
    }
}

fn incomplete(call: &str) -> CloudError {
    refusal(call, ErrorKind::Unknown, "the answer is not complete")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_known_by_its_sessions() {
        for (arn, is) in [
            ("arn:aws:sts::123456789012:assumed-role/worker/session", true),
            ("arn:aws:sts::123456789012:assumed-role/worker2/session", false),
            ("arn:aws:sts::123456789012:assumed-role/other/worker", false),
            ("arn:aws:iam::123456789012:role/worker", false),
            ("arn:aws:iam::123456789012:user/worker", false),
        ] {
            let key = (String::new(), Secret::new(""), None);
            let caller = Caller { arn: arn.to_owned(), account: "123456789012".to_owned(), key };
            assert_eq!(caller.is_role("123456789012", "worker"), is, "{arn}");
            assert!(!caller.is_role("210987654321", "worker"), "{arn}");
        }
    }
}
