//! TODO-page

pub(crate) mod bind;
pub(crate) mod create;
pub(crate) mod isn;
pub(crate) mod transition;
pub(crate) mod unbind;
