//! The state of a worker's engine, and the views of it that the rooms above work with. Types only.
//!
//! [`Engine`] has all of it. [`Shared`] is what does not depend on the address family,
//! [`FamilyState`] what each family has of its own, [`Batch`] the packets between two stages. A
//! [`Forwarder`] is the engine as the packets of one family see it; most methods of the rooms above
//! belong to it.

mod batch;
mod engine;
mod family_state;
mod footprint;
mod miss;
mod originate;
mod shared;

pub(crate) use batch::{Batch, Work};
pub use engine::Engine;
pub(crate) use family_state::{FamilyState, Forwarder};
pub use footprint::Footprint;
pub(crate) use miss::{Adoption, Miss};
pub(crate) use shared::Shared;
