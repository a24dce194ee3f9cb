//! What the program prints: ipvsadm's tables, the lines of `-S`, and JSON.
//!
//! [`title()`] and [`service()`] are the rows of `-L`, [`conn()`] of `-L -c`, [`laddrs`] of `-G`,
//! [`access()`] of `-B` and `-W`; [`save`] has the lines of `-S`, [`json`] all of it as JSON.

mod access;
mod conn;
mod dest;
mod endpoint;
pub mod json;
mod laddr;
pub(crate) mod matcher;
mod numbers;
pub mod save;
mod service;
mod service_name;
#[cfg(test)]
pub(crate) mod tests;
mod title;

pub use access::access;
pub use conn::conn;
pub use laddr::laddrs;
pub use numbers::Numbers;
pub use service::service;
pub use title::{Columns, title};
