//! TODO-page

pub(crate) mod bind;
pub(crate) mod create;
pub(crate) mod isn;
