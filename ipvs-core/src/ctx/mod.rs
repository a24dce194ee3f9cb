//! TODO-page

pub(crate) mod batch;
pub(crate) mod family_state;
pub(crate) mod miss;
pub(crate) mod shared;
