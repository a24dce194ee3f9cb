//! Devices: what addresses, routes and neighbours belong to.
//!
//! Each device of today is a DPDK port of its own. Other kinds get a file each in this folder: a
//! VLAN (IEEE 802.1Q) on a device, a bond of several ports, and a tunnel (IP in IP, GRE) whose
//! packets leave by another device. What they have in common stays in [`Device`].

mod common;
mod ifindex;
mod link_local;

pub use common::Device;
pub use ifindex::IfIndex;
