//! The clouds: one file per resource type, one table per cloud, and the router over the three.

mod access;
mod ambient;
mod aws;
mod azure;
mod dial;
mod gcp;
mod kind;
mod retry;
mod trust;

use crate::model::{
    Catalogue, Cloud, CloudError, Clouds, Create, Delete, ErrorKind, Leaving, Live, LogEvent, Provider, Read,
    ResourceType, Restore, Schema, Update,
};

pub use access::{Access, AwsAccess, AzureAccess, GcpAccess};
pub use ambient::{Ambient, AwsKey};
pub(crate) use aws::is_loopback;
pub use dial::Dial;
pub(crate) use kind::Kind;
pub use trust::{RoleTrust, Trials, Tried, Trier, Verdict};

/// Hears a line of what a cloud says.
pub type Listener = Box<dyn Fn(&str) + Send + Sync>;

/// What a function answered to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The answer: JSON, of the error, too.
    pub body: Vec<u8>,
    /// Lambda's word for a call that failed.
    pub error: Option<String>,
    /// The end of what was logged: 4 KB.
    pub log: String,
}

/// A page of a log: events in order of time, and what the next page is asked for by.
pub type LogPage = (Vec<LogEvent>, Option<String>);

/// Every resource type of this build.
pub fn catalogue() -> Catalogue {
    Catalogue::new(aws::schemas().chain(gcp::schemas()).chain(azure::schemas()))
}

/// The [`Provider`] over the three clouds. Building one touches no network and no credential chain; a cloud's
/// client is made at its first request.
pub struct Router {
    aws: Option<aws::Aws>,
    gcp: Option<gcp::Gcp>,
    azure: Option<azure::Azure>,
}

impl Router {
    /// The clouds that a stack names, reached as `access` says.
    pub fn new(clouds: &Clouds, access: &Access) -> Self {
        Self {
            aws: clouds.aws.clone().map(|place| aws::Aws::new(place, access.aws.clone())),
            gcp: clouds.gcp.clone().map(|place| gcp::Gcp::new(place, access.gcp.clone())),
            azure: clouds.azure.clone().map(|place| azure::Azure::new(place, access.azure.clone())),
        }
    }

    /// Tells from now on what a cloud says of its own accord while something long is under way there: each resource of
    /// a CloudFormation stack, and one that is in progress and has to be waited for before it can be read. The last
    /// listener counts.
    pub fn watch(&self, listener: Listener) {
        if let Some(aws) = &self.aws {
            aws.watch(listener);
        }
    }

    /// Calls what an alias of a Lambda function leads to.
    pub async fn invoke(&self, function: &str, alias: &str, event: Vec<u8>) -> Result<Answered, CloudError> {
        match &self.aws {
            Some(aws) => aws.invoke(function, alias, event).await,
            None => Err(no_functions()),
        }
    }

    /// Deletes the versions of a Lambda function that mcm has published and that are long past: older than what the alias
    /// leads to, but for the latest of them, and led to by no alias. Returns which.
    pub async fn prune(&self, function: &str, alias: &str) -> Result<Vec<u64>, CloudError> {
        match &self.aws {
            Some(aws) => aws.prune(function, alias).await,
            None => Err(no_functions()),
        }
    }

    /// A page of what a Lambda function has logged since a moment, in milliseconds since 1970.
    pub async fn logs(
        &self,
        function: &str,
        since_ms: i64,
        token: Option<&str>,
    ) -> Result<LogPage, CloudError> {
        match &self.aws {
            Some(aws) => aws.logs(function, since_ms, token).await,
            None => Err(no_functions()),
        }
    }

    /// Checks live that the credentials belong to the accounts that the stack names; all three side by side.
    /// Returns what does not fit.
    pub async fn guard(&self) -> Vec<CloudError> {
        let aws = async {
            match &self.aws {
                Some(aws) => aws.guard().await.err(),
                None => None,
            }
        };
        let gcp = async {
            match &self.gcp {
                Some(gcp) => gcp.guard().await.err(),
                None => None,
            }
        };
        let azure = async {
            match &self.azure {
                Some(azure) => azure.guard().await.err(),
                None => None,
            }
        };
        let (aws, gcp, azure) = futures::join!(aws, gcp, azure);
        [aws, gcp, azure].into_iter().flatten().collect()
    }
}

/// Sends a request to the kind in the table of the type's cloud.
macro_rules! route {
    ($self:ident, $request:ident, $method:ident) => {
        match $request.ty.cloud() {
            Cloud::Aws => match ($self.aws.as_ref(), aws::kind($request.ty)) {
                (Some(cloud), Some(kind)) => kind.$method(cloud, $request).await,
                _ => Err(unroutable($request.ty)),
            },
            Cloud::Gcp => match ($self.gcp.as_ref(), gcp::kind($request.ty)) {
                (Some(cloud), Some(kind)) => kind.$method(cloud, $request).await,
                _ => Err(unroutable($request.ty)),
            },
            Cloud::Azure => match ($self.azure.as_ref(), azure::kind($request.ty)) {
                (Some(cloud), Some(kind)) => kind.$method(cloud, $request).await,
                _ => Err(unroutable($request.ty)),
            },
        }
    };
}

impl Router {
    /// What stands in the way of deleting an object; looked at before anything is deleted.
    pub async fn obstacle(&self, request: Leaving<'_>) -> Result<Option<String>, CloudError> {
        route!(self, request, obstacle)
    }
}

impl Provider for Router {
    async fn read(&self, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        route!(self, request, read)
    }

    async fn create(&self, request: Create<'_>) -> Result<Live, CloudError> {
        route!(self, request, create)
    }

    async fn update(&self, request: Update<'_>) -> Result<Live, CloudError> {
        route!(self, request, update)
    }

    async fn delete(&self, request: Delete<'_>) -> Result<(), CloudError> {
        route!(self, request, delete)
    }

    async fn restore(&self, request: Restore<'_>) -> Result<Live, CloudError> {
        route!(self, request, restore)
    }
}

/// A state file can name a type that this build does not know, or a cloud that the stack no longer names.
fn unroutable(ty: &ResourceType) -> CloudError {
    CloudError {
        cloud: ty.cloud(),
        call: ty.to_string(),
        kind: ErrorKind::Invalid,
        code: String::new(),
        message: format!(
            "this stack has no `clouds` entry for {}, or this mcm does not know the type",
            ty.cloud()
        ),
        request_id: None,
        hint: Some(
            "put the cloud back under `clouds:` until what the stack owns there is destroyed".to_owned(),
        ),
    }
}

/// Only AWS has functions.
fn no_functions() -> CloudError {
    unroutable(&ResourceType::new("AWS::Lambda::Function"))
}

/// The schemas of a cloud's table.
fn schemas_of<C: Sync>(kinds: &'static [&'static dyn Kind<C>]) -> impl Iterator<Item = &'static Schema> {
    kinds.iter().map(|kind| kind.schema())
}
