//! TODO-page

pub(crate) mod commands;
pub(crate) mod process;
