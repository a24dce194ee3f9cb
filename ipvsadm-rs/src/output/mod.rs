//! What the program prints: ipvsadm's tables, the lines of `-S`, and JSON.
//!
//! [`title()`] and [`service()`] are the rows of `-L`, [`conn()`] of `-L -c`, [`laddrs`] of `-G`,
//! [`access()`] of `-B` and `-W`; [`save`] has the lines of `-S`, [`json`] all of it as JSON.

mod access;
mod conn;
mod dest;
mod endpoint;
pub(crate) mod json;
mod laddr;
pub(crate) mod matcher;
mod numbers;
pub(crate) mod save;
mod service;
mod service_name;
#[cfg(test)]
pub(crate) mod tests;
mod title;

pub(crate) use access::access;
pub(crate) use conn::conn;
pub(crate) use laddr::laddrs;
pub(crate) use numbers::Numbers;
pub(crate) use service::service;
pub(crate) use title::{Columns, title};
