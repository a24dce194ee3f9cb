//! TODO-page

pub(crate) mod ftp;
pub(crate) mod ftp_line;
pub(crate) mod ftp_nat64;
pub(crate) mod proxy_protocol;
pub(crate) mod syn_proxy;
pub(crate) mod uoa;
