//! Observe, plan, approve, apply, undo. Knows no cloud and no resource type.

mod apply;
mod approve;
mod books;
mod decide;
mod diff;
mod discreet;
mod follow;
mod image;
mod observe;
mod order;
mod plan;
mod record;
mod resolve;
mod rollback;
mod secrecy;
mod step;
mod undo;

pub use apply::{Settings, Stop, apply};
pub use approve::{Answer, ApprovedPlan, Refusal, approve};
pub use books::Books;
pub use discreet::Discreet;
pub use follow::follow;
pub use observe::{ObserveError, observe};
pub use plan::{Request, outputs, plan};
pub use record::new_nonce;
pub use rollback::{Undoing, rollback};
pub use secrecy::places as sensitive_places;
