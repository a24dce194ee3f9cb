//! TODO-page

pub(crate) mod batch;
pub(crate) mod engine;
pub(crate) mod family_state;
pub(crate) mod miss;
pub(crate) mod originate;
pub(crate) mod shared;
