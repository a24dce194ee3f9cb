//! kni: packets to the kernel and from it, through a Linux netdev per device.
//!
//! What the engine does not handle (ssh, OSPF, BGP, VRRP) goes to the kernel, and what the kernel
//! sends goes out. [`create_netdevs`] makes the netdevs with the crate `kni`, and [`KniThread`]
//! moves packets between them and the workers. It may be slow: the rings to it are bounded, so it
//! never holds a worker up.

mod netdevs;
mod thread;

pub(crate) use netdevs::{KniNetdev, create_netdevs};
pub(crate) use thread::KniThread;
