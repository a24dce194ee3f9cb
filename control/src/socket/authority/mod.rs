//! Makes the `:authority` of requests acceptable to h2.
//!
//! Clients built on gRPC's C core (Python, Ruby, C++, PHP) put the path of a unix socket there, as
//! in `run%2Fdpvsd.sock`, and those of Java and Swift do something like it. h2 takes that for a
//! malformed host and resets the stream. Nothing here reads the authority: there is one host behind
//! a unix socket. So the bytes that no host name has are replaced while they arrive.
//!
//! [`Frames`] is the entrance. It finds the header blocks among the frames of HTTP/2, `fields`
//! finds the authority in them, and `host` replaces bytes of it. Lengths never change, coded or
//! decoded, so that both ends go on with the same frames and the same dynamic table of HPACK.

mod fields;
mod frames;
mod host;

pub(crate) use frames::Frames;
