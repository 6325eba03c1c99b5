//! Clouds whose refusals repeat no secret: their words go to the terminal and into the journal, and a cloud likes to
//! repeat the value that it refuses.

use std::sync::{Mutex, PoisonError};

use super::secrecy::{collect, hush};
use crate::model::{
    CloudError, Create, Delete, Intent, Live, Provider, Read, Restore, Secret, Stack, Update,
};

/// The clouds, with what is sensitive taken out of their errors.
#[derive(Debug)]
pub struct Discreet<'a, P> {
    clouds: &'a P,
    secrets: Mutex<Vec<Secret>>,
}

impl<'a, P: Provider> Discreet<'a, P> {
    /// Knows the sensitive variables of a stack, and the secrets that it writes out.
    pub fn new(clouds: &'a P, stack: &Stack) -> Self {
        let mut secrets = Vec::new();
        collect(&stack.variables, &mut secrets);
        for resource in &stack.resources {
            collect(&resource.properties, &mut secrets);
        }
        let clouds = Self { clouds, secrets: Mutex::default() };
        clouds.learn(secrets);
        clouds
    }

    /// Learns the secrets that a step is about to send, and those that it may find: some are known only after another
    /// step.
    pub(super) fn expect(&self, intent: &Intent) {
        let mut secrets = Vec::new();
        collect(&intent.shall, &mut secrets);
        if let Some(before) = &intent.before {
            collect(&before.properties, &mut secrets);
        }
        self.learn(secrets);
    }

    fn learn(&self, secrets: Vec<Secret>) {
        let mut known = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets {
            if !known.contains(&secret) {
                known.push(secret);
            }
        }
        // What lies within another one is looked for after it.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
    }

    fn hush(&self, error: CloudError) -> CloudError {
        let known = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        CloudError {
            message: hush(&error.message, &known),
            hint: error.hint.as_deref().map(|hint| hush(hint, &known)),
            ..error
        }
    }
}

impl<P: Provider> Provider for Discreet<'_, P> {
    async fn read(&self, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        self.clouds.read(request).await.map_err(|error| self.hush(error))
    }

    async fn create(&self, request: Create<'_>) -> Result<Live, CloudError> {
        self.clouds.create(request).await.map_err(|error| self.hush(error))
    }

    async fn update(&self, request: Update<'_>) -> Result<Live, CloudError> {
        self.clouds.update(request).await.map_err(|error| self.hush(error))
    }

    async fn delete(&self, request: Delete<'_>) -> Result<(), CloudError> {
        self.clouds.delete(request).await.map_err(|error| self.hush(error))
    }

    async fn restore(&self, request: Restore<'_>) -> Result<Live, CloudError> {
        self.clouds.restore(request).await.map_err(|error| self.hush(error))
    }
}
