//! The control socket: who may connect, how many at once, and what counts as a whole request.
//!
//! [`serve`] is the entrance. `connection` bounds connections, per process too, `authority` makes
//! the requests of stock gRPC clients acceptable, and `reject_truncated` refuses a stream of
//! requests that the client cut off. `known_caller` tells each call who makes it, and
//! `explain` adds to refusals what their messages name.

mod authority;
mod connection;
mod explain;
mod known_caller;
mod reject_truncated;
mod server;

pub use server::{ServeError, serve};
