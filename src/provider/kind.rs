//! What one resource type's file implements.

use async_trait::async_trait;

use crate::model::{CloudError, Create, Delete, ErrorKind, Leaving, Live, Read, Restore, Schema, Update};

/// A resource type over its cloud's client `C`: the [`crate::model::Provider`] port for one type.
#[async_trait]
pub(crate) trait Kind<C: Sync>: Send + Sync {
    /// The type's rules.
    fn schema(&self) -> &'static Schema;
    /// See [`crate::model::Provider::read`].
    async fn read(&self, cloud: &C, request: Read<'_>) -> Result<Option<Live>, CloudError>;
    /// See [`crate::model::Provider::create`].
    async fn create(&self, cloud: &C, request: Create<'_>) -> Result<Live, CloudError>;
    /// See [`crate::model::Provider::update`].
    async fn update(&self, cloud: &C, request: Update<'_>) -> Result<Live, CloudError>;
    /// See [`crate::model::Provider::delete`].
    async fn delete(&self, cloud: &C, request: Delete<'_>) -> Result<(), CloudError>;
    /// What stands in the way of deleting it, as far as a look tells; most types go whatever there is.
    async fn obstacle(&self, _cloud: &C, _request: Leaving<'_>) -> Result<Option<String>, CloudError> {
        Ok(None)
    }
    /// See [`crate::model::Provider::restore`]. Most types have no soft delete.
    async fn restore(&self, _cloud: &C, request: Restore<'_>) -> Result<Live, CloudError> {
        Err(CloudError {
            cloud: request.ty.cloud(),
            call: format!("{} restore", request.ty),
            kind: ErrorKind::Invalid,
            code: String::new(),
            message: "this type is deleted for good; there is nothing to restore".to_owned(),
            request_id: None,
            hint: None,
        })
    }
}
