//! STS: who am I.

use super::error::Error;
use super::query::{Call, Service, parameters};
use super::xml::Element;
use crate::sandbox::Request;

/// The service. Every region has it.
pub(super) const SERVICE: Service = Service {
    name: "sts",
    version: "2011-06-15",
    region: None,
    empty_results: &[],
    namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
    run,
};

/// Whether an unsigned request is for this service.
pub(super) fn knows(request: &Request) -> bool {
    parameters(request).iter().any(|(name, value)| name == "Version" && value == SERVICE.version)
}

fn run(action: &str, call: &mut Call<'_>) -> Option<Result<Vec<Element>, Error>> {
    match action {
        "GetCallerIdentity" => Some(get_caller_identity(call)),
        _ => None,
    }
}

/// Needs no permission, and cannot be denied.
fn get_caller_identity(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    call.form.finish()?;
    Ok(vec![
        Element::leaf("Arn", call.caller.arn()),
        Element::leaf("UserId", call.caller.user_id()),
        Element::leaf("Account", &call.caller.account),
    ])
}
