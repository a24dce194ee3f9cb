//! TODO-page

pub(crate) mod commands;
pub(crate) mod housekeeping;
pub(crate) mod nat64_handover;
pub(crate) mod process;
pub(crate) mod stages;
