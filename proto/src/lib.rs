//! The control API: generated tonic and prost code of the `.proto` files, and nothing else.
//!
//! `dpip` and `ipvsadm-rs` are clients of it, `control` serves it. The comments that matter are in
//! the `.proto` files.
#![forbid(unsafe_code)]
// Generated code carries the comments of the .proto files, which are not on every field.
#![allow(missing_docs, clippy::all)]

/// Version 1 of the API.
pub mod v1 {
    tonic::include_proto!("dpvs.v1");

    /// All `.proto` files in their encoded form, for server reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("dpvs.v1");
}
