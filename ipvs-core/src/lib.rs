//! The load balancer's engine: packets in, packets out.
//!
//! It owns the conns of one worker, their timers and local ports, and the schedulers' state. The
//! shell (`dataplane`) gives it bursts of packets and the time, and sends what comes out. Control
//! gives it snapshots and commands. The engine reads no clock, does no I/O, takes no lock and
//! allocates nothing per packet. Tests drive it with packets in `Vec`s and a time of their own.
//!
//! The rooms, in the order of who calls whom. A call goes down this list, never up.
//!
//! | room | what lives there |
//! |---|---|
//! | `engine` | what the shell calls: process a burst, carry out a command, housekeeping |
//! | `input` | packets without a conn: first packets, handoff, fragments, ICMP, ARP, ND, IPsec |
//! | `teardown` | the end of conns: expiry, removal of a dest, resets |
//! | `xmit` | packets with a conn: fast path, slow path, next hop |
//! | `helper` | FTP, PROXY protocol, UOA, SYN proxy |
//! | `lifecycle` | conns are made, change their state, give back what they hold |
//! | `ctx` | the state of an engine, and the views of it that the rooms above work with |
//! | `wire` | bytes of packets |
//! | `state` | counters, local ports, queues, templates, expectations |
//! | `sched` | which dest a new conn goes to |
//! | `conn` | conns, the table that finds them, their timers |
//! | `config` | services, dests, snapshots, commands: plain data |
//!
//! An engine without configuration gives every packet to the kernel:
//!
//! ```
//! use std::sync::Arc;
//!
//! use ipvs_core::tuple::HashKey;
//! use ipvs_core::{
//!     Arrival, Engine, EngineConfig, Event, Handoff, Io, Keys, Now, Origin, Owners, SharedState,
//!     WorkerId, WorkerStats,
//! };
//! use packet::{PacketBuf, PortId};
//! use testkit::VecBuf;
//!
//! /// A shell that counts what the kernel gets.
//! #[derive(Default)]
//! struct Shell {
//!     to_kernel: usize,
//! }
//!
//! impl Io<VecBuf> for Shell {
//!     fn transmit(&mut self, _: PortId, _: VecBuf) {}
//!     fn to_kernel(&mut self, _: VecBuf) {
//!         self.to_kernel += 1;
//!     }
//!     fn copy_to_kernel(&mut self, _: &VecBuf) {}
//!     fn redirect(&mut self, _: WorkerId, _: VecBuf, _: Handoff) {}
//!     fn allocate(&mut self, _: PortId, _: usize) -> Option<VecBuf> {
//!         None
//!     }
//!     fn event(&mut self, _: Event) -> Result<(), Event> {
//!         Ok(())
//!     }
//! }
//!
//! let key = HashKey([1, 2, 3, 4]);
//! let config = EngineConfig {
//!     worker: WorkerId(0),
//!     owners: Arc::new(Owners::single()),
//!     arrival: Arrival::AsItComes,
//!     max_conns: 1024,
//!     max_conns_v6: 1024,
//!     keys: Keys { conns: key, sequence: key },
//!     max_held: 64,
//!     max_held_per_neighbour: 16,
//! };
//! let stats = vec![Arc::new(WorkerStats::new(64))];
//! let state = vec![Arc::new(SharedState::new(64))];
//! let now = Now::from_secs(1);
//! let mut engine = Engine::new(config, stats, state, now);
//!
//! let mut shell = Shell::default();
//! let packet = VecBuf::new(PortId(0), &[0; 60]);
//! engine.process(now, Origin::Nic, [packet].into_iter(), &mut shell);
//! assert_eq!(shell.to_kernel, 1);
//! assert_eq!(engine.stats().to_kernel.get(), 1);
//! ```
#![deny(unsafe_code)]
#![deny(clippy::disallowed_methods)]

mod config;
pub mod conn;
mod ctx;
mod direction;
mod drop_reason;
mod engine;
mod engine_config;
mod helper;
mod input;
mod io;
mod lifecycle;
mod sched;
mod simd;
mod state;
pub mod tcp_state;
mod teardown;
mod time;
pub mod tuple;
mod wire;
mod xmit;

pub use config::Plan;
pub use config::Protocol;
pub use config::ServiceTable;
pub use config::Timeouts;
pub use config::{Access, AddrSet};
pub use config::{Command, ConnInfo, ConnPage, Event};
pub use config::{Defence, OnUnserved, ReturnPath, Snapshot};
pub use config::{Dest, DestId, Laddr, LaddrId, LaddrUseId, MAX_LADDR_USES};
pub use config::{DeviceName, EndRange, Match};
pub use config::{Encapsulation, FwdMode};
pub use config::{HashOptions, HashTarget, SchedulerKind};
pub use config::{MAX_SERVICES, Service, ServiceId, ServiceKey};
pub use config::{Persistence, ProxyProtocol, ServiceOptions, SynProxy, UoaOptions};
pub use conn::MAX_CONNS;
pub use ctx::{Engine, Footprint};
pub use drop_reason::DropReason;
pub use engine_config::{Arrival, BATCH, EngineConfig, Keys, Origin};
pub use io::{Handoff, Io};
pub use rss::{Owners, WorkerId};
pub use sched::{OverloadMarks, Thresholds};
pub use state::{
    Counter, CounterInfo, DestStats, LaddrUseStats, ServiceStats, SharedState, WorkerStats,
};
pub use tcp_state::TcpState;
pub use time::{Now, Span, Tick};
