//! TODO-page

pub(crate) mod dest_removal;
pub(crate) mod expiry;
pub(crate) mod reset;
