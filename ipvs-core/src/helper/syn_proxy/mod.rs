//! TODO-page

pub(crate) mod conn_side;
pub(crate) mod cookie_side;
